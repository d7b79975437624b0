// One record: every change of it that is kept, and what came of it everywhere.

const record = (() => {
  const KINDS = { delivered: 'good', skipped: 'off', discarded: 'off', dead: 'bad', held: 'warn', waiting: 'warn', behind: 'warn', queued: 'off', sending: 'off' };
  const WORDS = {
    delivered: 'delivered', skipped: 'not for it', discarded: 'discarded', dead: 'refused', held: 'held', waiting: 'to be tried again',
    behind: 'waits behind an earlier change', queued: 'on its way', sending: 'being sent',
  };
  let found = null;

  function stand(item) {
    const steps = item.history.map((step) =>
      el('li', {}, el('time', { datetime: step.at, title: words.moment(step.at), class: 'quiet' }, words.clockTime(step.at)), ' ', step.what));
    const why = [item.state === 'behind' ? '' : item.reason, item.due ? `due ${words.until(item.due)}` : ''].filter(Boolean).join(', ');
    return el('li', { class: 'stand' },
      el('p', {}, el('strong', {}, item.connector), ' ', el('span', { class: 'badge', 'data-kind': KINDS[item.state] || 'off' }, el('span', { class: 'word' }, WORDS[item.state] || item.state)), ...(why ? [' ', ...prose(why)] : [])),
      steps.length ? el('ol', { class: 'steps' }, ...steps) : undefined);
  }

  function event(item) {
    const isOther = (at) => at.state === 'skipped' && !at.history.length;
    const others = item.connectors.filter(isOther);
    // Where something happened stands first.
    const told = item.connectors.filter((at) => !isOther(at)).sort((a, b) => (b.history.length > 0) - (a.history.length > 0));
    const changed = item.op === 'update' && item.changed.length ? `changed: ${item.changed.join(', ')}` : '';
    return el('li', {},
      el('h3', {}, `${item.op} `, el('span', { class: 'quiet' }, words.moment(item.at))),
      el('p', { class: 'quiet' }, [`event ${item.id}`, item.origin ? `read from ${item.origin}` : '', item.oldKey ? `was ${words.key(item.oldKey)}` : '', changed].filter(Boolean).join(' · ')),
      told.length ? el('ul', { class: 'stands' }, ...told.map(stand)) : undefined,
      others.length ? el('p', { class: 'quiet' }, `Not for ${others.map((at) => at.connector).join(', ')}.`) : undefined,
      item.connectors.length ? undefined : el('p', {}, 'No connector has read this log yet.'));
  }

  function conflict(item) {
    const about = item.unit === '*' ? 'the whole record' : item.unit;
    const decision = item.decision;
    const by = decision ? `${decision.by} took ${decision.take}${decision.reason ? `: ${decision.reason}` : ''}` : '';
    return el('li', {},
      el('h3', {}, `conflict about ${about} `, el('span', { class: 'quiet' }, words.moment(item.since))),
      el('p', { class: 'quiet' }, [`conflict ${item.id} with ${item.connector}`, item.state, item.winner ? `${item.winner} wins` : ''].filter(Boolean).join(' · ')),
      el('p', {}, ...prose([item.reason, by].filter(Boolean).join('; '))));
  }

  const PULLED = { agreed: ['good', 'both sides agree'], deleted: ['off', 'deleted on both sides'], changed: ['warn', 'changed here since'], aside: ['warn', 'stands aside'], sent: ['off', 'sent, not seen there yet'] };

  // How it stands at a connector that is read too.
  function pulled(item) {
    const [kind, word] = PULLED[item.state] || ['off', item.state];
    const told = [
      item.agreed ? `both sides agreed on it ${words.moment(item.agreed)}` : 'both sides have not agreed on it yet',
      item.changedThere ? `changed there ${words.moment(item.changedThere)}` : '',
      item.deletedHere ? `deleted here ${words.moment(item.deletedHere)}` : '',
      (item.changedHere || []).length ? `changed here since: ${item.changedHere.join(', ')}` : '',
      item.sent ? `${words.count(item.sent, 'change')} sent and not seen there yet` : '',
    ].filter(Boolean).join(' · ');
    const aside = item.aside;
    return el('li', { class: 'pulled' },
      el('h3', {}, `${item.connector} is read too `, el('span', { class: 'badge', 'data-kind': kind }, el('span', { class: 'word' }, word))),
      el('p', { class: 'quiet' }, told),
      aside ? el('p', {}, ...prose(`what came in stands aside since ${words.moment(aside.since)}: ${aside.reason}`)) : undefined);
  }

  async function look() {
    const { type, key } = found;
    const answer = await agent.get(agent.path('records', type, key));
    const told = JSON.stringify(answer);
    if (found.told === told) return;
    found.told = told;
    const newest = [...answer.events].reverse();
    const disputed = [...(answer.conflicts || [])].reverse();
    $('record-events').replaceChildren(...disputed.map(conflict), ...(answer.pulled || []).map(pulled), ...newest.map(event));
    say($('record-said'), `${words.count(answer.events.length, 'change')}, the newest first`);
  }

  async function find(type, key) {
    found = { type, key };
    $('find-type').value = type;
    $('find-key').value = key;
    say($('record-title'), `${type} ${key}`);
    say($('record-said'), 'Looking');
    $('record-events').replaceChildren();
    show($('record'), true);
    try {
      await look();
    } catch (error) {
      say($('record-said'), `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
    }
    $('record-title').focus();
    $('record').scrollIntoView({ block: 'start' });
  }

  function clear() {
    found = null;
    show($('record'), false);
    say($('record-title'), 'Record');
    $('record-events').replaceChildren();
    $('find-key').value = '';
  }

  function close() {
    clear();
    $('find-key').focus();
  }

  // What is shown follows what happens.
  async function update() {
    if (found && found.told) await look().catch(() => {});
  }

  function begin() {
    $('search').addEventListener('submit', (submitted) => {
      submitted.preventDefault();
      find($('find-type').value.trim(), $('find-key').value.trim());
    });
    $('record-close').addEventListener('click', close);
  }

  return { begin, clear, find, update };
})();
