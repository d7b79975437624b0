// What both sides of a record have changed: their values side by side, for who asks for them, and three choices.

const disputes = (() => {
  const MOST = 50;
  const FEW = 6;
  let all = false;
  let asked = null;
  let after = () => {};

  const subject = (item) => `${item.type} ${words.key(item.key)}`;
  const about = (item) => (item.unit === '*' ? 'the whole record' : item.unit);
  const simple = (value) => value === null || typeof value === 'string' || (typeof value === 'number' && (Number.isSafeInteger(value) || !Number.isInteger(value)));

  function told(value) {
    if (value === undefined || value === null) return 'nothing';
    if (typeof value === 'string') return value === '' ? 'an empty text' : value;
    if (typeof value === 'object') return value.$base64 === undefined ? JSON.stringify(value) : 'bytes';
    return simple(value) ? String(value) : `about ${value}`;
  }

  function when(side, precision, whose) {
    if (!side.first) return 'when is not known';
    const many = side.last && side.last !== side.first ? ` to ${words.moment(side.last)}` : '';
    return `${words.moment(side.first)}${many}${precision.includes(whose) || precision.startsWith('both') ? ', for the whole record' : ''}`;
  }

  function card() {
    const parts = {
      title: el('button', { type: 'button', class: 'link', on: { click: () => record.find(made.item.type, words.key(made.item.key)) } }),
      reason: el('p', { class: 'reason' }),
      facts: el('p', { class: 'quiet' }),
      decide: el('button', { type: 'button', on: { click: () => ask(made.item) } }, 'Compare'),
    };
    const badge = el('span', { class: 'badge', 'data-kind': 'warn' }, el('span', { class: 'word' }, 'conflict'));
    const made = el('li', { class: 'card' }, el('div', { class: 'head' }, el('h3', {}, parts.title), badge), parts.reason, parts.facts, el('div', { class: 'buttons' }, parts.decide));
    made.parts = parts;
    return made;
  }

  function change(node, item) {
    node.item = item;
    const { title, reason, facts, decide } = node.parts;
    say(title, subject(item));
    sayProse(reason, `${about(item)}: ${item.reason}`);
    say(facts, `both here and at ${item.connector}, open for ${words.span(words.now() - Date.parse(item.since))}`);
    mark(decide, 'aria-label', `Compare ${about(item)} of ${subject(item)} here and at ${item.connector}`);
  }

  function side(values, field) {
    return values.deleted ? 'deleted' : told((values.values || {})[field]);
  }

  function row(item, field) {
    const { base, local, remote } = item.values;
    const cell = (label, text) => el('td', { role: 'cell', 'data-label': label }, text);
    return el('tr', { role: 'row' },
      el('th', { role: 'rowheader', scope: 'row', class: 'title' }, field),
      cell('Agreed before', base ? told(base[field]) : 'nothing'), cell('Here', side(local, field)), cell(item.connector, side(remote, field)));
  }

  function field(item, name) {
    const from = item.values.local.deleted ? item.values.remote : item.values.local;
    const value = from.values[name];
    const input = el('input', { 'data-field': name, spellcheck: 'false' });
    input.value = value === null ? '' : String(value);
    input.wasNumber = [item.values.local, item.values.remote].some((each) => typeof (each.values || {})[name] === 'number');
    return el('label', {}, el('span', {}, name), input);
  }

  async function ask(item) {
    let full;
    try {
      full = await agent.get(agent.path('conflicts', item.id));
    } catch (error) {
      toast(error.message);
      return;
    }
    asked = full;
    const { local, remote, precision = '' } = full.values;
    sayProse($('dispute-what'), `${about(full)} of ${subject(full)}: ${full.reason}`);
    say($('dispute-there'), full.connector);
    $('dispute-rows').replaceChildren(...full.fields.map((name) => row(full, name)));
    say($('dispute-times'), `Changed here ${when(local, precision, 'application')}; at ${full.connector} ${when(remote, precision, 'outside')}.`);
    say($('take-local-text'), local.deleted ? 'It stays deleted, there too' : 'What is here, there too');
    say($('take-remote-text'), remote.deleted ? 'It is deleted, here too' : `What ${full.connector} has, here too`);
    const plain = full.fields.every((name) => [local, remote].every((each) => each.deleted || simple(each.values[name])));
    show($('take-value-line'), plain);
    $('dispute-fields').replaceChildren(...(plain ? full.fields.map((name) => field(full, name)) : []));
    for (const tick of document.querySelectorAll('[name=take]')) tick.checked = false;
    show($('dispute-fields'), false);
    $('dispute-reason').value = '';
    say($('dispute-wrong'), '');
    $('dispute').showModal();
    $('take-local').focus();
  }

  function given(item) {
    const values = {};
    for (const input of $('dispute-fields').querySelectorAll('input')) {
      const text = input.value;
      const number = input.wasNumber && text.trim() !== '' && Number.isFinite(Number(text)) ? Number(text) : null;
      values[input.dataset.field] = text === '' ? null : number ?? text;
    }
    return item.fields.length === 1 && item.fields[0] === item.unit ? values[item.unit] : values;
  }

  async function answer(event) {
    event.preventDefault();
    const item = asked;
    const take = document.querySelector('[name=take]:checked')?.value;
    const reason = $('dispute-reason').value.trim();
    if (!take || !reason) {
      say($('dispute-wrong'), take ? 'Say why: it stands in the record’s history.' : 'Choose one of the three.');
      return;
    }
    const body = take === 'value' ? { value: given(item) } : { take };
    $('dispute-yes').disabled = true;
    try {
      await agent.post(agent.path('conflicts', item.id, 'resolve'), { ...body, seen: item.at, reason });
      close();
      toast('It is decided, and both sides get it.');
      after();
    } catch (error) {
      say($('dispute-wrong'), error.message);
    } finally {
      $('dispute-yes').disabled = false;
    }
  }

  // Values do not stay in a page that nobody compares them in.
  function forget() {
    asked = null;
    $('dispute-rows').replaceChildren();
    $('dispute-fields').replaceChildren();
    say($('dispute-times'), '');
    say($('dispute-what'), '');
    $('dispute-what').told = '';
  }

  function close() {
    if ($('dispute').open) $('dispute').close();
    forget();
  }

  async function update(connectors) {
    const open = connectors.reduce((sum, item) => sum + (item.conflicts || 0), 0);
    show($('disputes'), open > 0);
    const items = open > 0 ? await agent.get(`/conflicts?limit=${MOST}`) : [];
    const shown = all ? items : items.slice(0, FEW);
    keep($('disputes-list'), shown, (item) => String(item.id), card, change);
    say($('disputes-sum'), words.count(open, 'conflict'));
    show($('disputes-all'), items.length > shown.length);
    say($('disputes-all'), `Show ${words.number(items.length - shown.length)} more`);
    show($('disputes-more'), open > items.length);
    sayProse($('disputes-more'), `${words.number(open - items.length)} are not shown here: \`hms-sync conflicts list\` shows all.`);
  }

  function clear() {
    keep($('disputes-list'), [], () => '', card, change);
    close();
    all = false;
  }

  function begin(then) {
    after = then;
    $('dispute-form').addEventListener('submit', answer);
    $('dispute').addEventListener('close', forget);
    $('dispute-no').addEventListener('click', close);
    $('dispute-form').addEventListener('change', () => show($('dispute-fields'), $('take-value').checked));
    $('disputes-all').addEventListener('click', () => {
      const next = $('disputes-list').children.length;
      all = true;
      // Who uses the keyboard goes on where the list goes on.
      Promise.resolve(then()).then(() => $('disputes-list').children[next]?.querySelector('button').focus());
    });
  }

  return { begin, clear, update };
})();
