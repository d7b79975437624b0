#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::adapter::auth::Credential;
use crate::event::Op;

/// Answers are successes, but for a body `no`.
struct Plain;

impl Caller for Plain {
    type Course = ();

    fn render(&self, _: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(None)
    }

    fn judge(&self, _: &Parcel, request: &Request, _: &Reply, _: Option<&mut ()>) -> Next {
        Next::End(if request.body == b"no" { Outcome::Reject(Reason::new("no", "no")) } else { Outcome::Success })
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        None
    }
}

/// Waits for a word before each answer, and breaks down over `boom`.
struct Slow(Arc<Mutex<Receiver<()>>>);

impl Hand for Slow {
    fn call(&mut self, _: &Parcel, request: &Request) -> Heard {
        self.0.lock().unwrap().recv().unwrap();
        assert!(request.body != b"boom");
        Heard { answer: Ok(Reply { whole: true, ..Reply::default() }), sent: true }
    }
}

fn parts(bodies: &[&str]) -> Arc<[Parcel]> {
    let part = |body: &&str| {
        let request =
            Request { method: "X".into(), url: "x:".into(), headers: Vec::new(), body: body.as_bytes().to_vec() };
        Parcel::frozen((*body).to_owned(), Op::Insert, "t", request)
    };
    bodies.iter().map(part).collect()
}

fn crew(most: usize) -> (Crew<Plain>, Sender<()>, Arc<AtomicUsize>) {
    let (go, words) = channel();
    let (words, hired) = (Arc::new(Mutex::new(words)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&hired);
    let hire = move || {
        count.fetch_add(1, Ordering::SeqCst);
        Box::new(Slow(Arc::clone(&words))) as Box<dyn Hand>
    };
    (Crew::new("crew", Arc::new(Plain), most, Duration::from_secs(60), hire), go, hired)
}

fn all(crew: &mut Crew<Plain>, count: usize) -> Vec<Ended> {
    let mut ended = Vec::new();
    while ended.len() < count {
        crew.wait(None, &mut ended).unwrap();
    }
    ended
}

#[test]
fn as_many_as_there_is_room_for_are_under_way_and_no_more() {
    let (mut crew, go, hired) = crew(2);
    crew.begin(1, parts(&["a"]));
    crew.begin(2, parts(&["b"]));
    assert_eq!(crew.room(), 0);
    (0..2).for_each(|_| go.send(()).unwrap());
    assert_eq!(all(&mut crew, 2).len(), 2);
    assert_eq!(crew.room(), 2);
    assert!((1..=2).contains(&hired.load(Ordering::SeqCst)));
    // One after the other goes by the thread that is there.
    for ticket in 3..10 {
        crew.begin(ticket, parts(&["c"]));
        go.send(()).unwrap();
        all(&mut crew, 1);
    }
    assert!(hired.load(Ordering::SeqCst) <= 2);
}

#[test]
fn the_parts_of_a_delivery_go_in_order_until_one_is_refused() {
    let (mut crew, go, _) = crew(1);
    crew.begin(7, parts(&["a", "no", "c"]));
    (0..3).for_each(|_| go.send(()).unwrap());
    let ended = all(&mut crew, 1);
    let words: Vec<&str> = ended[0].deliveries.iter().map(|delivery| delivery.outcome.word()).collect();
    assert_eq!((ended[0].ticket, words), (7, vec!["success", "reject"]));
}

#[test]
fn one_that_breaks_down_ends_its_own_delivery_only() {
    let (mut crew, go, hired) = crew(1);
    crew.begin(1, parts(&["boom"]));
    go.send(()).unwrap();
    assert!(all(&mut crew, 1)[0].deliveries.is_empty());
    // The next one begins with something new.
    assert_eq!(hired.load(Ordering::SeqCst), 1);
    crew.begin(2, parts(&["a"]));
    go.send(()).unwrap();
    assert_eq!(all(&mut crew, 1)[0].deliveries.len(), 1);
    assert_eq!(hired.load(Ordering::SeqCst), 2);
}

#[test]
fn a_wait_ends_when_it_is_roused_or_out_of_patience() {
    let (mut crew, _go, _) = crew(1);
    let (waker, mut ended) = (crew.waker(), Vec::new());
    crew.wait(Some(Duration::from_millis(1)), &mut ended).unwrap();
    waker();
    crew.wait(None, &mut ended).unwrap();
    let other = crew.waker();
    let thread = std::thread::spawn(move || other());
    crew.wait(None, &mut ended).unwrap();
    thread.join().unwrap();
    assert!(ended.is_empty());
}
