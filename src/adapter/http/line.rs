//! A connection of the fleet: never waits, carries one call at a time. The request leaves with one write, an answer
//! comes in with one read, and nothing else is asked of the operating system on the way.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use rustls::ClientConnection;

use super::answer::{Complete, Reading};
use super::trouble::Trouble;
use super::wire::{Channel, trouble};

/// A line that was neither used nor watched for longer is looked at before it is used again: has the target closed it,
/// or said something unasked?
const IDLE: Duration = Duration::from_millis(1);

/// A line that has carried fewer requests is looked at before every one: targets that end connections without saying so
/// do it from the first answer on.
const YOUNG: u32 = 16;

/// Most room that an unused line keeps for requests.
const KEPT: usize = 64 * 1024;

/// So many reads at a look take more than any target has to say that nobody asked (session tickets).
const LOOKS: usize = 16;

/// Reads without waiting, and notes whether there may be more.
struct Socket<'s> {
    stream: &'s TcpStream,
    more: bool,
}

impl Read for Socket<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.stream, &mut *into, RecvFlags::DONTWAIT) {
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok((count, _)) => {
                    self.more = count == into.len();
                    return Ok(count);
                }
            }
        }
    }
}

/// One open connection.
pub struct Line {
    stream: TcpStream,
    session: Option<Box<ClientConnection>>,
    /// `scheme://authority` that it leads to.
    origin: String,
    /// Which version of the TLS settings it was opened with.
    generation: u64,
    /// The request, and how much of it was handed over (to TLS, where there is TLS).
    out: Vec<u8>,
    handed: usize,
    /// The operating system has taken all of the request.
    written: bool,
    /// Bytes that the operating system took in this call.
    sent: u64,
    /// Why a part of the request could not be written; an answer may have come nevertheless.
    write_failed: Option<Trouble>,
    reading: Reading,
    /// Whether the last read took all that it had room for: more may wait in the socket.
    more: bool,
    used: Instant,
    requests: u32,
}

impl Line {
    /// A line over an open channel.
    pub fn new(channel: Channel, origin: &str, generation: u64) -> io::Result<Line> {
        let (session, stream) = channel.into_parts();
        stream.set_nonblocking(true)?;
        Ok(Line {
            stream,
            session,
            origin: origin.to_owned(),
            generation,
            out: Vec::new(),
            handed: 0,
            written: true,
            sent: 0,
            write_failed: None,
            reading: Reading::default(),
            more: false,
            used: Instant::now(),
            requests: 0,
        })
    }

    /// The socket, to be watched.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether it leads to this `scheme://authority`, and was opened with these TLS settings.
    pub fn leads_to(&self, origin: &str, generation: u64) -> bool {
        self.origin == origin && self.generation == generation
    }

    /// When it was used last.
    pub fn used(&self) -> Instant {
        self.used
    }

    /// Bytes of the request that the operating system took in this call.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Where the next request is written to, empty.
    pub fn request(&mut self) -> &mut Vec<u8> {
        self.empty();
        &mut self.out
    }

    fn empty(&mut self) {
        self.out.clear();
        if self.out.capacity() > KEPT {
            self.out.shrink_to(KEPT);
        }
    }

    /// Begins to send what [`Line::request`] holds now; of the answer all fields are kept, or not, and at most so many bytes.
    pub fn begin(&mut self, all: bool, most: usize) {
        (self.handed, self.written, self.sent, self.write_failed) = (0, false, 0, None);
        self.reading = Reading::new(all, most);
        self.requests = self.requests.saturating_add(1);
        self.push();
    }

    /// Goes on with the call after the socket has become readable or writable: what came of it, once it has ended.
    /// `to_the_end` = the socket is known to have an end, which a read that is not filled does not show. A target that
    /// never stops talking is heard until `deadline`.
    pub fn go_on(&mut self, to_the_end: bool, deadline: Instant) -> Option<Result<Complete, Trouble>> {
        self.push();
        let result = self.pull(to_the_end, deadline)?;
        self.used = Instant::now();
        // Unused lines keep no large requests.
        self.empty();
        Some(match result {
            Err(trouble) => Err(self.write_failed.take().unwrap_or(trouble)),
            Ok(complete) if !self.written && complete.reply.is_success() => {
                Err(Trouble::garbage("the target said yes before it had the whole request"))
            }
            Ok(complete) => Ok(Complete { keep: complete.keep && self.written && !to_the_end, ..complete }),
        })
    }

    /// Ends the call: no answer is waited for any longer.
    pub fn give_up(&mut self, trouble: Trouble) -> Result<Complete, Trouble> {
        self.reading.broke(trouble)
    }

    /// Writes as much as the socket takes. A failure is noted and not returned: a target that refuses a request (413)
    /// may answer and close while we still write, and that answer says more than the broken pipe.
    fn push(&mut self) {
        // TLS has something to say of itself: the answer to a key update.
        let speaks = self.session.as_ref().is_some_and(|session| session.wants_write());
        if (self.written && !speaks) || self.write_failed.is_some() {
            return;
        }
        match self.write() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // What only TLS wanted to say is missed by nobody; the next read tells of a connection that is gone.
            Err(_) if self.written => {}
            Err(error) => self.write_failed = Some(trouble(&error, false)),
            Ok(()) => self.written = true,
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let Some(session) = &mut self.session else {
            while let Some(rest) = self.out.get(self.handed..).filter(|rest| !rest.is_empty()) {
                let count = patient(|| (&self.stream).write(rest))?;
                self.handed += count;
                self.sent += count as u64;
            }
            return Ok(());
        };
        loop {
            while session.wants_write() {
                let count = patient(|| session.write_tls(&mut &self.stream))?;
                self.sent += count as u64;
            }
            let rest = self.out.get(self.handed..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(());
            }
            self.handed += session.writer().write(rest)?;
        }
    }

    /// Reads as much as there is. A read that is not filled has taken all, and the operating system tells of what comes
    /// later; only an end that was there before is not told again.
    fn pull(&mut self, to_the_end: bool, deadline: Instant) -> Option<Result<Complete, Trouble>> {
        let mut plain = [0; 8 * 1024];
        for round in 0_u32.. {
            if round > 0 && Instant::now() >= deadline {
                return Some(self.reading.broke(trouble(&io::ErrorKind::TimedOut.into(), false)));
            }
            let mut socket = Socket { stream: &self.stream, more: false };
            let count = match &mut self.session {
                None => socket.read(&mut plain),
                Some(session) => session.read_tls(&mut socket),
            };
            self.more = socket.more;
            let count = match count {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(error) => return Some(self.reading.broke(trouble(&error, false))),
                Ok(count) => count,
            };
            let Some(session) = &mut self.session else {
                if count == 0 {
                    return Some(self.reading.ended(true));
                }
                match self.reading.feed(plain.get(..count).unwrap_or_default()) {
                    Ok(None) if self.more || to_the_end => continue,
                    result => return result.transpose(),
                }
            };
            let state = session.process_new_packets();
            let mut complete = None;
            loop {
                match session.reader().read(&mut plain) {
                    Ok(count) if count > 0 => match self.reading.feed(plain.get(..count).unwrap_or_default()) {
                        Ok(None) => {}
                        // Whatever else has come belongs to no answer.
                        Ok(Some(found)) => complete = Some(found),
                        Err(trouble) => return Some(Err(trouble)),
                    },
                    _ => break,
                }
                if let Some(found) = &mut complete {
                    found.keep &= matches!(session.reader().read(&mut plain), Err(error) if error.kind() == io::ErrorKind::WouldBlock);
                    break;
                }
            }
            match (complete, state) {
                (Some(found), Ok(state)) => {
                    return Some(Ok(Complete { keep: found.keep && !state.peer_has_closed(), ..found }));
                }
                (Some(found), Err(_)) => return Some(Ok(Complete { keep: false, ..found })),
                (None, Err(error)) => {
                    let error = io::Error::new(io::ErrorKind::InvalidData, error);
                    return Some(self.reading.broke(trouble(&error, false)));
                }
                (None, Ok(state)) if state.peer_has_closed() => return Some(self.reading.ended(true)),
                (None, Ok(_)) if count == 0 => return Some(self.reading.ended(false)),
                (None, Ok(_)) => {}
            }
            // A key update wants an answer.
            self.push();
            if !self.more && !to_the_end {
                return None;
            }
        }
        None
    }

    /// Whether another request may be sent: the target has neither closed nor said anything unasked meanwhile. Looks
    /// only where that is likely; until `watched` nothing had come in.
    pub fn is_fit(&mut self, watched: Instant) -> bool {
        let wary = self.requests < YOUNG || self.more || self.used.max(watched).elapsed() > IDLE;
        !wary || self.is_alive()
    }

    /// The same, and looks in any case.
    pub fn is_alive(&mut self) -> bool {
        self.look().is_ok()
    }

    /// Why no request can be sent, if none can. Session tickets and key updates are no speech.
    pub fn look(&mut self) -> Result<(), Trouble> {
        look(&self.stream, self.session.as_deref_mut())
    }
}

/// The same of any connection; never waits.
pub fn look(stream: &TcpStream, session: Option<&mut ClientConnection>) -> Result<(), Trouble> {
    let closed = || Trouble::passing("closed", "the target closed the connection before it was asked anything");
    let unasked = || Trouble::garbage("the target spoke before it was asked; is it an HTTP server?");
    let mut socket = Socket { stream, more: false };
    let Some(session) = session else {
        return match socket.read(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(trouble(&error, false)),
            Ok(0) => Err(closed()),
            Ok(_) => Err(unasked()),
        };
    };
    for _ in 0..LOOKS {
        // What came together with the end of the handshake is in memory already.
        let state = session.process_new_packets();
        let state = state.map_err(|error| trouble(&io::Error::new(io::ErrorKind::InvalidData, error), false))?;
        if state.plaintext_bytes_to_read() > 0 {
            return Err(unasked());
        }
        if state.peer_has_closed() {
            return Err(closed());
        }
        match session.read_tls(&mut socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(trouble(&error, false)),
            Ok(0) => return Err(closed()),
            Ok(_) => {}
        }
    }
    Err(unasked())
}

/// Again after a signal; nothing written is a failure.
fn patient(mut write: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match write() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            result => return result,
        }
    }
}
