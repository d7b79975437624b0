//! One source: its connections, one after the other.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use super::stopped;
use super::store::Keeping;
use crate::adapter::auth::Sealed;
use crate::adapter::websocket::{Ended, Opened, Socket, ended};
use crate::clock;
use crate::daemon::board::Board;
use crate::engine::inflow::{Inflow, Standing};
use crate::engine::intake::Intake;
use crate::engine::ledger::Ledger;
use crate::format::message;
use crate::rules::clock::doubt;
use crate::rules::outcome::Reason;
use crate::rules::reconnect::{Reconnect, Refusal, STABLE};
use crate::store::state::belief;

/// How long a source may take to read what it is told.
const SAYING: Duration = Duration::from_secs(10);
/// How long a good-bye may take.
const BYE: Duration = Duration::from_secs(1);
/// Looks at a silent source in the time between two pings.
const LOOKS: u32 = 4;

/// Follows one source.
pub struct Follower {
    source: Inflow,
    at: usize,
    board: Board,
    ledger: Ledger,
    keeping: Keeping,
    stop: watch::Receiver<bool>,
    pace: Reconnect,
    /// What was said of it last, so that it is said once.
    told: Option<String>,
}

/// Why nothing is heard from a connection any more.
enum Over {
    /// The agent stops.
    Stopped,
    /// The source, or the way to it.
    Ended(Ended),
}

impl Follower {
    /// Takes up a source where it was left; `at` is its line on the board.
    pub fn new(
        at: usize,
        source: Inflow,
        intake: Intake,
        ledger: Ledger,
        board: Board,
        stop: watch::Receiver<bool>,
    ) -> io::Result<Follower> {
        let keeping = Keeping::open(at, &source, intake, &ledger, board.clone(), stop.clone())?;
        Ok(Follower { source, at, board, ledger, keeping, stop, pace: Reconnect::default(), told: None })
    }

    /// Follows it until the agent stops.
    pub async fn run(mut self) {
        let mut stop = self.stop.clone();
        loop {
            let opened = tokio::select! {
                opened = self.source.door.open() => opened,
                () = stopped(&mut stop) => return,
            };
            let (ended, held) = match opened {
                Ok(mut opened) => {
                    let shown = opened.shown.take();
                    log::info!(source:% = self.source.name; "event source {}: connected", self.source.name);
                    self.told = None;
                    self.board.stands(self.at, Standing::Connected, None);
                    let began = Instant::now();
                    match self.listen(opened).await {
                        Over::Stopped => return,
                        Over::Ended(ended) => (self.expired(ended, began.elapsed(), shown).await, began.elapsed()),
                    }
                }
                Err(ended) => (ended, Duration::ZERO),
            };
            let delay = self.pace.delay(ended.refusal, held, fastrand::f64());
            self.tell(ended, delay).await;
            tokio::select! {
                () = sleep(delay) => {}
                () = stopped(&mut stop) => return,
            }
        }
    }

    /// A source that has let us in for a while and now refuses the credential refuses one that has run out: a newer one is
    /// shown without a person.
    async fn expired(&self, ended: Ended, held: Duration, shown: Option<Sealed>) -> Ended {
        let expired = ended.refusal == Refusal::Credentials && held >= STABLE;
        if expired && self.source.door.renewed(shown).await {
            return Ended { refusal: Refusal::Passing, ..ended };
        }
        ended
    }

    /// Says that there is no connection, and why.
    async fn tell(&mut self, ended: Ended, delay: Duration) {
        let Ended { refusal, reason } = ended;
        let reason = self.blame_clock(reason).await;
        let (name, text, seconds) = (&self.source.name, reason.to_string(), delay.as_secs_f64());
        let standing = if refusal == Refusal::Passing { Standing::Down } else { Standing::Refused };
        if self.told.as_ref() != Some(&text) {
            match standing {
                Standing::Refused => {
                    log::error!(source:% = name; "event source {name}: refused: {text}; asked again in {seconds:.0} s")
                }
                _ => log::warn!(source:% = name; "event source {name}: {text}; connected to again in {seconds:.1} s"),
            }
            self.told = Some(text.clone());
        }
        self.board.stands(self.at, standing, Some(text));
    }

    /// A certificate that is refused while the clock is not believed is refused because of the clock.
    async fn blame_clock(&self, reason: Reason) -> Reason {
        if reason.class != "tls" {
            return reason;
        }
        let ledger = self.ledger.clone();
        let known = tokio::task::spawn_blocking(move || ledger.call(|state| state.read(belief::known))).await;
        match known.ok().and_then(Result::ok).and_then(|known| doubt(clock::now(), &known)) {
            Some(doubt) => Reason::new("clock", format!("{doubt}; set it first: {}", reason.text)),
            None => reason,
        }
    }

    /// Asks for the events and takes them in, until the connection ends.
    async fn listen(&mut self, opened: Opened) -> Over {
        let Opened { mut socket, heard, .. } = opened;
        for pattern in self.source.shape.patterns() {
            let asked = message::listen(pattern, self.keeping.position(pattern));
            if let Err(ended) = say(&mut socket, Message::text(asked)).await {
                return Over::Ended(ended);
            }
        }
        let mut stop = self.stop.clone();
        let mut look = interval(self.source.ping / LOOKS);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut looks, mut last) = (0, Instant::now());
        loop {
            let next = tokio::select! {
                biased;
                () = stopped(&mut stop) => {
                    let away = CloseFrame { code: CloseCode::Away, reason: "".into() };
                    let _ = timeout(BYE, socket.close(Some(away))).await;
                    return Over::Stopped;
                }
                _ = look.tick() => {
                    if heard.swap(false, Ordering::Relaxed) {
                        last = Instant::now();
                    }
                    if last.elapsed() >= self.source.ping * 2 {
                        let text = format!("nothing was heard for {} s, not even an answer to a ping", last.elapsed().as_secs());
                        return Over::Ended(Ended::passing("silent", text));
                    }
                    looks += 1;
                    if looks % LOOKS == 0 && let Err(ended) = say(&mut socket, Message::Ping(Bytes::new())).await {
                        return Over::Ended(ended);
                    }
                    continue;
                }
                next = socket.next() => next,
            };
            let taken = match next {
                Some(Ok(Message::Text(text))) => self.keeping.take(text.as_bytes()).await,
                // Some servers send what they have as bytes.
                Some(Ok(Message::Binary(bytes))) => self.keeping.take(&bytes).await,
                Some(Ok(Message::Close(frame))) => return Over::Ended(goodbye(&mut socket, frame.as_ref()).await),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => return Over::Ended(self.broken(&mut socket, &error).await),
                None => return Over::Ended(ended(&Error::ConnectionClosed, false)),
            };
            // While a message was stored nothing was read: that is no silence of the source.
            heard.store(true, Ordering::Relaxed);
            match taken {
                Ok(None) => {}
                Ok(Some(answer)) => {
                    if let Err(ended) = say(&mut socket, Message::text(answer)).await {
                        return Over::Ended(ended);
                    }
                }
                Err(_) => return Over::Stopped,
            }
        }
    }

    /// What came could not be read on: told to the source as far as it still listens.
    async fn broken(&self, socket: &mut Socket, error: &Error) -> Ended {
        let code = match error {
            Error::Capacity(_) => Some(CloseCode::Size),
            Error::Utf8(_) => Some(CloseCode::Invalid),
            Error::Protocol(_) => Some(CloseCode::Protocol),
            _ => None,
        };
        let ended = ended(error, false);
        if let Some(code) = code {
            if !matches!(error, Error::Protocol(_)) {
                self.keeping.reject(&ended.reason);
            }
            let _ = timeout(BYE, socket.close(Some(CloseFrame { code, reason: "".into() }))).await;
        }
        ended
    }
}

/// Says something, unless the source does not read.
async fn say(socket: &mut Socket, what: Message) -> Result<(), Ended> {
    match timeout(SAYING, socket.send(what)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(ended(&error, false)),
        Err(_) => Err(Ended::passing("timeout", "the source does not read what it is told")),
    }
}

/// The source has closed: what its code means. Its words are not shown.
async fn goodbye(socket: &mut Socket, frame: Option<&CloseFrame>) -> Ended {
    // The answer to its good-bye is on its way as soon as it is read on.
    let _ = timeout(BYE, socket.next()).await;
    let Some(frame) = frame else { return ended(&Error::ConnectionClosed, false) };
    let code = u16::from(frame.code);
    let refusal = Refusal::of_close(code);
    let text = match refusal {
        Refusal::Credentials => format!("the source does not accept the credential (close code {code})"),
        _ => format!("the source closed the connection (code {code})"),
    };
    Ended { refusal, reason: Reason::new(format!("close-{code}"), text) }
}
