//! A target that does as little as can be: one readiness loop, keep-alive, TLS, a fixed answer.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustls::{ServerConfig, ServerConnection};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const LISTENER: u64 = 0;

/// Serves for ever; `seen` is called with the body of each request.
pub fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = LISTENER + 1;
    let mut events = Vec::with_capacity(128);
    loop {
        epoll::wait(&poll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            let at = event.data.u64();
            if at == LISTENER {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                epoll::add(&poll, &socket, EventData::new_u64(next), EventFlags::IN)?;
                let session = ServerConnection::new(tls.clone()).map_err(io::Error::other)?;
                connections.insert(next, Connection { socket, session, input: Vec::with_capacity(16 * 1024) });
                next += 1;
            } else if let Some(connection) = connections.get_mut(&at)
                && !connection.turn(&mut seen).unwrap_or(false)
            {
                // Closing the socket takes it out of the poll.
                connections.remove(&at);
            }
        }
    }
}

struct Connection {
    socket: TcpStream,
    session: ServerConnection,
    input: Vec<u8>,
}

impl Connection {
    /// Takes what has come; false = the client has gone.
    fn turn(&mut self, seen: &mut impl FnMut(&[u8])) -> io::Result<bool> {
        match self.session.read_tls(&mut self.socket) {
            Ok(0) => return Ok(false),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        self.session.process_new_packets().map_err(io::Error::other)?;
        if let Err(error) = self.session.reader().read_to_end(&mut self.input)
            && error.kind() != ErrorKind::WouldBlock
        {
            return Ok(false);
        }
        let mut from = 0;
        while let Some((body, end)) = request(&self.input[from..]) {
            seen(&self.input[from + body..from + end]);
            self.session.writer().write_all(ANSWER)?;
            from += end;
        }
        self.input.drain(..from);
        while self.session.wants_write() {
            self.session.write_tls(&mut self.socket)?;
        }
        Ok(true)
    }
}

/// Where the body of the first whole request or answer begins and ends.
pub fn request(input: &[u8]) -> Option<(usize, usize)> {
    let head = input.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let length = input[..head]
        .split(|byte| *byte == b'\n')
        .find_map(|line| {
            let (name, value) = line.split_at_checked(15)?;
            name.eq_ignore_ascii_case(b"content-length:").then(|| number(value.trim_ascii()))
        })
        .unwrap_or(0);
    let end = head + usize::try_from(length).unwrap();
    (input.len() >= end).then_some((head, end))
}

/// The number that a text begins with.
pub fn number(text: &[u8]) -> u64 {
    text.iter().take_while(|byte| byte.is_ascii_digit()).fold(0, |sum, byte| sum * 10 + u64::from(byte - b'0'))
}
