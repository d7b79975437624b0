//! A receiver of HL7 v2 over MLLP, which acknowledges what it gets, and badly where told.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

use rustls::ServerConfig;

use super::ca::{Ca, Leaf};
use super::office::PATIENCE;
use super::stream::Stream;

/// What it says to one message, in pieces, made of the message's MSH-10.
type Words = Box<dyn Fn(&str) -> Vec<Vec<u8>> + Send>;

/// How the connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Keep,
    Close,
    Hang,
}

/// What one message meets.
pub struct Act {
    words: Words,
    after: After,
}

impl Act {
    /// One acknowledgement.
    pub fn ack(code: &'static str) -> Act {
        Act::says(move |control| vec![ack(code, control, "")])
    }

    /// Any words.
    pub fn says(words: impl Fn(&str) -> Vec<Vec<u8>> + Send + 'static) -> Act {
        Act { words: Box::new(words), after: After::Keep }
    }

    /// None.
    pub fn silence(after: After) -> Act {
        Act { words: Box::new(|_| Vec::new()), after }
    }

    /// And then.
    pub fn then(self, after: After) -> Act {
        Act { after, ..self }
    }
}

/// A framed acknowledgement; `more` are further segments.
pub fn ack(code: &str, control: &str, more: &str) -> Vec<u8> {
    framed(&format!("MSH|^~\\&|V|500|HMSSYNC|OF042|20260305||ACK|9|P|2.5.1\rMSA|{code}|{control}\r{more}"))
}

/// Between its bytes.
pub fn framed(message: &str) -> Vec<u8> {
    format!("\u{b}{message}\u{1c}\r").into_bytes()
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrived {
    /// Which connection, from 0.
    pub connection: usize,
    /// Without its frame.
    pub message: String,
}

impl Arrived {
    /// A field of its first segment of that name.
    pub fn field(&self, segment: &str, number: usize) -> &str {
        let line = self.message.split('\r').find(|line| line.starts_with(segment)).unwrap();
        line.split('|').nth(number - usize::from(segment == "MSH")).unwrap_or_default()
    }

    /// MSH-10.
    pub fn control(&self) -> &str {
        self.field("MSH", 10)
    }
}

#[derive(Default)]
struct Desk {
    next: VecDeque<Act>,
    journal: Vec<Arrived>,
    connections: usize,
}

/// A running receiver.
pub struct Clinic {
    shared: Arc<(Mutex<Desk>, Condvar)>,
    pub ca: Arc<Ca>,
    address: SocketAddr,
    tls: bool,
}

impl Clinic {
    /// Over TLS with such a certificate; acknowledges everything with AA.
    pub fn start(leaf: Leaf) -> Clinic {
        let ca = Arc::new(Ca::new());
        let config = ca.server(leaf);
        Clinic::listen(ca, Some(config))
    }

    /// Without TLS.
    pub fn plain() -> Clinic {
        Clinic::listen(Arc::new(Ca::new()), None)
    }

    fn listen(ca: Arc<Ca>, config: Option<Arc<ServerConfig>>) -> Clinic {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared: Arc<(Mutex<Desk>, Condvar)> = Arc::default();
        let (own, tls) = (Arc::clone(&shared), config.is_some());
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let (shared, config) = (Arc::clone(&own), config.clone());
                std::thread::spawn(move || serve(&shared, socket, config));
            }
        });
        Clinic { shared, ca, address, tls }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.tls { "mllps" } else { "mllp" }, self.address.port())
    }

    /// What the next message meets that has nothing before it.
    pub fn next(&self, act: Act) {
        self.shared.0.lock().unwrap().next.push_back(act);
    }

    /// What has arrived.
    pub fn journal(&self) -> Vec<Arrived> {
        self.shared.0.lock().unwrap().journal.clone()
    }

    /// How many connections there were.
    pub fn connections(&self) -> usize {
        self.shared.0.lock().unwrap().connections
    }

    /// Waits for so many messages.
    pub fn wait(&self, count: usize) -> Vec<Arrived> {
        let desk = self.shared.0.lock().unwrap();
        let (desk, waited) =
            self.shared.1.wait_timeout_while(desk, PATIENCE, |desk| desk.journal.len() < count).unwrap();
        assert!(!waited.timed_out(), "only these came: {:#?}", desk.journal);
        desk.journal.clone()
    }
}

fn serve(shared: &(Mutex<Desk>, Condvar), socket: TcpStream, config: Option<Arc<ServerConfig>>) {
    let stream = match config {
        None => Ok(Stream::Plain(socket)),
        Some(config) => Stream::tls(socket, config),
    };
    let Ok(mut stream) = stream else { return };
    let connection = {
        let mut desk = shared.0.lock().unwrap();
        desk.connections += 1;
        desk.connections - 1
    };
    let (mut heard, mut block) = (Vec::new(), [0; 4096]);
    loop {
        let Some(end) = heard.windows(2).position(|pair| pair == b"\x1c\r") else {
            match stream.read(&mut block) {
                Ok(count) if count > 0 => heard.extend_from_slice(&block[..count]),
                _ => return,
            }
            continue;
        };
        let whole: Vec<u8> = heard.drain(..end + 2).collect();
        assert_eq!(whole.first(), Some(&0x0b), "no frame around {whole:?}");
        let message = String::from_utf8(whole[1..end].to_vec()).unwrap();
        let arrived = Arrived { connection, message };
        // What is said back to us is no message of the office.
        let commit = arrived.message.contains("\rMSA|");
        let act = {
            let mut desk = shared.0.lock().unwrap();
            desk.journal.push(arrived.clone());
            shared.1.notify_all();
            if commit { Some(Act::silence(After::Keep)) } else { desk.next.pop_front() }
        };
        let act = act.unwrap_or_else(|| Act::ack("AA"));
        for piece in (act.words)(arrived.control()) {
            if stream.write_all(&piece).and_then(|()| stream.flush()).is_err() {
                return;
            }
        }
        match act.after {
            After::Keep => {}
            After::Close => {
                stream.close();
                return stream.hang();
            }
            After::Hang => return stream.hang(),
        }
    }
}
