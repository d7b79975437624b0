//! Opening a connection, and a connection under ureq: blocking, with one deadline for a whole call.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ClientConnection;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};

use super::buffers::Corked;
use super::line::look;
use super::trouble::Trouble;
use crate::adapter::tls::{self, Lasting};

/// Longest time that a read or write sleeps in the operating system before it looks at the deadline again. Set once
/// per connection, so that a call costs no time-out system calls.
const TICK: Duration = Duration::from_millis(500);

/// Bytes of a request that are held back for one write.
const CORK: usize = 64 * 1024;

/// What an exchange and its connection tell each other. One thread uses both; the atomics only make that safe to say.
#[derive(Debug)]
pub struct Wire {
    base: Instant,
    /// Nanoseconds after `base`.
    deadline: AtomicU64,
    line: AtomicUsize,
    sent: AtomicU64,
    write_failed: AtomicBool,
    trouble: Mutex<Option<Trouble>>,
}

impl Wire {
    /// A wire whose deadline has passed: every call starts with [`Wire::begin`].
    pub fn new() -> Wire {
        Wire {
            base: Instant::now(),
            deadline: AtomicU64::new(0),
            line: AtomicUsize::new(0),
            sent: AtomicU64::new(0),
            write_failed: AtomicBool::new(false),
            trouble: Mutex::new(None),
        }
    }

    /// Starts a call that may take so long in all, and whose longest header line has so many bytes.
    pub fn begin(&self, limit: Duration, line: usize) {
        self.line.store(line, Relaxed);
        let end = self.base.elapsed().saturating_add(limit);
        self.deadline.store(u64::try_from(end.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        self.sent.store(0, Relaxed);
        self.write_failed.store(false, Relaxed);
        self.put_trouble(None);
    }

    /// When the call must be over.
    pub fn deadline(&self) -> Instant {
        self.base + Duration::from_nanos(self.deadline.load(Relaxed))
    }

    fn left(&self) -> Duration {
        self.deadline().saturating_duration_since(Instant::now())
    }

    /// Bytes of the request that the operating system took in this call.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Whether a part of the request could not be written; an answer may have come nevertheless.
    pub fn write_failed(&self) -> bool {
        self.write_failed.load(Relaxed)
    }

    /// Why the connection failed in this call, if it did.
    pub fn take_trouble(&self) -> Option<Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put_trouble(&self, trouble: Option<Trouble>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Notes a trouble and makes the error that carries it through ureq.
    pub fn fail(&self, trouble: Trouble) -> ureq::Error {
        self.put_trouble(Some(trouble.clone()));
        ureq::Error::Other(Box::new(trouble))
    }
}

/// What an input/output error means, on an open connection or while it is opened.
pub fn trouble(error: &io::Error, opening: bool) -> Trouble {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, HostUnreachable, InvalidData,
        NetworkUnreachable, NotConnected, TimedOut, UnexpectedEof,
    };
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        let (lasting, reason) = tls::explain(error);
        let halt = lasting == Lasting::Always || (opening && lasting == Lasting::InHandshake);
        return Trouble { reason, halt, answered: false };
    }
    match error.kind() {
        TimedOut => Trouble::passing("timeout", "the target did not answer in time"),
        ConnectionRefused => Trouble::passing("connect", "the target refuses the connection"),
        HostUnreachable | NetworkUnreachable => Trouble::passing("connect", "there is no way to the target"),
        UnexpectedEof | NotConnected => Trouble::passing("closed", "the target closed the connection"),
        ConnectionReset | ConnectionAborted | BrokenPipe => {
            Trouble::passing("reset", "the target reset the connection")
        }
        InvalidData => Trouble::garbage("what came back is no HTTP"),
        _ => Trouble::passing("io", format!("the connection failed: {error}")),
    }
}

/// A socket that keeps the deadline of its wire.
pub struct Socket {
    stream: TcpStream,
    wire: Arc<Wire>,
    /// What SO_RCVTIMEO and SO_SNDTIMEO stand at.
    tick: Duration,
    /// An earlier end than the call's, while connecting.
    limit: Option<Instant>,
}

impl Socket {
    /// Takes over a connected stream.
    pub fn new(stream: TcpStream, wire: Arc<Wire>) -> io::Result<Socket> {
        stream.set_nodelay(true)?;
        let mut socket = Socket { stream, wire, tick: Duration::ZERO, limit: None };
        socket.set_tick(TICK)?;
        Ok(socket)
    }

    /// Sets an earlier end than the call's, or lifts it.
    pub fn limit(&mut self, limit: Option<Instant>) {
        self.limit = limit;
    }

    fn set_tick(&mut self, tick: Duration) -> io::Result<()> {
        let tick = tick.max(Duration::from_millis(1));
        self.stream.set_read_timeout(Some(tick))?;
        self.stream.set_write_timeout(Some(tick))?;
        self.tick = tick;
        Ok(())
    }

    /// Before an operation that may sleep: no sleep goes beyond the deadline. No system call unless it is near.
    fn arm(&mut self) -> io::Result<()> {
        let mut left = self.wire.left();
        if let Some(limit) = self.limit {
            left = left.min(limit.saturating_duration_since(Instant::now()));
        }
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if left < self.tick || (self.tick < TICK && left >= TICK) {
            self.set_tick(left.min(TICK))?;
        }
        Ok(())
    }

    fn patiently<T>(&mut self, mut act: impl FnMut(&mut TcpStream) -> io::Result<T>) -> io::Result<T> {
        loop {
            self.arm()?;
            match act(&mut self.stream) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted
                    ) => {}
                result => return result,
            }
        }
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.read(into))
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.patiently(|stream| stream.write(bytes))
    }

    fn write_vectored(&mut self, parts: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.patiently(|stream| stream.write_vectored(parts))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Plain or encrypted.
pub enum Channel {
    /// Plain http, where the configuration allows it.
    Plain(Socket),
    /// TLS, its handshake done.
    Tls(Box<ClientConnection>, Socket),
}

impl Channel {
    /// The TLS session, if it is encrypted.
    pub fn session(&self) -> Option<&ClientConnection> {
        match self {
            Channel::Tls(session, _) => Some(session),
            Channel::Plain(_) => None,
        }
    }

    /// Session and socket, for an owner that waits in its own way.
    pub fn into_parts(self) -> (Option<Box<ClientConnection>>, TcpStream) {
        match self {
            Channel::Tls(session, socket) => (Some(session), socket.stream),
            Channel::Plain(socket) => (None, socket.stream),
        }
    }

    /// The socket underneath.
    pub(super) fn stream(&self) -> &TcpStream {
        match self {
            Channel::Plain(socket) | Channel::Tls(_, socket) => &socket.stream,
        }
    }

    /// Whether the target has neither closed nor said anything unasked.
    pub(super) fn is_fit(&mut self) -> bool {
        match self {
            Channel::Plain(socket) => look(&socket.stream, None).is_ok(),
            Channel::Tls(session, socket) => look(&socket.stream, Some(session)).is_ok(),
        }
    }

    /// Writes all of it.
    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Channel::Plain(socket) => {
                let wire = Arc::clone(&socket.wire);
                let mut rest = bytes;
                while !rest.is_empty() {
                    let count = socket.write(rest)?;
                    if count == 0 {
                        return Err(io::ErrorKind::WriteZero.into());
                    }
                    wire.sent.fetch_add(count as u64, Relaxed);
                    rest = rest.get(count..).unwrap_or_default();
                }
            }
            Channel::Tls(session, socket) => {
                let wire = Arc::clone(&socket.wire);
                let mut rest = bytes;
                while !rest.is_empty() || session.wants_write() {
                    let count = session.writer().write(rest)?;
                    rest = rest.get(count..).unwrap_or_default();
                    while session.wants_write() {
                        let count = session.write_tls(socket)?;
                        if count == 0 {
                            return Err(io::ErrorKind::WriteZero.into());
                        }
                        wire.sent.fetch_add(count as u64, Relaxed);
                    }
                }
            }
        }
        Ok(())
    }

    /// 0 = the target ended the connection properly.
    pub(super) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Channel::Plain(socket) => socket.read(into),
            Channel::Tls(session, socket) => loop {
                match session.reader().read(into) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    // An end without close_notify is UnexpectedEof: it may be a cut.
                    result => return result,
                }
                // After a failed write only reading is left: an answer may have come before it.
                while session.wants_write() && !socket.wire.write_failed() {
                    session.write_tls(socket)?;
                }
                session.read_tls(socket)?;
                session.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            },
        }
    }
}

/// One open connection.
pub struct Connection {
    channel: Channel,
    wire: Arc<Wire>,
    buffers: Corked,
    /// False once anything went wrong.
    open: bool,
}

impl Connection {
    /// A connection that is ready for its first request.
    pub fn new(channel: Channel, wire: Arc<Wire>) -> Connection {
        Connection { channel, wire, buffers: Corked::default(), open: true }
    }

    /// Writes what was held back. A failure is noted and not returned: a target that refuses a request (413) may
    /// answer and close while we still write, and that answer says more than the broken pipe.
    fn uncork(&mut self) {
        if !self.wire.write_failed()
            && let Err(error) = self.channel.write_all(self.buffers.held())
        {
            self.open = false;
            self.wire.write_failed.store(true, Relaxed);
            self.wire.put_trouble(Some(trouble(&error, false)));
        }
        self.buffers.let_go();
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("open", &self.open).finish_non_exhaustive()
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.buffers.expect(self.wire.line.load(Relaxed));
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), ureq::Error> {
        self.buffers.hold(amount);
        if self.buffers.held().len() >= CORK {
            self.uncork();
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, ureq::Error> {
        if !self.buffers.held().is_empty() {
            self.uncork();
        }
        let result = self.channel.read(self.buffers.input_append_buf());
        match result {
            Ok(count) => {
                self.buffers.input_appended(count);
                self.open &= count > 0;
                Ok(count > 0)
            }
            Err(error) => {
                self.open = false;
                // The first failure is the cause; what reading says after a failed write is its echo.
                let cause = self.wire.take_trouble().unwrap_or_else(|| trouble(&error, false));
                Err(self.wire.fail(cause))
            }
        }
    }

    fn is_open(&mut self) -> bool {
        self.open
    }

    fn is_tls(&self) -> bool {
        matches!(self.channel, Channel::Tls(..))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_counts_from_the_begin_of_a_call() {
        let wire = Wire::new();
        assert!(wire.left().is_zero());
        wire.begin(Duration::from_secs(60), 0);
        assert!(!wire.left().is_zero());
        wire.begin(Duration::ZERO, 0);
        assert!(wire.left().is_zero());
    }
}
