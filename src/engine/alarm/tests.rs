use std::time::Duration;

use super::*;
use crate::rules::outcome::Reason;
use crate::store::state::State;

const NOW: Timestamp = Timestamp(1_900_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

/// A channel that is only asked for its name.
#[derive(Debug)]
struct Nobody;

impl Channel for Nobody {
    fn tell(&self, _: &Notice) -> Result<(), Reason> {
        Err(Reason::new("test", "nobody is there"))
    }
}

fn line(name: &str, on: &[&str]) -> Line {
    Line { name: name.into(), on: on.iter().map(ToString::to_string).collect(), channel: Arc::new(Nobody) }
}

fn found(condition: Condition) -> Finding {
    Finding {
        condition,
        subject: "legacy".to_owned(),
        severity: Severity::Critical,
        since: None,
        count: Some(2),
        what: "2 deliveries were refused or given up".to_owned(),
        mend: "look".to_owned(),
    }
}

struct Site {
    register: Register,
    lookout: Lookout,
    lines: Vec<Line>,
}

impl Site {
    fn new(lines: Vec<Line>) -> Site {
        let lookout = Lookout { office: "OF042".to_owned(), ..Lookout::default() };
        Site { register: Register::default(), lookout, lines }
    }

    fn look(&mut self, found: Vec<Finding>, minutes: u32) -> Vec<Step> {
        let now = NOW.plus(MINUTE * minutes);
        let notices = self.register.look(found, |_, _| false, &self.lookout, &self.lines, now);
        notices.iter().map(|notice| notice.event).collect()
    }

    /// Writes what has changed, as the agent does.
    fn write(&mut self, state: Option<&mut State>) {
        let (changes, last) = (self.register.changes(), self.register.last());
        let written = state.map(|state| state.commit(|db| changes.apply(db)).is_ok()).unwrap_or(false);
        self.register.settle((!written).then_some(changes), last);
    }

    fn owed(&self, channel: &str) -> Vec<Notice> {
        self.register.owed(channel).iter().map(|owed| serde_json::from_str(&owed.body).unwrap()).collect()
    }
}

fn state() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("state.db")).unwrap();
    (folder, state)
}

#[test]
fn a_restart_neither_forgets_an_alert_nor_tells_it_again() {
    let (_folder, mut state) = state();
    let mut site = Site::new(vec![line("mail", &[]), line("hook", &["breaker-*"])]);
    assert_eq!(site.look(vec![found(Condition::DeadLetters)], 0), [Step::Opened]);
    site.write(Some(&mut state));
    // Killed before anybody was told: told after the start, to who wants it.
    site.register = state.read(|db| Register::read(db, &site.lines)).unwrap();
    assert_eq!((site.owed("mail").len(), site.owed("hook").len()), (1, 0));
    assert_eq!(site.look(vec![found(Condition::DeadLetters)], 1), []);
    let number = site.register.owed("mail")[0].notice;
    site.register.told("mail", number);
    site.write(Some(&mut state));
    // Killed after it was told, and that written: never again.
    site.register = state.read(|db| Register::read(db, &site.lines)).unwrap();
    assert_eq!(site.owed("mail"), []);
    assert_eq!(site.look(vec![found(Condition::DeadLetters)], 2), []);
    assert_eq!(site.register.open().len(), 1);
}

#[test]
fn a_channel_that_is_dead_for_days_is_owed_one_notice_an_alert_and_hears_the_opening_first() {
    let (_folder, mut state) = state();
    let mut site = Site::new(vec![line("mail", &[])]);
    for minute in 0..5 * 24 * 60 {
        site.look(vec![found(Condition::Halted), found(Condition::DeadLetters)], minute);
        if minute % 60 == 0 {
            site.write(Some(&mut state));
        }
    }
    site.write(Some(&mut state));
    let owed = site.owed("mail");
    assert_eq!(owed.len(), 2, "{owed:#?}");
    assert!(owed.iter().all(|notice| notice.event == Step::Opened && notice.nth > 4), "{owed:#?}");
    let stored = state.read(crate::store::state::alert::owed).unwrap();
    assert_eq!(stored.len(), 2);
    // And when it is over before it was told at all, that is told.
    for minute in 5 * 24 * 60..5 * 24 * 60 + 10 {
        site.look(Vec::new(), minute);
    }
    site.write(Some(&mut state));
    assert!(site.owed("mail").iter().all(|notice| notice.event == Step::Cleared));
    assert!(site.register.open().is_empty());
}

#[test]
fn a_state_file_that_takes_nothing_silences_no_alert_and_has_everything_once_it_takes_it_again() {
    let (_folder, mut state) = state();
    let mut site = Site::new(vec![line("mail", &[])]);
    let full = || vec![found(Condition::State)];
    // What the agent may mend within moments must be found twice.
    assert_eq!((site.look(full(), 0), site.look(full(), 1)), (vec![], vec![Step::Opened]));
    assert_eq!(site.owed("mail"), [], "not before it was tried to write it down");
    site.write(None);
    assert_eq!(site.owed("mail").len(), 1);
    site.look([full(), vec![found(Condition::Halted)]].concat(), 2);
    site.write(None);
    let first = site.register.owed("mail")[0].notice;
    site.register.told("mail", first);
    site.write(None);
    site.write(Some(&mut state));
    let again = state.read(|db| Register::read(db, &site.lines)).unwrap();
    assert_eq!(again.open(), site.register.open());
    let numbers = |register: &Register| register.owed("mail").iter().map(|owed| owed.notice).collect::<Vec<_>>();
    assert_eq!(numbers(&again), numbers(&site.register));
    assert_eq!(numbers(&again).len(), 1);
}

#[test]
fn what_could_not_be_looked_at_is_not_over() {
    let mut site = Site::new(Vec::new());
    site.look(vec![found(Condition::Halted)], 0);
    for minute in 1..100 {
        let now = NOW.plus(MINUTE * minute);
        assert!(site.register.look(Vec::new(), |_, _| true, &site.lookout, &site.lines, now).is_empty());
    }
    assert_eq!(site.register.open().len(), 1);
    assert_eq!((site.look(Vec::new(), 100), site.look(Vec::new(), 105)), (vec![], vec![Step::Cleared]));
}

#[test]
fn a_channel_that_is_not_configured_any_more_is_owed_nothing() {
    let (_folder, mut state) = state();
    let mut site = Site::new(vec![line("mail", &[])]);
    site.look(vec![found(Condition::Halted)], 0);
    site.write(Some(&mut state));
    site.lines = vec![line("hook", &[])];
    site.register = state.read(|db| Register::read(db, &site.lines)).unwrap();
    site.write(Some(&mut state));
    assert_eq!(state.read(crate::store::state::alert::owed).unwrap(), []);
}
