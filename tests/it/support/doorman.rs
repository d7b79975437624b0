//! A server over TLS that answers each request as a rule says: a token endpoint, a sign-in, a target that looks closely.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::ServerConfig;

use super::ca::{Ca, Leaf};
use super::journal::Entry;
use super::receiver::head;
use super::stream::Stream;

type Rule = dyn Fn(&Entry) -> Vec<u8> + Send + Sync;

/// A running server.
pub struct Doorman {
    pub ca: Arc<Ca>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    config: Mutex<Arc<ServerConfig>>,
    rule: Box<Rule>,
    journal: Mutex<Vec<Entry>>,
    changed: Condvar,
}

impl Doorman {
    /// With an authority of its own.
    pub fn start(rule: impl Fn(&Entry) -> Vec<u8> + Send + Sync + 'static) -> Doorman {
        Doorman::of(Arc::new(Ca::new()), rule)
    }

    /// With a given authority.
    pub fn of(ca: Arc<Ca>, rule: impl Fn(&Entry) -> Vec<u8> + Send + Sync + 'static) -> Doorman {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            config: Mutex::new(ca.server(Leaf::Good)),
            rule: Box::new(rule),
            journal: Mutex::default(),
            changed: Condvar::new(),
        });
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for (number, socket) in listener.incoming().flatten().enumerate() {
                let shared = accepting.clone();
                std::thread::spawn(move || shared.serve(socket, number));
            }
        });
        Doorman { ca, address, shared }
    }

    /// What new connections are shown from now on.
    pub fn show(&self, config: Arc<ServerConfig>) {
        *self.shared.config.lock().unwrap() = config;
    }

    /// A URL of this server.
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    /// `host:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that was asked, in order.
    pub fn journal(&self) -> Vec<Entry> {
        self.shared.journal.lock().unwrap().clone()
    }

    /// How often something was asked at a path.
    pub fn count(&self, path: &str) -> usize {
        self.journal().iter().filter(|entry| entry.path.split('?').next() == Some(path)).count()
    }

    /// Waits until the journal is as wanted.
    pub fn wait(&self, what: &str, done: impl Fn(&[Entry]) -> bool) {
        let journal = self.shared.journal.lock().unwrap();
        let patience = Duration::from_secs(180);
        let (journal, waited) =
            self.shared.changed.wait_timeout_while(journal, patience, |journal| !done(journal)).unwrap();
        assert!(!waited.timed_out(), "in vain: {what}; {} requests: {journal:#?}", journal.len());
    }
}

impl Shared {
    fn serve(&self, socket: TcpStream, number: usize) -> io::Result<()> {
        socket.set_nodelay(true)?;
        let config = self.config.lock().unwrap().clone();
        let mut stream = Stream::tls(socket, config)?;
        let mut buffer = Vec::new();
        while let Some(mut entry) = head(&mut stream, &mut buffer, number)? {
            let length = entry.header("content-length").map_or(0, |digits| digits.parse().unwrap());
            let mut part = [0; 4096];
            while buffer.len() < length {
                match stream.read(&mut part)? {
                    0 => return Ok(()),
                    count => buffer.extend_from_slice(&part[..count]),
                }
            }
            entry.body = buffer.drain(..length).collect();
            // Asked first, noted then: what stands in the journal was answered.
            let answer = (self.rule)(&entry);
            self.journal.lock().unwrap().push(entry);
            self.changed.notify_all();
            stream.write_all(&answer)?;
            stream.flush()?;
        }
        Ok(())
    }
}

/// An answer with further header lines, each ended by CRLF.
pub fn answer(status: u16, more: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\n{more}Content-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// The fields of a form.
pub fn form(body: &[u8]) -> std::collections::HashMap<String, String> {
    let decode = |text: &str| {
        let mut out = Vec::new();
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
                    out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                }
                b'+' => out.push(b' '),
                byte => out.push(byte),
            }
        }
        String::from_utf8(out).unwrap()
    };
    let body = std::str::from_utf8(body).unwrap();
    body.split('&').filter_map(|pair| pair.split_once('=')).map(|(name, value)| (decode(name), decode(value))).collect()
}
