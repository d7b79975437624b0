//! A raw keep-alive client: one write, one read, nothing else.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ClientConfig, ClientConnection};

use super::receiver;

/// A connection.
pub struct Client {
    socket: TcpStream,
    session: ClientConnection,
    request: Vec<u8>,
    answer: Vec<u8>,
    port: u16,
}

impl Client {
    /// Connects, handshake included.
    pub fn connect(port: u16, tls: Arc<ClientConfig>) -> Client {
        let mut socket = TcpStream::connect(("127.0.0.1", port)).unwrap();
        socket.set_nodelay(true).unwrap();
        let mut session = ClientConnection::new(tls, "127.0.0.1".try_into().unwrap()).unwrap();
        while session.is_handshaking() {
            session.complete_io(&mut socket).unwrap();
        }
        Client { socket, session, request: Vec::new(), answer: Vec::new(), port }
    }

    /// Posts a body and takes the answer, which must be a 200.
    pub fn post(&mut self, key: i64, body: &[u8]) {
        self.request.clear();
        write!(
            self.request,
            "POST /appointments HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        )
        .unwrap();
        self.request.extend_from_slice(body);
        self.session.writer().write_all(&self.request).unwrap();
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket).unwrap();
        }
        self.answer.clear();
        loop {
            assert!(self.session.read_tls(&mut self.socket).unwrap() > 0, "the receiver has hung up");
            self.session.process_new_packets().unwrap();
            if let Err(error) = self.session.reader().read_to_end(&mut self.answer) {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
            }
            if receiver::request(&self.answer).is_some() {
                break;
            }
        }
        assert!(self.answer.starts_with(b"HTTP/1.1 200 "), "the receiver refuses");
    }
}
