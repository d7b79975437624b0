// Changes as they happen. No values: they are not even asked for.

const feed = (() => {
  const MOST = 100;
  let last = '';
  let ending = null;
  let stopped = 0;

  function put(at, kind, text) {
    const line = el('li', { 'data-kind': kind }, el('time', { datetime: at, title: words.moment(at), class: 'quiet' }, words.clockTime(at)), ' ', el('span', {}, text));
    $('feed').prepend(line);
    while ($('feed').children.length > MOST) $('feed').lastChild.remove();
    show($('feed-none'), false);
  }

  const DEEDS = { insert: 'new', update: 'changed', delete: 'deleted', event: 'came in' };

  function hear(message) {
    if (message.id) last = message.id;
    if (message.event === 'gap') {
      put(new Date(words.now()).toISOString(), 'warn', 'some changes are not kept any more and are not shown');
      return;
    }
    if (!message.data) return;
    const event = JSON.parse(message.data);
    const changed = event.op === 'update' && event.changed.length ? `: ${event.changed.join(', ')}` : '';
    put(event.at, 'change', `${event.type} ${DEEDS[event.op] || event.op}${changed}`);
  }

  // Until it is told to stop; a stream that ends (the agent stops, or loads its configuration) is taken up where it was.
  async function follow() {
    if (ending) return;
    // Who was away for long wants to see what happens now.
    if (stopped && Date.now() - stopped > 60000) last = '';
    const mine = new AbortController();
    ending = mine;
    let pause = 500;
    while (!mine.signal.aborted) {
      try {
        await agent.stream('/events?values=none', last, mine.signal, (message) => {
          // The first one says where the stream begins.
          say($('feed-state'), 'live');
          pause = 500;
          hear(message);
        });
      } catch (error) {
        if (error.status === 401 || mine.signal.aborted) break;
      }
      say($('feed-state'), 'interrupted');
      await new Promise((again) => setTimeout(again, pause));
      pause = Math.min(pause * 2, 10000);
    }
    if (ending === mine) ending = null;
  }

  function stop() {
    if (ending) ending.abort();
    ending = null;
    stopped = Date.now();
    say($('feed-state'), 'paused');
  }

  function clear() {
    $('feed').replaceChildren();
    last = '';
    show($('feed-none'), true);
  }

  // What the connectors did between two looks.
  function compare(before, status) {
    const at = new Date(words.now()).toISOString();
    const known = new Map(before.connectors.map((item) => [item.connector, item]));
    for (const item of status.connectors) {
      const was = known.get(item.connector);
      if (!was) continue;
      const tell = (n, kind, text) => n > 0 && put(at, kind, `${item.connector}: ${text(n)}`);
      tell(item.delivered - was.delivered, 'good', (n) => `${words.number(n)} delivered`);
      tell(item.dead - was.dead, 'bad', (n) => `${words.number(n)} refused`);
      tell(item.held - was.held, 'warn', (n) => `${words.number(n)} held`);
      tell(item.discarded - was.discarded, 'off', (n) => `${words.number(n)} discarded`);
      if (item.downSince && !was.downSince) put(at, 'bad', `${item.connector}: the endpoint does not answer`);
      if (!item.downSince && was.downSince) put(at, 'good', `${item.connector}: the endpoint answers again`);
      if (item.mode !== was.mode) put(at, item.mode === 'running' ? 'good' : 'warn', `${item.connector}: ${item.mode}`);
    }
  }

  return { follow, stop, clear, compare };
})();
