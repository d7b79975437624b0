//! Lanes over a fleet that does what a test tells it: nothing is lost when it breaks down, nothing is begun that must not be.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Condvar;

use super::*;
use crate::adapter::Request;
use crate::event::Op;
use crate::rules::outcome::Reason;

/// What a fleet does with one ticket.
#[derive(Clone)]
enum Fate {
    Ends(Outcome),
    /// It ends when [`Stage::let_go`] says so.
    Stays,
    PanicsInBegin,
    PanicsInWait,
}

#[derive(Default)]
struct Play {
    fates: std::collections::HashMap<u64, Fate>,
    begun: Vec<u64>,
    let_go: bool,
    fleets: usize,
    /// Fleets that can be had; none = any number.
    most_fleets: Option<usize>,
    panics_in_making: bool,
    notified: usize,
}

/// What a test and the fleets share.
#[derive(Default)]
struct Stage {
    play: Mutex<Play>,
    changed: Condvar,
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stage")
    }
}

impl Stage {
    fn act<T>(&self, act: impl FnOnce(&mut Play) -> T) -> T {
        let result = act(&mut self.play.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_all();
        result
    }

    fn until(&self, done: impl Fn(&Play) -> bool) {
        let play = self.play.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_timeout_while(play, Duration::from_secs(30), |play| !done(play));
        assert!(!waited.unwrap_or_else(PoisonError::into_inner).1.timed_out(), "waited in vain");
    }
}

#[derive(Debug)]
struct Scripted(Arc<Stage>);

impl Adapter for Scripted {
    fn origin(&self) -> &str {
        "https://a.example:443"
    }

    fn render(&self, _: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(None)
    }

    fn rehearse(
        &self,
        _: &Parcel,
        _: &mut dyn FnMut(&Request) -> Option<crate::adapter::http::Reply>,
    ) -> Result<crate::adapter::http::Rehearsed, Reason> {
        Err(Reason::new("internal", "it has no answers"))
    }

    fn fields(&self) -> &[String] {
        &[]
    }

    fn fleet(&self, most: usize) -> std::io::Result<Box<dyn Fleet>> {
        let (may, panics) = self.0.act(|play| {
            play.fleets += 1;
            (play.most_fleets.is_none_or(|most| play.fleets <= most), play.panics_in_making && play.fleets > 1)
        });
        assert!(!panics, "a fleet that cannot be made");
        if !may {
            return Err(std::io::Error::other("no more of them"));
        }
        Ok(Box::new(ScriptedFleet { stage: Arc::clone(&self.0), most, open: Vec::new(), woken: Arc::default() }))
    }

    fn probe(&self) -> Result<String, Reason> {
        Ok(String::new())
    }

    fn masked_headers(&self) -> Vec<(String, String)> {
        Vec::new()
    }
}

struct ScriptedFleet {
    stage: Arc<Stage>,
    most: usize,
    open: Vec<(u64, Fate)>,
    woken: Arc<AtomicBool>,
}

fn ended(ticket: u64, outcome: Outcome) -> Ended {
    let (bytes, took) = ((0, 0), Duration::ZERO);
    let delivery = Delivery {
        outcome,
        items: Vec::new(),
        status: None,
        request_hash: [0; 32],
        answer_hash: None,
        bytes,
        took,
        left: Vec::new(),
    };
    Ended { ticket, deliveries: vec![delivery] }
}

impl Fleet for ScriptedFleet {
    fn room(&self) -> usize {
        self.most - self.open.len()
    }

    fn begin(&mut self, ticket: u64, _: Arc<[Parcel]>) {
        let fate = self.stage.act(|play| {
            play.begun.push(ticket);
            play.fates.get(&ticket).cloned().unwrap_or(Fate::Ends(Outcome::Success))
        });
        assert!(!matches!(fate, Fate::PanicsInBegin), "told to");
        self.open.push((ticket, fate));
    }

    fn wait(&mut self, patience: Option<Duration>, out: &mut Vec<Ended>) -> std::io::Result<()> {
        assert!(!self.open.iter().any(|(_, fate)| matches!(fate, Fate::PanicsInWait)), "told to");
        let play = self.stage.play.lock().unwrap();
        let idle = |play: &mut Play| {
            let ends = |(_, fate): &(u64, Fate)| matches!(fate, Fate::Ends(_)) || play.let_go;
            !self.open.iter().any(ends) && !self.woken.load(Ordering::Acquire)
        };
        let limit = patience.unwrap_or(Duration::from_secs(30));
        let (play, _) = self.stage.changed.wait_timeout_while(play, limit, idle).unwrap();
        self.woken.store(false, Ordering::Release);
        self.open.retain(|(ticket, fate)| match fate {
            Fate::Ends(outcome) => {
                out.push(ended(*ticket, outcome.clone()));
                false
            }
            _ if play.let_go => {
                out.push(ended(*ticket, Outcome::Success));
                false
            }
            _ => true,
        });
        Ok(())
    }

    fn waker(&self) -> Arc<dyn Fn() + Send + Sync> {
        let (stage, woken) = (Arc::clone(&self.stage), Arc::clone(&self.woken));
        Arc::new(move || {
            // Under the lock, so that it cannot come between a look and the wait.
            let _play = stage.play.lock().unwrap_or_else(PoisonError::into_inner);
            woken.store(true, Ordering::Release);
            stage.changed.notify_all();
        })
    }
}

/// Lanes whose fleets know these fates; other tickets are delivered.
fn lanes(most: usize, fates: &[(u64, Fate)]) -> (Lanes, Arc<Stage>) {
    let stage = Arc::new(Stage::default());
    stage.act(|play| play.fates.extend(fates.iter().cloned()));
    let noted = Arc::clone(&stage);
    let notify: Notify = Arc::new(move || noted.act(|play| play.notified += 1));
    (Lanes::new("test", Arc::new(Scripted(Arc::clone(&stage))), most, notify), stage)
}

fn jobs(slots: std::ops::Range<u64>) -> Vec<Job> {
    let request =
        Request { method: "POST".into(), url: "https://a.example/".into(), headers: Vec::new(), body: vec![] };
    let part = Parcel::frozen("k".to_owned(), Op::Insert, "t", request);
    slots.map(|slot| Job { slot: SlotId(slot), parts: [part.clone()].into() }).collect()
}

/// Takes until so many jobs have come back, one way or the other: (slot, outcome's word), and what was not begun.
fn taken(lanes: &Lanes, stage: &Stage, count: usize) -> (Vec<(u64, String)>, Vec<u64>) {
    let (mut results, mut unsent) = (Vec::new(), Vec::new());
    loop {
        let before = stage.act(|play| play.notified);
        let (done, back) = lanes.take();
        let word = |done: &Done| done.deliveries.last().map_or("broken", |delivery| delivery.outcome.word()).to_owned();
        results.extend(done.iter().map(|done| (done.slot.0, word(done))));
        unsent.extend(back.iter().map(|slot| slot.0));
        if results.len() + unsent.len() >= count {
            results.sort();
            unsent.sort();
            return (results, unsent);
        }
        stage.until(|play| play.notified > before);
    }
}

fn words(results: &[(u64, String)], word: &str) -> usize {
    results.iter().filter(|(_, found)| found == word).count()
}

fn halt() -> Fate {
    Fate::Ends(Outcome::Halt(Reason::new("x", "no more")))
}

#[test]
fn results_are_handed_in_when_nothing_else_is_under_way() {
    let (mut lanes, stage) = lanes(4, &[]);
    assert!(lanes.send(jobs(0..1)).is_ok());
    assert_eq!(words(&taken(&lanes, &stage, 1).0, "success"), 1);
    assert!(lanes.send(jobs(1..40)).is_ok());
    let (results, unsent) = taken(&lanes, &stage, 39);
    assert_eq!((words(&results, "success"), unsent.len()), (39, 0));
    assert_eq!(stage.act(|play| play.fleets), 1);
}

#[test]
fn a_result_is_handed_in_although_another_delivery_never_ends() {
    let (mut lanes, stage) = lanes(2, &[(0, Fate::Stays)]);
    assert!(lanes.send(jobs(0..2)).is_ok());
    assert_eq!(taken(&lanes, &stage, 1), (vec![(1, "success".to_owned())], vec![]));
}

#[test]
fn a_fleet_that_breaks_down_takes_only_what_was_under_way_with_it() {
    for fate in [Fate::PanicsInBegin, Fate::PanicsInWait] {
        let (mut lanes, stage) = lanes(3, &[(0, Fate::Stays), (1, fate)]);
        assert!(lanes.send(jobs(0..20)).is_ok());
        let (results, unsent) = taken(&lanes, &stage, 20);
        let broken = words(&results, "broken");
        assert!((2..=3).contains(&broken), "{results:?}");
        assert_eq!((results[0].1.as_str(), results[1].1.as_str()), ("broken", "broken"));
        assert_eq!((words(&results, "success"), unsent.len()), (20 - broken, 0));
        assert_eq!(stage.act(|play| play.fleets), 2);
    }
}

#[test]
fn without_another_fleet_what_was_not_begun_is_given_back_and_later_work_tries_again() {
    for panics in [false, true] {
        let (mut lanes, stage) = lanes(1, &[(0, Fate::PanicsInWait)]);
        stage.act(|play| (play.most_fleets, play.panics_in_making) = (Some(1), panics));
        assert!(lanes.send(jobs(0..100)).is_ok());
        let (results, unsent) = taken(&lanes, &stage, 100);
        assert_eq!(results, [(0, "broken".to_owned())]);
        assert_eq!(unsent, (1..100).collect::<Vec<_>>());
        // As long as there is none to be had, the work comes straight back.
        let (back, _) = lanes.send(jobs(1..3)).unwrap_err();
        assert_eq!(back.iter().map(|job| job.slot.0).collect::<Vec<_>>(), [1, 2]);
        stage.act(|play| (play.most_fleets, play.panics_in_making) = (None, false));
        assert!(lanes.send(jobs(1..3)).is_ok());
        assert_eq!(words(&taken(&lanes, &stage, 2).0, "success"), 2);
    }
}

#[test]
fn recall_gives_back_what_is_not_begun_and_nothing_of_it_is_begun_later() {
    let (mut lanes, stage) = lanes(2, &[(0, Fate::Stays), (1, Fate::Stays)]);
    assert!(lanes.send(jobs(0..60)).is_ok());
    stage.until(|play| play.begun.len() == 2);
    // What the thread has taken already comes after it has looked.
    let mut back: Vec<u64> = lanes.recall().into_iter().map(|slot| slot.0).collect();
    back.extend(taken(&lanes, &stage, 58 - back.len()).1);
    back.sort();
    assert_eq!(back, (2..60).collect::<Vec<_>>());
    stage.act(|play| play.let_go = true);
    assert_eq!(words(&taken(&lanes, &stage, 2).0, "success"), 2);
    assert!(lanes.send(jobs(60..61)).is_ok());
    assert_eq!(words(&taken(&lanes, &stage, 1).0, "success"), 1);
    assert_eq!(stage.act(|play| std::mem::take(&mut play.begun)), [0, 1, 60]);
}

#[test]
fn after_an_answer_that_concerns_all_nothing_is_begun_until_it_was_taken() {
    let busy = Outcome::Retry { reason: Reason::new("x", "y"), after: Some(Duration::from_secs(1)), transport: false };
    for fate in [halt(), Fate::Ends(Outcome::Reauth(Reason::new("x", "y"))), Fate::Ends(busy)] {
        let (mut lanes, stage) = lanes(1, &[(0, fate)]);
        assert!(lanes.send(jobs(0..50)).is_ok());
        stage.until(|play| play.notified > 0);
        assert!(lanes.send(jobs(50..60)).is_ok());
        let (results, unsent) = taken(&lanes, &stage, 60);
        assert_eq!((results.len(), results[0].0), (1, 0));
        assert_eq!(unsent, (1..60).collect::<Vec<_>>());
        assert_eq!(stage.act(|play| play.begun.clone()), [0]);
        assert!(lanes.send(jobs(60..61)).is_ok());
        assert_eq!(words(&taken(&lanes, &stage, 1).0, "success"), 1, "taken: work goes on");
    }
}

#[test]
fn stopped_lanes_end_what_is_under_way_and_begin_nothing() {
    let (mut lanes, stage) = lanes(1, &[(0, Fate::Stays)]);
    assert!(lanes.send(jobs(0..30)).is_ok());
    stage.until(|play| play.begun.len() == 1);
    lanes.stop();
    stage.act(|play| play.let_go = true);
    let mut back: Vec<u64> = lanes.recall().into_iter().map(|slot| slot.0).collect();
    let (results, more) = taken(&lanes, &stage, 30 - back.len());
    back.extend(more);
    assert_eq!((results, back.len()), (vec![(0, "success".to_owned())], 29));
    assert_eq!(stage.act(|play| play.begun.clone()), [0]);
}
