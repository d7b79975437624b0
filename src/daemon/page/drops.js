// File drops, by business date.

const drops = (() => {
  const WORDS = {
    open: 'gathering', cut: 'cut', rendered: 'ready to go', published: 'published', acked: 'accepted by the host',
    partial: 'partly accepted', refused: 'refused by the host', skipped: 'nothing to send', discarded: 'discarded', purged: 'published, purged',
  };
  const KINDS = { published: 'good', acked: 'good', purged: 'good', skipped: 'off', open: 'off', partial: 'warn', refused: 'bad', discarded: 'off' };

  function group() {
    const body = el('tbody', { role: 'rowgroup' });
    const caption = el('caption', {}, el('span', { class: 'title' }), ' ', el('span', { class: 'quiet' }));
    const made = el('table', { role: 'table', class: 'rows files' }, caption,
      el('thead', { role: 'rowgroup' }, el('tr', { role: 'row' }, ...['Business date', 'File', 'State', 'Records', 'Since'].map((text, at) => el('th', { role: 'columnheader', scope: 'col', class: at === 3 ? 'n' : undefined }, text)))), body);
    made.parts = { caption, body };
    return made;
  }

  function row() {
    const cell = (label, name) => el('td', { role: 'cell', 'data-label': label, class: name }, el('span', {}), el('span', { class: 'quiet sub' }));
    const parts = {
      date: el('th', { role: 'rowheader', scope: 'row', class: 'name' }, el('span', { class: 'title' }), el('span', { class: 'quiet sub' })),
      file: cell('File', 'file'),
      state: el('td', { role: 'cell', 'data-label': 'State', class: 'state' }, el('span', { class: 'badge' }, el('span', { class: 'word' })), el('span', { class: 'quiet sub' })),
      records: cell('Records', 'n'),
      since: cell('Since'),
    };
    const made = el('tr', { role: 'row' }, ...Object.values(parts));
    made.parts = parts;
    return made;
  }

  function change(node, file) {
    const { date, file: name, state, records, since } = node.parts;
    const stuck = file.reason || (file.outlets.find((outlet) => outlet.reason) || {}).reason;
    const kind = stuck ? 'bad' : file.answer === 'overdue' ? 'warn' : KINDS[file.state] || 'off';
    say(date.firstChild, file.date);
    say(date.lastChild, `cut ${file.cut}${file.rerun ? `, rerun ${file.rerun}` : ''}`);
    say(name.firstChild, file.name || 'no name yet');
    say(name.lastChild, file.seq === undefined ? '' : `number ${file.seq}`);
    mark(state.firstChild, 'data-kind', kind);
    say(state.querySelector('.word'), WORDS[file.state] || file.state);
    const answers = { pending: 'waits for the host’s answer', overdue: 'the host’s answer is overdue' };
    const places = file.outlets.filter((outlet) => outlet.state !== 'published').map((outlet) => `${outlet.outlet}: ${outlet.state}`);
    say(state.lastChild, stuck || answers[file.answer] || places.join(', '));
    say(records.firstChild, file.records === undefined ? '–' : words.number(file.records));
    say(records.lastChild, file.size === undefined ? '' : `${words.number(file.size)} bytes`);
    time(since.firstChild, file.since, 'ago');
  }

  function update(list) {
    const shown = list.filter((drop) => (drop.recent || []).length);
    show($('drops'), shown.length > 0);
    keep($('drops-list'), shown, (drop) => drop.drop, group, (node, drop) => {
      say(node.parts.caption.firstChild, drop.drop);
      const more = [];
      if (drop.lastDate) more.push(`last published for ${drop.lastDate}`);
      if (drop.held) more.push(`${words.count(drop.held, 'row')} held`);
      if (drop.rejected) more.push(`${words.count(drop.rejected, 'record')} rejected by the host`);
      if (drop.overdue) more.push(`${words.count(drop.overdue, 'answer')} overdue`);
      if (drop.quarantined) more.push(`${words.count(drop.quarantined, 'answer')} put aside`);
      say(node.parts.caption.lastChild, more.join(' · '));
      keep(node.parts.body, drop.recent, (file) => `${file.date} ${file.cut} ${file.seq} ${file.name} ${file.rerun}`, row, change);
    });
  }

  return { update };
})();
