//! Many deliveries on one thread: one that hangs holds up no other, and no target brings a fleet to a stop, to a race of
//! connections, or to take for an answer what is none.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::{HashMap, HashSet, VecDeque};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use hms_sync::adapter::http::Options;
use hms_sync::adapter::{Adapter as _, Delivery, Ended, Fleet};
use hms_sync::rules::outcome::Outcome;
use rustls::{ServerConfig, ServerConnection};

use crate::support::ca::{Ca, Leaf};
use crate::support::journal::{Expected, judge};
use crate::support::receiver::Receiver;
use crate::support::rest::{OneLane as _, adapter, options, parcel};
use crate::support::scenario::{Mix, Scenario, json};
use crate::transport::LIMIT;

/// Waits until something has ended.
fn ended(fleet: &mut dyn Fleet) -> Vec<Ended> {
    let mut ended = Vec::new();
    while ended.is_empty() {
        fleet.wait(None, &mut ended).unwrap();
    }
    ended
}

#[test]
fn a_delivery_that_hangs_holds_up_none_of_the_others() {
    let target = Receiver::start();
    let url = target.url("/");
    target.meet(|entry| (entry.key == "k-0").then(|| Scenario::named("hang")));
    let mut fleet = adapter(&url, options(&target.ca)).fleet(16).unwrap();
    let (mut begun, mut delivered) = (0, HashSet::new());
    while delivered.len() < 299 {
        while begun < 300 && fleet.room() > 0 {
            fleet.begin(begun, [parcel(&url, &format!("k-{begun}"), b"{}")].into());
            begun += 1;
        }
        for Ended { ticket, deliveries } in ended(&mut *fleet) {
            assert_eq!(deliveries[0].outcome, Outcome::Success, "{ticket}");
            assert!(ticket > 0 && delivered.insert(ticket), "{ticket}");
        }
    }
    assert_eq!((fleet.room(), target.connections()), (15, 16));
    drop(fleet);
    assert_eq!(target.journal().len(), 300);
}

/// Faults that end by themselves, and those that only the budget of the call ends.
const FAULTS: [(u32, &str); 22] = [
    (60, "ok"),
    (3, "commit_rst"),
    (3, "commit_close"),
    (3, "commit_cut"),
    (3, "rst_mid_request"),
    (3, "commit_partial"),
    (3, "idle_close"),
    (3, "cl_extra"),
    (3, "keepalive_poison"),
    (3, "chunked"),
    (3, "chunked_trunc"),
    (3, "bad_chunk"),
    (3, "gzip_refusal"),
    (3, "status_500"),
    (3, "status_503"),
    (3, "early_413"),
    (3, "early_hints"),
    (3, "many_headers"),
    (3, "no_length"),
    (1, "hang"),
    (1, "slow_body"),
    (1, "huge_body"),
];

#[test]
fn a_fleet_of_64_amid_faults_loses_nothing_and_keeps_the_order_of_each_record() {
    const RECORDS: usize = 40;
    const CHANGES: usize = 15;
    let target = Receiver::start();
    let url = target.url("/");
    target.mix(Some(Mix::new(7, &FAULTS)));
    let http = Options { timeout: LIMIT, ..options(&target.ca) };
    let mut fleet = adapter(&url, http).fleet(64).unwrap();
    let key = |record: usize, change: usize| format!("{record}-{change}");
    let mut expected = Vec::new();
    let mut waiting: VecDeque<(usize, usize)> = (0..RECORDS).map(|record| (record, 0)).collect();
    let mut under_way: HashMap<u64, (usize, usize)> = HashMap::new();
    let (mut tickets, mut left) = (0_u64, RECORDS * CHANGES);
    while left > 0 {
        while fleet.room() > 0 {
            let Some((record, change)) = waiting.pop_front() else { break };
            tickets += 1;
            under_way.insert(tickets, (record, change));
            let body = format!(r#"{{"record":{record},"change":{change}}}"#);
            fleet.begin(tickets, [parcel(&url, &key(record, change), body.as_bytes())].into());
        }
        for Ended { ticket, deliveries } in ended(&mut *fleet) {
            let (record, change) = under_way.remove(&ticket).expect("a ticket ends once");
            if !deliveries[0].outcome.is_delivered() {
                waiting.push_back((record, change));
                continue;
            }
            left -= 1;
            if change + 1 < CHANGES {
                waiting.push_back((record, change + 1));
            }
        }
    }
    for record in 0..RECORDS {
        expected.extend((0..CHANGES).map(|change| Expected::new(key(record, change), record.to_string())));
    }
    let journal = target.journal();
    assert_eq!(judge(&expected, &journal), Vec::<String>::new());
    assert!(journal.len() > RECORDS * CHANGES, "no fault was met");
    assert_eq!(fleet.room(), 64);
}

/// A target that treats each connection in its own way; counts them.
struct Odd {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Odd {
    fn start(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> Odd {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let (count, treat) = (Arc::clone(&connections), Arc::new(treat));
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                count.fetch_add(1, SeqCst);
                let treat = Arc::clone(&treat);
                std::thread::spawn(move || treat(socket));
            }
        });
        Odd { address, connections }
    }

    fn deliver(&self, scheme: &str, ca: &Ca, times: usize) -> Vec<Delivery> {
        let url = format!("{scheme}://{}/", self.address);
        let mut lane = adapter(&url, options(ca)).lane();
        (0..times).map(|number| lane.deliver(&parcel(&url, &format!("k-{number}"), b"{}"))).collect()
    }

    fn connections(&self) -> usize {
        self.connections.load(SeqCst)
    }
}

#[test]
fn a_target_that_hangs_up_at_once_is_tried_once_for_each_attempt() {
    let ca = Ca::new();
    let odd = Odd::start(drop);
    for delivery in odd.deliver("http", &ca, 50) {
        let (Outcome::Retry { transport, .. } | Outcome::Unknown { transport, .. }) = delivery.outcome else {
            panic!("{delivery:?}")
        };
        assert!(transport);
    }
    assert_eq!(odd.connections(), 50);
}

#[test]
fn a_target_that_speaks_first_is_no_http_server_and_is_tried_once_for_each_attempt() {
    let ca = Ca::new();
    let odd = Odd::start(|mut socket| {
        let _ = socket.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
        while matches!(socket.read(&mut [0; 1024]), Ok(count) if count > 0) {}
    });
    for delivery in odd.deliver("http", &ca, 50) {
        assert_eq!(delivery.outcome.reason().unwrap().class, "bad-answer", "{delivery:?}");
        assert_eq!(delivery.status, None);
    }
    assert_eq!(odd.connections(), 50);
}

/// The handshake, up to the server's last flight, which is not sent yet.
fn handshake(config: &Arc<ServerConfig>, socket: &mut TcpStream) -> Option<ServerConnection> {
    let mut session = ServerConnection::new(Arc::clone(config)).ok()?;
    while session.is_handshaking() {
        while session.wants_write() {
            session.write_tls(socket).ok()?;
        }
        (session.read_tls(socket).ok()? > 0).then_some(())?;
        session.process_new_packets().ok()?;
    }
    Some(session)
}

/// Reads until a whole request has come; its body is `{}`.
fn request(session: &mut ServerConnection, socket: &mut TcpStream) -> Option<()> {
    let mut text = Vec::new();
    loop {
        let _ = session.reader().read_to_end(&mut text);
        if text.ends_with(b"\r\n\r\n{}") {
            return Some(());
        }
        (session.read_tls(socket).ok()? > 0).then_some(())?;
        session.process_new_packets().ok()?;
    }
}

fn flush(session: &mut ServerConnection, socket: &mut TcpStream) -> Option<()> {
    while session.wants_write() {
        session.write_tls(socket).ok()?;
    }
    Some(())
}

#[test]
fn an_answer_that_comes_with_the_handshake_is_none() {
    let ca = Ca::new();
    // In TLS 1.2 the server has the last word of the handshake, and can say more in the same breath.
    let config = ca.server_of(Leaf::Good, &[&rustls::version::TLS12]);
    let odd = Odd::start(move |mut socket| {
        let Some(mut session) = handshake(&config, &mut socket) else { return };
        let _ = session.writer().write_all(&json(200, "", "{}"));
        let _ = flush(&mut session, &mut socket);
        while matches!(socket.read(&mut [0; 1024]), Ok(count) if count > 0) {}
    });
    // Each with a session of its own: in one that is resumed the client has the last word.
    for delivery in (0..5).flat_map(|_| odd.deliver("https", &ca, 1)) {
        let Outcome::Retry { reason, transport: true, .. } = &delivery.outcome else { panic!("{delivery:?}") };
        assert_eq!((reason.class.as_ref(), delivery.bytes), ("bad-answer", (0, 0)));
    }
    assert_eq!(odd.connections(), 5);
}

#[test]
fn new_keys_beside_an_answer_are_answered_and_the_answer_counts() {
    let ca = Ca::new();
    let config = ca.server(Leaf::Good);
    let odd = Odd::start(move |mut socket| {
        let Some(mut session) = handshake(&config, &mut socket) else { return };
        let _ = flush(&mut session, &mut socket);
        while request(&mut session, &mut socket).is_some() {
            // It asks for new keys of the other side as well: those come before the next request.
            session.refresh_traffic_keys().unwrap();
            let _ = session.writer().write_all(&json(200, "", "{}"));
            let _ = flush(&mut session, &mut socket);
        }
    });
    for delivery in odd.deliver("https", &ca, 50) {
        assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    }
    assert_eq!(odd.connections(), 1);
}

#[test]
fn a_target_that_says_its_last_word_with_the_answer_costs_no_delivery_a_second_try() {
    let ca = Ca::new();
    let config = ca.server(Leaf::Good);
    let odd = Odd::start(move |mut socket| {
        let Some(mut session) = handshake(&config, &mut socket) else { return };
        for number in 0..20 {
            if request(&mut session, &mut socket).is_none() {
                return;
            }
            let _ = session.writer().write_all(&json(200, "", "{}"));
            if number == 19 {
                session.send_close_notify();
            }
            let _ = flush(&mut session, &mut socket);
        }
        while matches!(socket.read(&mut [0; 1024]), Ok(count) if count > 0) {}
    });
    for delivery in odd.deliver("https", &ca, 100) {
        assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    }
    assert_eq!(odd.connections(), 5);
}
