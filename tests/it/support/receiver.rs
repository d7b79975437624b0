//! A target that behaves like an idempotent store and, where told, badly.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ServerConfig;

use super::ca::{Ca, Leaf};
use super::journal::Entry;
use super::scenario::{Act, End, Mix, Scenario, json};
use super::stream::{Stream, reset};

/// What a new connection meets, before any HTTP.
#[derive(Clone)]
pub enum Door {
    /// TLS with such a certificate.
    Tls(Leaf),
    /// Plain http.
    Plain,
    /// TLS expected, plain HTTP answered.
    PlainInstead,
    /// A fatal alert (handshake_failure).
    Abort,
    /// A fatal alert (protocol_version), as a target that knows only TLS 1.1 sends it.
    Tls11,
    /// Closed when the handshake begins.
    CloseInHandshake,
    /// Reset when the handshake begins.
    Reset,
    /// Reset after the handshake, before the request is read.
    ResetAfterHandshake,
    /// Silence.
    Stall,
}

/// A running target; it stops when dropped.
pub struct Receiver {
    shared: Arc<Shared>,
    pub ca: Arc<Ca>,
    address: SocketAddr,
    accepting: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    door: Mutex<Door>,
    configs: HashMap<&'static str, Arc<ServerConfig>>,
    desk: Mutex<Desk>,
    changed: Condvar,
    connections: AtomicUsize,
    live: Mutex<HashMap<usize, TcpStream>>,
    stop: AtomicBool,
}

type Rule<T> = Box<dyn Fn(&Entry) -> T + Send>;

#[derive(Default)]
struct Desk {
    next: VecDeque<Scenario>,
    mix: Option<Mix>,
    journal: Vec<Entry>,
    store: HashMap<String, (String, String, Vec<u8>)>,
    /// What the store had when the journal was taken last.
    before: HashMap<String, (String, String, Vec<u8>)>,
    closed: usize,
    meets: Option<Rule<Option<Scenario>>>,
    lets_go: bool,
    answers: Option<Rule<Option<Scenario>>>,
    admits: Option<Rule<bool>>,
    tokens: Vec<Entry>,
    next_token: VecDeque<Scenario>,
    token_life: Option<String>,
}

const LEAVES: [(Leaf, &str); 6] = [
    (Leaf::Good, "good"),
    (Leaf::Expired, "expired"),
    (Leaf::NotYet, "not yet"),
    (Leaf::WrongHost, "wrong host"),
    (Leaf::SelfSigned, "self-signed"),
    (Leaf::WantsClient, "wants client"),
];

fn leaf_name(leaf: Leaf) -> &'static str {
    LEAVES.iter().find(|(known, _)| *known == leaf).unwrap().1
}

impl Receiver {
    /// Over TLS, with an authority of its own; commits everything.
    pub fn start() -> Receiver {
        Receiver::start_with(Arc::new(Ca::new()), Door::Tls(Leaf::Good), "127.0.0.1:0")
    }

    /// With a given authority, door and address.
    pub fn start_with(ca: Arc<Ca>, door: Door, listen: &str) -> Receiver {
        let configs = LEAVES.iter().map(|(leaf, name)| (*name, ca.server(*leaf))).collect();
        let listener = TcpListener::bind(listen).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            door: Mutex::new(door),
            configs,
            desk: Mutex::default(),
            changed: Condvar::new(),
            connections: AtomicUsize::new(0),
            live: Mutex::default(),
            stop: AtomicBool::new(false),
        });
        let accepting = Mutex::new(Some(shared.accept(listener)));
        Receiver { shared, ca, address, accepting }
    }

    /// An outage: its port refuses connections, and those that were there are cut.
    pub fn close(&self) {
        let Some(accepting) = self.accepting.lock().unwrap().take() else { return };
        self.shared.stop.store(true, SeqCst);
        // Wakes the accepting thread; its listener is closed when it has ended.
        let _ = TcpStream::connect(self.address);
        accepting.join().unwrap();
        for (_, socket) in self.shared.live.lock().unwrap().drain() {
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Ends the outage.
    pub fn reopen(&self) {
        self.shared.stop.store(false, SeqCst);
        let listener = TcpListener::bind(self.address).unwrap();
        *self.accepting.lock().unwrap() = Some(self.shared.accept(listener));
    }

    /// Waits until the journal is as wanted, and gives it.
    pub fn wait(&self, what: &str, done: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
        let desk = self.shared.desk.lock().unwrap();
        let (desk, waited) = self
            .shared
            .changed
            .wait_timeout_while(desk, Duration::from_secs(180), |desk| !done(&desk.journal))
            .unwrap();
        let tail = || desk.journal.iter().rev().take(20).map(|entry| (&entry.key, &entry.path, &entry.scenario));
        assert!(
            !waited.timed_out(),
            "in vain: {what}; the last of {} requests: {:#?}",
            desk.journal.len(),
            tail().collect::<Vec<_>>()
        );
        desk.journal.clone()
    }

    /// `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A URL of this target: https unless its door is plain.
    pub fn url(&self, path: &str) -> String {
        let scheme = if matches!(*self.shared.door.lock().unwrap(), Door::Plain) { "http" } else { "https" };
        format!("{scheme}://{}{path}", self.address)
    }

    /// What new connections meet from now on.
    pub fn door(&self, door: Door) {
        *self.shared.door.lock().unwrap() = door;
    }

    /// What the next request meets; several calls queue up.
    pub fn next(&self, scenario: Scenario) {
        self.desk(|desk| desk.next.push_back(scenario));
    }

    /// What certain requests meet from now on, by method, path and headers; those that the rule passes over meet what
    /// they would have met.
    pub fn meet(&self, rule: impl Fn(&Entry) -> Option<Scenario> + Send + 'static) {
        self.desk(|desk| desk.meets = Some(Box::new(rule)));
    }

    /// What certain requests meet from now on, by their bodies too, whatever they would have met.
    pub fn answer(&self, rule: impl Fn(&Entry) -> Option<Scenario> + Send + 'static) {
        self.desk(|desk| desk.answers = Some(Box::new(rule)));
    }

    /// What is answered late is answered now.
    pub fn let_go(&self) {
        self.desk(|desk| desk.lets_go = true);
        self.shared.changed.notify_all();
    }

    /// Everything is committed and answered as it should be from now on.
    pub fn behave(&self) {
        self.desk(|desk| (desk.meets, desk.mix, desk.admits) = (None, None, None));
        self.desk(|desk| desk.next.clear());
    }

    /// What requests meet that nothing is queued for; none = "ok".
    pub fn mix(&self, mix: Option<Mix>) {
        self.desk(|desk| desk.mix = mix);
    }

    /// Requests that this does not admit get 401 and are not committed.
    pub fn admit(&self, rule: impl Fn(&Entry) -> bool + Send + 'static) {
        self.desk(|desk| desk.admits = Some(Box::new(rule)));
    }

    /// Everything that arrived at the store, in order.
    pub fn journal(&self) -> Vec<Entry> {
        self.desk(|desk| desk.journal.clone())
    }

    /// Goes on from another time: with this journal, and with what of it was committed.
    pub fn resume(&self, journal: Vec<Entry>) {
        let request = |entry: &Entry| (entry.method.clone(), entry.path.clone(), entry.body.clone());
        let done = journal.iter().filter(|entry| entry.committed);
        let store = done.map(|entry| (entry.key.clone(), request(entry))).collect();
        self.desk(|desk| (desk.journal, desk.store) = (journal, store));
    }

    /// Waits until nobody is connected any more, then forgets everything it was ever sent.
    pub fn forget(&self) {
        super::office::wait("every connection is closed", || self.shared.live.lock().unwrap().is_empty());
        self.desk(|desk| {
            desk.journal.clear();
            desk.store.clear();
        });
    }

    /// The journal since this was last asked. The store forgets what it had at the call before: a test that runs for
    /// days stays as small as at its beginning.
    pub fn take(&self) -> Vec<Entry> {
        self.desk(|desk| {
            desk.before = std::mem::take(&mut desk.store);
            std::mem::take(&mut desk.journal)
        })
    }

    /// What the next call of `/token` meets; without, it gives `token-1`, `token-2`...
    pub fn next_token(&self, scenario: Scenario) {
        self.desk(|desk| desk.next_token.push_back(scenario));
    }

    /// `expires_in` of the tokens, as it stands in the JSON; none = the field is missing.
    pub fn token_life(&self, life: Option<&str>) {
        self.desk(|desk| desk.token_life = life.map(str::to_owned));
    }

    /// Calls of `/token`, in order.
    pub fn tokens(&self) -> Vec<Entry> {
        self.desk(|desk| desk.tokens.clone())
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// Waits until this side has closed so many connections: the peer's machine knows it by then.
    pub fn wait_closed(&self, count: usize) {
        let desk = self.shared.desk.lock().unwrap();
        let waited = self.shared.changed.wait_timeout_while(desk, Duration::from_secs(180), |desk| desk.closed < count);
        assert!(!waited.unwrap().1.timed_out(), "no {count} connections were closed");
    }

    fn desk<T>(&self, act: impl FnOnce(&mut Desk) -> T) -> T {
        act(&mut self.shared.desk.lock().unwrap())
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn accept(self: &Arc<Shared>, listener: TcpListener) -> JoinHandle<()> {
        let accepting = Arc::clone(self);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                if accepting.stop.load(SeqCst) {
                    return;
                }
                let Ok(socket) = socket else { continue };
                let shared = Arc::clone(&accepting);
                let number = shared.connections.fetch_add(1, SeqCst);
                let Ok(handle) = socket.try_clone() else { continue };
                shared.live.lock().unwrap().insert(number, handle);
                // Peers that go away are what this is for.
                std::thread::spawn(move || {
                    let _ = shared.connection(socket, number);
                    shared.live.lock().unwrap().remove(&number);
                });
            }
        })
    }

    fn connection(&self, mut socket: TcpStream, number: usize) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let door = self.door.lock().unwrap().clone();
        let hello = |socket: &mut TcpStream| socket.read(&mut [0; 4096]);
        let stream = match door {
            Door::Tls(leaf) => Stream::tls(socket, Arc::clone(&self.configs[leaf_name(leaf)]))?,
            Door::Plain => Stream::Plain(socket),
            Door::PlainInstead => {
                hello(&mut socket)?;
                socket.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
                Stream::Plain(socket).hang();
                return Ok(());
            }
            Door::Abort | Door::Tls11 => {
                hello(&mut socket)?;
                let alert = if matches!(door, Door::Abort) { 40 } else { 70 };
                socket.write_all(&[21, 3, 2, 0, 2, 2, alert])?;
                Stream::Plain(socket).close();
                return Ok(());
            }
            Door::CloseInHandshake => {
                hello(&mut socket)?;
                Stream::Plain(socket).close();
                return Ok(());
            }
            Door::Reset => {
                hello(&mut socket)?;
                reset(&socket);
                return Ok(());
            }
            Door::ResetAfterHandshake => {
                Stream::tls(socket, Arc::clone(&self.configs["good"]))?.reset();
                return Ok(());
            }
            Door::Stall => {
                Stream::Plain(socket).hang();
                return Ok(());
            }
        };
        self.serve(stream, number)
    }

    fn serve(&self, mut stream: Stream, number: usize) -> io::Result<()> {
        let mut buffer = Vec::new();
        loop {
            let Some(mut entry) = head(&mut stream, &mut buffer, number)? else { return Ok(()) };
            let token = entry.path.split('?').next() == Some("/token");
            let scenario = self.choose(&entry, token);
            entry.scenario = scenario.name.clone();
            let length = entry.header("content-length").map_or(0, |digits| digits.parse().unwrap());
            if !matches!(scenario.act, Act::Early { .. } | Act::ResetInRequest) {
                let mut part = vec![0; 64 * 1024];
                while buffer.len() < length {
                    let count = stream.read(&mut part)?;
                    if count == 0 {
                        return Ok(());
                    }
                    buffer.extend_from_slice(&part[..count]);
                }
                entry.body = buffer.drain(..length).collect();
            }
            let by_body = self.desk.lock().unwrap().answers.as_ref().and_then(|rule| rule(&entry));
            let scenario = by_body.filter(|_| !token).unwrap_or(scenario);
            entry.scenario = scenario.name.clone();
            let act = self.settle(entry, scenario.act, token);
            match act {
                Act::Answer { bytes, end, .. } => {
                    stream.write_all(&bytes)?;
                    stream.flush()?;
                    match end {
                        End::Keep => continue,
                        End::Reset => stream.reset(),
                        End::Hang => stream.hang(),
                        End::Close | End::Cut => {
                            if end == End::Close {
                                stream.close()
                            } else {
                                stream.cut()
                            }
                            self.desk.lock().unwrap().closed += 1;
                            self.changed.notify_all();
                            stream.hang();
                        }
                    }
                }
                Act::Late { bytes } => {
                    let desk = self.desk.lock().unwrap();
                    drop(self.changed.wait_while(desk, |desk| !desk.lets_go).unwrap());
                    stream.write_all(&bytes)?;
                    stream.flush()?;
                    continue;
                }
                Act::Drip { head, rest } => {
                    stream.write_all(&head)?;
                    stream.drip(&rest, Duration::from_millis(5));
                }
                Act::Flood { head, unit, times } => {
                    stream.write_all(&head)?;
                    for _ in 0..times {
                        stream.write_all(&unit)?;
                    }
                    stream.close();
                    stream.hang();
                }
                Act::Early { bytes } => {
                    stream.write_all(&bytes)?;
                    stream.flush()?;
                    // Waits for more of the body, so that the writer is still writing when the reset comes.
                    let _ = stream.read(&mut [0; 1024]);
                    stream.reset();
                }
                Act::ResetInRequest => stream.reset(),
            }
            return Ok(());
        }
    }

    fn choose(&self, entry: &Entry, token: bool) -> Scenario {
        let mut desk = self.desk.lock().unwrap();
        if token {
            let life = desk.token_life.as_ref().map_or(String::new(), |life| format!(r#","expires_in":{life}"#));
            let number = desk.tokens.len() + 1;
            let body = format!(r#"{{"access_token":"token-{number}","token_type":"Bearer"{life}}}"#);
            let answer = || Scenario::answer("token", true, json(200, "", &body), End::Keep);
            return desk.next_token.pop_front().unwrap_or_else(answer);
        }
        if let Some(scenario) = desk.meets.as_ref().and_then(|rule| rule(entry)) {
            return scenario;
        }
        if let Some(scenario) = desk.next.pop_front() {
            return scenario;
        }
        match &mut desk.mix {
            Some(mix) => mix.draw(&entry.key),
            None => Scenario::named("ok"),
        }
    }

    /// Commits, if the scenario does, and notes the request. One lock: the journal's order is the order of commits.
    fn settle(&self, mut entry: Entry, act: Act, token: bool) -> Act {
        let mut desk = self.desk.lock().unwrap();
        if token {
            desk.tokens.push(entry);
            return act;
        }
        let wants =
            matches!(&act, Act::Answer { commit: true, .. } | Act::Late { .. } | Act::Drip { .. } | Act::Flood { .. });
        let mut act = act;
        if desk.admits.as_ref().is_some_and(|admits| !admits(&entry)) {
            act = Act::Answer { commit: false, bytes: json(401, "WWW-Authenticate: Bearer\r\n", "{}"), end: End::Keep };
        } else if wants {
            if let Some(known) = desk.before.remove(&entry.key) {
                desk.store.insert(entry.key.clone(), known);
            }
            let request = (entry.method.clone(), entry.path.clone(), entry.body.clone());
            let known = desk.store.entry(entry.key.clone()).or_insert_with(|| request.clone());
            entry.committed = *known == request;
            if !entry.committed {
                let body = r#"{"title":"same key, other request"}"#;
                act = Act::Answer { commit: false, bytes: json(422, "", body), end: End::Keep };
            }
        }
        desk.journal.push(entry);
        self.changed.notify_all();
        act
    }
}

/// Reads one head; what follows stays in the buffer. None = the peer went away.
pub(super) fn head(stream: &mut Stream, buffer: &mut Vec<u8>, connection: usize) -> io::Result<Option<Entry>> {
    let mut part = [0; 4096];
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let count = stream.read(&mut part)?;
        if count == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(&part[..count]);
    };
    let text: Vec<u8> = buffer.drain(..end + 4).collect();
    let text = String::from_utf8(text).unwrap();
    let mut lines = text.trim_end().split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let key = headers.iter().find(|(name, _)| name == "idempotency-key").map(|(_, value)| value.clone());
    Ok(Some(Entry {
        connection,
        method: first.next().unwrap().to_owned(),
        path: first.next().unwrap().to_owned(),
        headers,
        body: Vec::new(),
        key: key.unwrap_or_default(),
        committed: false,
        scenario: String::new(),
    }))
}

/// An address where a connection is never answered: a listener whose queue is full. It lives as long as this does.
pub struct Blackhole {
    pub address: SocketAddr,
    _listener: std::os::fd::OwnedFd,
    _queue: Vec<TcpStream>,
}

impl Blackhole {
    /// Fills a queue of one.
    pub fn new() -> Blackhole {
        use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
        let listener = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&listener, &"127.0.0.1:0".parse::<SocketAddr>().unwrap()).unwrap();
        listen(&listener, 0).unwrap();
        let address = SocketAddr::try_from(getsockname(&listener).unwrap()).unwrap();
        let mut queue = Vec::new();
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(100)) {
            queue.push(stream);
        }
        Blackhole { address, _listener: listener, _queue: queue }
    }
}

/// An address where connections are refused.
pub fn refusing() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
