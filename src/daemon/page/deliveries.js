// What a person must decide: dead letters and held deliveries.

const deliveries = (() => {
  const MOST = 50;
  const FEW = 6;
  let all = false;
  const ASKS = {
    retry: { title: 'Send it again?', yes: 'Retry', done: 'It is sent again.' },
    discard: { title: 'Give it up?', yes: 'Discard', done: 'It is given up.' },
    release: { title: 'Let it go?', yes: 'Release', done: 'It goes on its way.' },
  };
  let asked = null;
  let after = () => {};

  const subject = (item) => `${item.type} ${words.key(item.key)}`;

  function card(first) {
    const button = (act, name) => el('button', { type: 'button', class: name, on: { click: () => ask(act, made.item) } });
    const acts = first.state === 'held' ? ['release', 'discard'] : ['retry', 'discard'];
    const parts = {
      title: el('button', { type: 'button', class: 'link', on: { click: () => record.find(made.item.type, words.key(made.item.key)) } }),
      badge: el('span', { class: 'badge' }, el('span', { class: 'word' })),
      reason: el('p', { class: 'reason' }),
      facts: el('p', { class: 'quiet' }),
    };
    const buttons = acts.map((act) => button(act, act === 'discard' ? 'plain' : ''));
    buttons.forEach((node, at) => {
      say(node, ASKS[acts[at]].yes);
    });
    const made = el('li', { class: 'card' }, el('div', { class: 'head' }, el('h3', {}, parts.title), parts.badge), parts.reason, parts.facts, el('div', { class: 'buttons' }, ...buttons));
    made.parts = parts;
    made.buttons = buttons;
    made.acts = acts;
    return made;
  }

  function change(node, item) {
    node.item = item;
    const { title, badge, reason, facts } = node.parts;
    say(title, subject(item));
    mark(badge, 'data-kind', item.state === 'dead' ? 'bad' : 'warn');
    say(badge.firstChild, item.state === 'dead' ? 'refused' : 'held');
    node.buttons.forEach((button, at) => mark(button, 'aria-label', `${ASKS[node.acts[at]].yes} ${subject(item)} at ${item.connector}`));
    sayProse(reason, `${item.connector}: ${item.reason}`);
    const tries = item.attempts ? `, ${words.count(item.attempts, 'attempt')}` : '';
    const passed = item.passedBy ? ', a later change was delivered meanwhile' : '';
    say(facts, `${item.op} of ${words.moment(item.at)}, ${item.state} for ${words.span(words.now() - Date.parse(item.since))}${tries}${passed}`);
  }

  function ask(act, item) {
    asked = { act, item };
    const { title, yes } = ASKS[act];
    say($('ask-title'), title);
    sayProse($('ask-what'), `${item.op} of ${subject(item)} at ${item.connector}: ${item.reason}`);
    say($('ask-yes'), yes);
    say($('ask-wrong'), '');
    $('ask-reason').value = '';
    $('ask-stale').checked = false;
    show($('ask-stale-line'), act === 'retry' && Boolean(item.passedBy));
    $('ask').showModal();
    $('ask-reason').focus();
  }

  async function answer(event) {
    event.preventDefault();
    const { act, item } = asked;
    const body = { reason: $('ask-reason').value.trim() };
    if (!body.reason) {
      say($('ask-wrong'), 'Say why: it stands in the record’s history.');
      return;
    }
    if (act === 'retry') body.stale = $('ask-stale').checked;
    $('ask-yes').disabled = true;
    try {
      await agent.post(agent.path('deliveries', item.connector, item.event, act), body);
      $('ask').close();
      toast(ASKS[act].done);
      after();
    } catch (error) {
      say($('ask-wrong'), error.message);
    } finally {
      $('ask-yes').disabled = false;
    }
  }

  async function update(connectors) {
    const dead = connectors.reduce((sum, item) => sum + item.dead, 0);
    const held = connectors.reduce((sum, item) => sum + item.held, 0);
    show($('parked'), dead + held > 0);
    if (dead + held === 0) {
      keep($('parked-list'), [], () => '', card, change);
      return;
    }
    const lists = await Promise.all(['dead', 'held'].map((state) => agent.get(`/deliveries?state=${state}&limit=${MOST}`)));
    const items = lists.flat();
    const shown = all ? items : items.slice(0, FEW);
    keep($('parked-list'), shown, (item) => `${item.connector}\n${item.event}\n${item.state}`, card, change);
    const parts = [];
    if (dead) parts.push(`${words.number(dead)} refused`);
    if (held) parts.push(`${words.number(held)} held`);
    say($('parked-sum'), parts.join(', '));
    show($('parked-all'), items.length > shown.length);
    say($('parked-all'), `Show ${words.number(items.length - shown.length)} more`);
    const rest = dead + held - items.length;
    show($('parked-more'), rest > 0);
    sayProse($('parked-more'), `${words.number(rest)} are not shown here: \`hms-sync deliveries list\` shows all, and \`deliveries retry\` sends many again at once.`);
  }

  function clear() {
    keep($('parked-list'), [], () => '', card, change);
    if ($('ask').open) $('ask').close();
    say($('ask-what'), '');
    $('ask-what').told = '';
    all = false;
  }

  function begin(then) {
    after = then;
    $('ask-form').addEventListener('submit', answer);
    $('parked-all').addEventListener('click', () => {
      const next = $('parked-list').children.length;
      all = true;
      // Who uses the keyboard goes on where the list goes on.
      Promise.resolve(then()).then(() => $('parked-list').children[next]?.querySelector('button').focus());
    });
    $('ask-no').addEventListener('click', () => $('ask').close());
  }

  return { begin, clear, update };
})();
