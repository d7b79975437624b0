//! A target that does as little as can be: one readiness loop, keep-alive, TLS or not, a fixed answer at once or later.

use std::collections::{HashMap, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustls::{ServerConfig, ServerConnection};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const REFUSAL: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
const LISTENER: u64 = 0;

/// Serves TLS for ever; `seen` is called with the body of each request, which is answered at once.
pub fn serve(listener: &TcpListener, tls: &Arc<ServerConfig>, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    answer(listener, Some(tls), Duration::ZERO, |body| {
        seen(body);
        true
    })
}

/// Serves for ever, with TLS or without; each request is answered so long after it came: 200, or 503 where `seen` says
/// no. The wait holds up nobody else.
pub fn answer(
    listener: &TcpListener,
    tls: Option<&Arc<ServerConfig>>,
    after: Duration,
    mut seen: impl FnMut(&[u8]) -> bool,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut next = LISTENER + 1;
    let mut events = Vec::with_capacity(128);
    // Every answer waits equally long, so they fall due in the order of coming in.
    let mut waiting: VecDeque<(Instant, u64, bool)> = VecDeque::new();
    loop {
        wait(&poll, waiting.front().map(|(due, ..)| *due), &mut events)?;
        for event in events.drain(..) {
            let at = event.data.u64();
            if at == LISTENER {
                let (socket, _) = listener.accept()?;
                socket.set_nonblocking(true)?;
                socket.set_nodelay(true)?;
                epoll::add(&poll, &socket, EventData::new_u64(next), EventFlags::IN)?;
                let session =
                    tls.map(|tls| ServerConnection::new(tls.clone())).transpose().map_err(io::Error::other)?;
                connections.insert(next, Connection { socket, session, input: Vec::with_capacity(16 * 1024) });
                next += 1;
            } else if let Some(connection) = connections.get_mut(&at) {
                let turned = connection.turn(|connection, body| {
                    let good = seen(&connection.input[body]);
                    if after.is_zero() {
                        return connection.say(good);
                    }
                    waiting.push_back((Instant::now() + after, at, good));
                    Ok(())
                });
                // Closing the socket takes it out of the poll.
                if !turned.and_then(|here| connection.flush().map(|()| here)).unwrap_or(false) {
                    connections.remove(&at);
                }
            }
        }
        while waiting.front().is_some_and(|(due, ..)| *due <= Instant::now()) {
            let Some((_, at, good)) = waiting.pop_front() else { break };
            let said =
                connections.get_mut(&at).map(|connection| connection.say(good).and_then(|()| connection.flush()));
            if said.is_some_and(|said| said.is_err()) {
                connections.remove(&at);
            }
        }
    }
}

/// Waits for events, at most until `due`. The readiness call itself would round up to a millisecond.
fn wait(epoll: &OwnedFd, due: Option<Instant>, events: &mut Vec<epoll::Event>) -> io::Result<()> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    if let Some(due) = due {
        let left = due.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        poll(&mut [PollFd::new(epoll, PollFlags::IN)], Some(&left))?;
    }
    epoll::wait(epoll, spare_capacity(events), due.map(|_| &at_once))?;
    Ok(())
}

struct Connection {
    socket: TcpStream,
    session: Option<ServerConnection>,
    input: Vec<u8>,
}

impl Connection {
    /// Takes what has come, and hands over where each body lies in it; false = the client has gone.
    fn turn(
        &mut self,
        mut request_is_here: impl FnMut(&mut Connection, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<bool> {
        if !self.receive()? {
            return Ok(false);
        }
        let mut from = 0;
        while let Some((body, end)) = request(&self.input[from..]) {
            request_is_here(self, from + body..from + end)?;
            from += end;
        }
        self.input.drain(..from);
        Ok(true)
    }

    fn receive(&mut self) -> io::Result<bool> {
        let Some(session) = &mut self.session else {
            let mut part = [0; 16 * 1024];
            return match self.socket.read(&mut part) {
                Ok(0) => Ok(false),
                Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
                Err(_) => Ok(true),
                Ok(length) => {
                    self.input.extend_from_slice(&part[..length]);
                    Ok(true)
                }
            };
        };
        match session.read_tls(&mut self.socket) {
            Ok(0) => return Ok(false),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
        session.process_new_packets().map_err(io::Error::other)?;
        match session.reader().read_to_end(&mut self.input) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Ok(false),
            _ => Ok(true),
        }
    }

    fn say(&mut self, good: bool) -> io::Result<()> {
        let answer = if good { ANSWER } else { REFUSAL };
        match &mut self.session {
            Some(session) => session.writer().write_all(answer),
            None => self.socket.write_all(answer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(session) = &mut self.session {
            while session.wants_write() {
                session.write_tls(&mut self.socket)?;
            }
        }
        Ok(())
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
