// The page: signs in, looks again and again while somebody watches, and says when the agent cannot be reached.

(() => {
  const PACE = 2000;
  let seen = null;
  let looking = false;
  let next = 0;
  let failures = 0;
  let session = null;

  function signedOut(why) {
    clearTimeout(next);
    feed.stop();
    seen = null;
    session = null;
    agent.forget();
    // Who comes next to this browser finds no record's key in it.
    for (const forget of [feed.clear, deliveries.clear, disputes.clear, record.clear]) forget();
    for (const part of ['board', 'search', 'who']) show($(part), false);
    show($('signin'), true);
    say($('signin-why'), why || '');
    document.title = 'HMS-SYNC: sign in';
  }

  function fresh() {
    say($('fresh'), `As of ${words.clockTime(words.now())}`);
  }

  async function look() {
    clearTimeout(next);
    if (looking || document.hidden) return;
    looking = true;
    try {
      if (!session) greet(await agent.get('/session'));
      const status = await agent.get('/status');
      if (failures > 0 || !seen) feed.follow();
      failures = 0;
      say($('office'), status.agent.office || '');
      document.body.classList.remove('away');
      glance.update(status);
      drops.update(status.drops || []);
      if (seen) feed.compare(seen, status);
      seen = status;
      await deliveries.update(status.connectors);
      await disputes.update(status.connectors);
      await record.update();
      fresh();
    } catch (error) {
      if (error.status === 401) {
        signedOut('You are not signed in, or were away for long, or the agent was started anew.');
        return;
      }
      failures += 1;
      document.body.classList.add('away');
      const said = error.status ? error.message : 'Trying again by itself. What you see below is as it was.';
      glance.verdict('bad', error.status ? 'The agent cannot answer' : 'The agent is not reachable', said);
    } finally {
      looking = false;
    }
    // Right after a start, soon; an agent that is gone for long is not asked all the time.
    const wait = failures > 0 ? Math.min(PACE * Math.min(failures, 5), 10000) : PACE;
    if (!document.hidden) next = setTimeout(look, wait);
  }

  function watch() {
    if (!$('signin').hidden) return;
    if (document.hidden) {
      clearTimeout(next);
      feed.stop();
    } else {
      feed.follow();
      look();
    }
  }

  function greet(who) {
    session = who;
    say($('name'), who.name);
    show($('sign-out'), who.way === 'page');
    for (const part of ['board', 'search', 'who']) show($(part), true);
    show($('signin'), false);
  }

  async function enter() {
    let why = '';
    try {
      await agent.exchange();
    } catch (error) {
      why = `${error.message[0].toUpperCase()}${error.message.slice(1)}.`;
    }
    try {
      // Who is signed in already stays so, whatever the code was.
      greet(await agent.get('/session'));
      if (why) toast(why);
    } catch (error) {
      if (error.status === 401) {
        signedOut(why);
        return;
      }
      // The agent is not there: the look below says so, and goes on until it is.
      show($('board'), true);
    }
    look();
  }

  record.begin();
  deliveries.begin(look);
  disputes.begin(look);
  $('sign-out').addEventListener('click', async () => {
    try {
      await agent.signOut();
      signedOut('You have signed out.');
    } catch (error) {
      toast(error.message);
    }
  });
  document.addEventListener('visibilitychange', watch);
  addEventListener('hashchange', enter);
  addEventListener('pageshow', (event) => event.persisted && watch());
  setInterval(growOlder, 1000);
  enter();
})();
