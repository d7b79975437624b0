//! An event source: a WebSocket server over TLS that does on each connection what the test says.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use serde_json::Value;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, accept_hdr};

use super::ca::{Ca, Leaf};
use super::office::PATIENCE;
use super::stream::Stream;

/// A running source; it stops when dropped.
pub struct Source {
    pub ca: Arc<Ca>,
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    visits: AtomicUsize,
    heard: Mutex<Vec<Value>>,
    changed: Condvar,
}

/// One connection that was let in.
pub struct Visit {
    /// Its number, from 1, of those that were let in.
    pub number: usize,
    socket: WebSocket<Stream>,
    shared: Arc<Shared>,
}

/// What an upgrade is answered: let in, or a status with further header lines.
pub type Admit = fn(&Request) -> Result<(), (u16, &'static str)>;

impl Source {
    /// Over TLS; everybody is let in.
    pub fn start(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Source {
        Source::choosy(|_| Ok(()), script)
    }

    /// Over TLS; who is let in is asked first.
    pub fn choosy(admit: Admit, script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Source {
        let ca = Arc::new(Ca::new());
        let tls = ca.server(Leaf::Good);
        Source::run(ca, Some(tls), admit, script)
    }

    /// Without encryption.
    pub fn plain(script: impl Fn(&mut Visit) + Send + Sync + 'static) -> Source {
        Source::run(Arc::new(Ca::new()), None, |_| Ok(()), script)
    }

    fn run(
        ca: Arc<Ca>,
        tls: Option<Arc<ServerConfig>>,
        admit: Admit,
        script: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (shared, script) = (Arc::<Shared>::default(), Arc::new(script));
        let of_all = shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                if of_all.stop.load(SeqCst) {
                    return;
                }
                let (tls, shared, script) = (tls.clone(), of_all.clone(), script.clone());
                std::thread::spawn(move || {
                    if let Some(mut visit) = receive(socket, tls, admit, shared) {
                        script(&mut visit);
                    }
                });
            }
        });
        Source { ca, address, shared }
    }

    /// `127.0.0.1:PORT`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that was said to it, on all connections.
    pub fn heard(&self) -> Vec<Value> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Waits until what was said to it is as wanted, and gives it.
    pub fn wait(&self, what: &str, done: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let heard = self.shared.heard.lock().unwrap();
        let (heard, waited) = self.shared.changed.wait_timeout_while(heard, PATIENCE, |heard| !done(heard)).unwrap();
        assert!(!waited.timed_out(), "in vain: {what}; it heard {heard:?}");
        heard.clone()
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.address);
    }
}

fn receive(socket: TcpStream, tls: Option<Arc<ServerConfig>>, admit: Admit, shared: Arc<Shared>) -> Option<Visit> {
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let stream = match tls {
        Some(config) => Stream::tls(socket, config).ok()?,
        None => Stream::Plain(socket),
    };
    // The library wants the error of a refusal by value.
    #[allow(clippy::result_large_err)]
    let decide = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        admit(request).map(|()| response).map_err(|(status, header)| {
            let refusal = ErrorResponse::new(None);
            let (mut parts, body) = refusal.into_parts();
            parts.status = status.try_into().unwrap();
            if let Some((name, value)) = header.split_once(": ") {
                let name: tokio_tungstenite::tungstenite::http::HeaderName = name.parse().unwrap();
                parts.headers.insert(name, value.parse().unwrap());
            }
            ErrorResponse::from_parts(parts, body)
        })
    };
    let socket = accept_hdr(stream, decide).ok()?;
    let number = shared.visits.fetch_add(1, SeqCst) + 1;
    Some(Visit { number, socket, shared })
}

impl Visit {
    /// Reads the next thing that is said; none when the connection is over.
    pub fn hear(&mut self) -> Option<Value> {
        loop {
            match self.socket.read() {
                Ok(Message::Text(text)) => {
                    let value: Value = serde_json::from_str(&text).unwrap();
                    self.shared.heard.lock().unwrap().push(value.clone());
                    self.shared.changed.notify_all();
                    return Some(value);
                }
                Ok(_) => {}
                Err(_) => return None,
            }
        }
    }

    /// Sends a text; false when the connection is over.
    pub fn say(&mut self, text: impl Into<String>) -> bool {
        self.send(Message::text(text.into()))
    }

    /// Sends anything; false when the connection is over.
    pub fn send(&mut self, message: Message) -> bool {
        match self.socket.send(message) {
            Ok(()) => true,
            Err(Error::WriteBufferFull(_)) => panic!("there is no limit"),
            Err(_) => false,
        }
    }

    /// Answers pings, and notes what is said, until the other side goes.
    pub fn stay(&mut self) {
        while self.hear().is_some() {}
    }

    /// Closes with a code, in good order.
    pub fn close(&mut self, code: u16) {
        let _ = self.socket.close(Some(CloseFrame { code: CloseCode::from(code), reason: "secret".into() }));
        self.stay();
    }

    /// Sends the first bytes of a text's frame and no more of it, then cuts the connection.
    pub fn cut_in(&mut self, text: &str) {
        use std::io::Write as _;
        let stream = self.socket.get_mut();
        let mut frame = vec![0x81, u8::try_from(text.len()).unwrap()];
        frame.extend(text.as_bytes().iter().take(text.len() / 2));
        stream.write_all(&frame).and_then(|()| stream.flush()).unwrap();
        stream.cut();
    }

    /// Neither reads nor says anything for as long as the other side may take to notice.
    pub fn freeze(&mut self, over: impl Fn() -> bool) {
        while !over() {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
