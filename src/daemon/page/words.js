// Words and figures, as people read them.

const words = (() => {
  // The agent's clock, not this machine's: every answer says what time it is there.
  let ahead = 0;

  function clock(header) {
    const there = Date.parse(header || '');
    if (!Number.isNaN(there) && Math.abs(there - Date.now() - ahead) > 1500) ahead = there - Date.now();
  }

  const now = () => Date.now() + ahead;

  function span(milliseconds) {
    const seconds = Math.max(0, Math.round(milliseconds / 1000));
    if (seconds < 60) return `${seconds} s`;
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
    return `${Math.floor(seconds / 86400)} days`;
  }

  function ago(time) {
    const passed = now() - Date.parse(time);
    return passed < 2500 ? 'just now' : `${span(passed)} ago`;
  }

  const age = (time) => span(now() - Date.parse(time));

  function until(time) {
    const left = Date.parse(time) - now();
    return left < 1500 ? 'now' : `in ${span(left)}`;
  }

  const number = (n) => n.toLocaleString('en');
  const count = (n, one, many) => `${number(n)} ${n === 1 ? one : many || `${one}s`}`;

  const exact = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
  const inDay = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
  const moment = (time) => exact.format(new Date(time));
  const clockTime = (time) => inDay.format(new Date(time));

  // A record's key, as it is typed: the values in key order.
  function key(record) {
    const values = Object.values(record);
    const simple = values.every((value) => typeof value === 'number' || (typeof value === 'string' && !value.includes(',')));
    if (values.length === 0) return '';
    return simple ? values.join(',') : JSON.stringify(record);
  }

  return { clock, now, span, ago, age, until, number, count, moment, clockTime, key };
})();
