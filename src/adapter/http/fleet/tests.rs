//! What no target can bring about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::adapter::auth::Credential;
use crate::adapter::http::{Client, Options};
use crate::adapter::tls::{TlsFiles, client_config};
use crate::event::Op;

struct Plain;

impl Caller for Plain {
    type Course = ();

    fn render(&self, _: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(None)
    }

    fn judge(&self, _: &Parcel, _: &Request, _: &Reply, _: Option<&mut ()>) -> Next {
        Next::End(Outcome::Success)
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        None
    }
}

fn fleet(most: usize) -> HttpFleet<Plain> {
    let client = Client::new(Options::new(client_config(&TlsFiles::default()).unwrap()));
    client.fleet(Arc::new(Plain), most).unwrap()
}

fn parcel(url: &str) -> Parcel {
    let request = Request { method: "POST".into(), url: url.into(), headers: Vec::new(), body: Vec::new() };
    Parcel::frozen("k".to_owned(), Op::Insert, "t", request)
}

fn ended(fleet: &mut HttpFleet<Plain>) -> Vec<Ended> {
    let mut ended = Vec::new();
    while ended.is_empty() {
        fleet.wait(None, &mut ended).unwrap();
    }
    ended
}

#[test]
fn a_thread_that_breaks_down_while_it_waits_ends_its_delivery_and_no_other() {
    let mut fleet = fleet(2);
    let at = fleet.free.pop().unwrap();
    fleet.berths[at].task = Some(Task::new(9, [parcel("https://a.example/")].into()));
    fleet.prepare(at, || panic!("a look-up that breaks down"));
    let ended = ended(&mut fleet);
    assert_eq!(ended[0].ticket, 9);
    assert!(matches!(ended[0].deliveries[0].outcome, Outcome::Retry { transport: true, .. }), "{ended:?}");
    assert_eq!(fleet.room(), 2);
}

#[test]
fn what_cannot_be_sent_ends_where_it_is_begun() {
    let mut fleet = fleet(1);
    for (ticket, parts) in
        [(0, vec![]), (1, vec![parcel("https://a b/")]), (2, vec![parcel("https://a:99999/")]), (3, vec![parcel("")])]
    {
        let count = parts.len();
        fleet.begin(ticket, parts.into());
        let ended = ended(&mut fleet);
        assert_eq!((ended[0].ticket, ended[0].deliveries.len()), (ticket, count));
        assert!(ended[0].deliveries.iter().all(|delivery| matches!(delivery.outcome, Outcome::Reject(_))));
        assert_eq!(fleet.room(), 1);
    }
    fleet.begin(4, [parcel("http://a.example/")].into());
    assert!(matches!(ended(&mut fleet)[0].deliveries[0].outcome, Outcome::Halt(_)));
}
