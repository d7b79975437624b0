// Calls to the agent, and the session.

const agent = (() => {
  const KEY = 'hms-sync-key';

  class Refusal extends Error {
    constructor(status, detail) {
      super(detail);
      this.status = status;
    }
  }

  // Who forbids pages to keep anything is signed in for as long as this page is open.
  let key = '';
  try {
    key = localStorage.getItem(KEY) || '';
  } catch (error) {
    key = '';
  }

  function keepKey(value) {
    key = value;
    try {
      if (value) localStorage.setItem(KEY, value);
      else localStorage.removeItem(KEY);
    } catch (error) {
      // It stays in memory.
    }
  }

  async function call(method, path, body, signal) {
    const headers = { 'X-HMS-Page': key };
    if (method !== 'GET') headers['Content-Type'] = 'application/json';
    const limit = signal || AbortSignal.timeout(20000);
    const answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: limit,
      cache: 'no-store',
      redirect: 'error',
    });
    words.clock(answer.headers.get('date'));
    if (answer.ok) return answer;
    let detail = `the agent answered ${answer.status}`;
    try {
      detail = (await answer.json()).detail || detail;
    } catch (error) {
      // It was no JSON.
    }
    throw new Refusal(answer.status, detail);
  }

  const get = async (path) => (await call('GET', path)).json();
  const post = async (path, body) => (await call('POST', path, body)).json();

  // The code stands in the part of the address that no browser sends, and goes from there at once.
  async function exchange() {
    const code = new URLSearchParams(location.hash.slice(1)).get('code');
    if (!code) return;
    history.replaceState(null, '', location.pathname);
    const session = await post('/session', { code });
    keepKey(session.key);
  }

  async function signOut() {
    await call('DELETE', '/session');
    keepKey('');
  }

  // Server-sent events by fetch, which can show the key. `hear` gets each event; it ends when the stream does.
  async function stream(path, last, signal, hear) {
    const headers = { 'X-HMS-Page': key };
    if (last) headers['Last-Event-ID'] = last;
    const answer = await fetch(path, { headers, signal, cache: 'no-store', redirect: 'error' });
    if (!answer.ok) throw new Refusal(answer.status, `the agent answered ${answer.status}`);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = (rest + value).split('\n\n');
      rest = lines.pop();
      for (const message of lines) {
        const fields = { event: 'message', data: '' };
        for (const line of message.split('\n')) {
          const at = line.indexOf(': ');
          if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
        }
        hear(fields);
      }
    }
  }

  const path = (...parts) => `/${parts.map(encodeURIComponent).join('/')}`;

  return { get, post, exchange, signOut, stream, path, forget: () => keepKey('') };
})();
