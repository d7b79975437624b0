// Everything at a glance: the verdict, the connectors, what is captured.

const glance = (() => {
  const ICONS = { good: '✓', warn: '!', bad: '✕', off: '…', rest: '‖' };
  const COLOURS = { good: '#1a7f4b', warn: '#b26a00', bad: '#c0262d', off: '#6b7280', rest: '#6b7280' };

  function icon(kind) {
    const colour = encodeURIComponent(COLOURS[kind]);
    const shape = `data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='7' fill='${colour}'/>%3C/svg>`;
    mark($('icon'), 'href', shape);
  }

  function verdict(kind, title, more) {
    mark($('verdict'), 'data-kind', kind);
    say($('sign'), ICONS[kind]);
    say($('verdict-title'), title);
    say($('verdict-more'), more);
    icon(kind);
    const before = kind === 'good' ? '' : `${title} · `;
    const where = $('office').textContent;
    document.title = `${before}HMS-SYNC${where ? ` ${where}` : ''}`;
  }

  // The state of a connector: a word, and how bad it is.
  function standing(connector) {
    if (!connector.configured) return ['off', 'not configured'];
    if (connector.mode === 'halted') return ['bad', 'halted'];
    if (connector.mode === 'overflowed') return ['bad', 'left behind'];
    if (connector.mode === 'paused') return ['rest', 'paused'];
    if (connector.mode === 'new') return ['off', 'not started'];
    if (connector.downSince) return ['bad', 'endpoint down'];
    if (connector.dead + connector.held > 0) return ['warn', 'needs a decision'];
    return ['good', connector.kind === 'stream' ? 'delivering' : 'ready'];
  }

  const waiting = (connector) => connector.queued + connector.waiting + connector.behind;

  // Sixty bars: what was delivered upward, what failed at the foot.
  function plot(hour) {
    const width = 120;
    const height = 28;
    const drawing = svg('svg', { viewBox: `0 0 ${width} ${height}`, class: 'plot', role: 'img', preserveAspectRatio: 'none' });
    drawing.append(svg('line', { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: 'ground' }));
    if (!hour) return drawing;
    const most = Math.max(1, ...hour.delivered, ...hour.failed);
    hour.delivered.forEach((n, at) => {
      const failed = hour.failed[at];
      if (n > 0) {
        const tall = Math.max(2, (n / most) * (height - 3));
        drawing.append(svg('rect', { x: at * 2 + 0.2, y: height - 1 - tall, width: 1.6, height: tall, class: 'went' }));
      }
      if (failed > 0) {
        const tall = Math.max(3, (failed / most) * (height - 3));
        drawing.append(svg('rect', { x: at * 2 + 0.2, y: height - 1 - tall, width: 1.6, height: tall, class: 'failed' }));
      }
    });
    return drawing;
  }

  const sum = (numbers) => numbers.reduce((sum, n) => sum + n, 0);

  function lastHour(hour) {
    if (!hour) return 'nothing in the last hour';
    const [went, failed] = [sum(hour.delivered), sum(hour.failed)];
    const wrong = failed ? `, ${words.number(failed)} failed` : '';
    return `${words.number(went)} delivered${wrong}`;
  }

  function row() {
    const cell = (label, name) => el('td', { role: 'cell', 'data-label': label, class: name });
    const made = el('tr', { role: 'row' });
    const name = el('th', { role: 'rowheader', scope: 'row', class: 'name' }, el('span', { class: 'title' }), el('span', { class: 'quiet sub' }));
    const state = el('td', { role: 'cell', 'data-label': 'State', class: 'state' },
      el('span', { class: 'badge' }, el('span', { class: 'dot', 'aria-hidden': 'true' }), el('span', { class: 'word' })),
      el('span', { class: 'quiet sub' }));
    const hour = cell('Last hour', 'hour');
    hour.append(el('span', { class: 'drawing' }), el('span', { class: 'quiet sub' }));
    const next = el('td', { role: 'cell', 'data-label': 'Next run', class: 'next' }, el('span', { class: 'when' }), el('span', { class: 'quiet sub' }));
    const wrong = el('td', { role: 'cell', 'data-label': 'Last error', class: 'error' }, el('span', { class: 'what' }), el('span', { class: 'quiet sub' }));
    const count = el('td', { role: 'cell', 'data-label': 'Waiting', class: 'n' }, el('span', { class: 'total' }), el('span', { class: 'quiet sub' }));
    const oldest = el('td', { role: 'cell', 'data-label': 'Oldest' }, el('span', {}));
    const last = el('td', { role: 'cell', 'data-label': 'Last success' }, el('span', {}), el('span', { class: 'quiet sub' }));
    made.append(name, state, count, oldest, last, hour, next, wrong);
    made.parts = { name, state, count, oldest, last, hour, next, wrong };
    return made;
  }

  function change(node, connector) {
    const { name, state, count, oldest, last, hour, next, wrong } = node.parts;
    const [kind, word] = standing(connector);
    mark(node, 'data-kind', kind);
    say(name.firstChild, connector.connector);
    const ways = { stream: 'at once', schedule: connector.schedule, drop: 'file drop' };
    say(name.lastChild, ways[connector.kind] || '');
    mark(state.firstChild, 'data-kind', kind);
    say(state.querySelector('.dot'), ICONS[kind]);
    say(state.querySelector('.word'), word);
    let more = '';
    if (connector.downSince) {
      const probe = connector.nextProbe ? `, tried again ${words.until(connector.nextProbe)}` : '';
      more = `breaker open for ${words.span(words.now() - Date.parse(connector.downSince))}${probe}`;
    } else if (connector.waitsUntil) {
      more = `the target has asked for a pause, on again ${words.until(connector.waitsUntil)}`;
    } else if (connector.dead + connector.held) {
      more = [connector.dead && `${words.number(connector.dead)} refused`, connector.held && `${words.number(connector.held)} held`].filter(Boolean).join(', ');
    } else if (connector.conflicts) {
      more = words.count(connector.conflicts, 'conflict');
    } else if (connector.braked) {
      more = `${words.count(connector.braked, 'record')} braked`;
    } else if (connector.reason && connector.mode !== 'running') {
      more = connector.reason;
    }
    say(state.lastChild, more);
    say(count.firstChild, words.number(waiting(connector)));
    const aside = connector.waiting + connector.behind;
    say(count.lastChild, aside ? `${words.number(aside)} to retry` : '');
    time(oldest.firstChild, connector.oldest, 'age');
    time(last.firstChild, connector.last, 'ago');
    blank(oldest, !connector.oldest);
    blank(last, !connector.last);
    blank(hour, !connector.hour);
    blank(wrong, !connector.lastError);
    blank(next, connector.kind === 'stream' && !(connector.pull && connector.pull.next));
    const read = connector.pull;
    const sums = [connector.delivered && `${words.number(connector.delivered)} in all`, read && `${words.number(read.applied)} read in`];
    say(last.lastChild, sums.filter(Boolean).join(', '));
    const told = JSON.stringify(connector.hour || null);
    if (hour.told !== told) {
      hour.told = told;
      const drawing = plot(connector.hour);
      drawing.setAttribute('aria-label', `Last hour: ${lastHour(connector.hour)}`);
      hour.firstChild.replaceChildren(drawing);
      say(hour.lastChild, lastHour(connector.hour));
    }
    const when = next.firstChild;
    const due = connector.nextRun || (read && read.next);
    if (due) {
      time(when, due, 'until');
      say(next.lastChild, read && read.polled ? `asked ${words.ago(read.polled)}` : words.moment(due));
    } else {
      time(when, null);
      say(when, connector.kind === 'stream' && connector.mode === 'running' ? 'at once' : '–');
      say(next.lastChild, '');
    }
    const error = connector.lastError;
    sayProse(wrong.firstChild, error ? error.reason : '–');
    if (error) {
      time(wrong.lastChild, error.at, 'ago');
    } else {
      time(wrong.lastChild, null);
      say(wrong.lastChild, '');
    }
  }

  function need() {
    const made = el('li', {});
    made.parts = [el('strong', {}), el('span', {}), el('p', { class: 'mend' })];
    made.append(el('p', {}, made.parts[0], ' ', made.parts[1]), made.parts[2]);
    return made;
  }

  function changeNeed(node, item) {
    const [subject, what, mend] = node.parts;
    say(subject, item.subject);
    sayProse(what, item.what);
    sayProse(mend, item.mend);
  }

  const isBare = (item) => item.tables.length === 0 && item.trouble.length === 0;

  function log(item) {
    if (isBare(item)) return 'nothing is captured yet: `hms-sync watch TABLE`, or `watch:` in sync.yaml';
    const tables = item.tables.length ? item.tables.join(', ') : 'no table';
    const lost = item.lost ? ` ${words.number(item.lost)} were lost while the log was full.` : '';
    return `${words.number(item.captured)} changes captured of ${tables}; ${words.number(item.kept)} are kept.${lost}`;
  }

  function source(item) {
    const since = item.since ? ` for ${words.span(words.now() - Date.parse(item.since))}` : '';
    return `${item.state}${since}; ${words.count(item.received, 'event')} received${item.reason ? ` (${item.reason})` : ''}`;
  }

  function line(node, [title, text, kind]) {
    mark(node, 'data-kind', kind);
    say(node.parts[0], title);
    sayProse(node.parts[1], text);
  }

  function lineMade() {
    const made = el('li', {});
    made.parts = [el('strong', {}), el('span', {})];
    made.append(made.parts[0], ' ', made.parts[1]);
    return made;
  }

  function update(status) {
    const connectors = status.connectors;
    show($('connectors-none'), connectors.length === 0);
    show($('connectors'), connectors.length > 0);
    const order = { bad: 0, warn: 1, rest: 2, off: 3, good: 4 };
    const sorted = [...connectors].sort((a, b) =>
      order[standing(a)[0]] - order[standing(b)[0]] || a.connector.localeCompare(b.connector));
    keep($('connectors').tBodies[0], sorted, (item) => item.connector, row, change);
    const total = connectors.reduce((sum, item) => sum + waiting(item), 0);
    const delivered = connectors.reduce((sum, item) => sum + (item.hour ? item.hour.delivered.reduce((a, b) => a + b, 0) : 0), 0);
    say($('connectors-sum'), connectors.length ? `${words.number(delivered)} delivered in the last hour, ${words.number(total)} waiting` : '');
    keep($('needs'), status.needs, (item) => `${item.subject}\n${item.what}`, need, changeNeed);
    const bad = connectors.some((item) => standing(item)[0] === 'bad');
    const down = connectors.filter((item) => item.downSince).length;
    if (status.needs.length) {
      const title = status.needs.length === 1 ? 'One thing needs you' : `${status.needs.length} things need you`;
      const more = down ? `${words.count(down, 'endpoint')} ${down === 1 ? 'is' : 'are'} down; what waits there is sent when it is back. ` : '';
      verdict(bad ? 'bad' : 'warn', title, `${more}Everything else goes on meanwhile.`);
    } else if (down) {
      verdict('warn', `${words.count(down, 'endpoint')} ${down === 1 ? 'is' : 'are'} down`, 'Nothing is lost: what waits is sent when it is back.');
    } else if (status.logs.length && status.logs.every(isBare) && !(status.sources || []).length) {
      verdict('off', 'Nothing is captured yet', 'No table is watched, so that nothing is sent but what is posted.');
    } else if (!connectors.length) {
      verdict('off', 'Nothing to do yet', 'The agent runs, and no connector is configured.');
    } else {
      const paused = connectors.filter((item) => item.mode === 'paused').length;
      const more = total ? `${words.count(total, 'change')} on the way.` : 'Nothing is waiting to be sent.';
      verdict('good', 'All is well', paused ? `${more} ${words.count(paused, 'connector')} paused.` : more);
    }
    const lines = status.logs.map((item) => [item.log, `${log(item)}${item.trouble.length ? ` ${item.trouble.join('; ')}` : ''}`, item.trouble.length ? 'warn' : isBare(item) ? 'off' : 'good']);
    show($('logs-none'), lines.length === 0);
    const sources = (status.sources || []).map((item) => [`events ${item.source}`, source(item), item.state === 'connected' ? 'good' : 'warn']);
    keep($('logs'), [...lines, ...sources], (item) => item[0], lineMade, line);
    const types = [...new Set(status.logs.flatMap((item) => item.tables))];
    keep($('types'), types, (type) => type, () => el('option', {}), (node, type) => mark(node, 'value', type));
  }

  return { update, verdict };
})();
