//! Requests and answers over one channel; any number of requests may be under way.

use std::collections::VecDeque;
use std::time::Duration;

use russh::{ChannelMsg, ChannelReadHalf, ChannelWriteHalf, client};
use tokio::time::timeout;

use crate::adapter::place::{Class, Trouble, quoted};
use crate::adapter::sftp::wire::{self, Answer, Inbox, Packet, kind, status};

/// Answers that may wait to be looked at; a server that sends more sends what nobody asked for.
const MOST_WAITING: usize = 4096;

/// Extensions that are used when the server has them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions {
    /// `posix-rename@openssh.com`, version 1.
    pub(super) posix_rename: bool,
    /// `fsync@openssh.com`, version 1.
    pub(super) fsync: bool,
    /// `limits@openssh.com`, version 1.
    pub(super) limits: bool,
}

/// A channel that speaks SFTP.
pub(super) struct Exchange {
    reader: ChannelReadHalf,
    writer: ChannelWriteHalf<client::Msg>,
    inbox: Inbox,
    waiting: VecDeque<(u32, Answer)>,
    last: u32,
    patience: Duration,
}

impl Exchange {
    /// Greets the server; `patience` holds for each answer from here on.
    pub(super) async fn begin(
        reader: ChannelReadHalf,
        writer: ChannelWriteHalf<client::Msg>,
        patience: Duration,
    ) -> Result<(Exchange, Extensions), Trouble> {
        let (inbox, waiting) = (Inbox::default(), VecDeque::new());
        let mut exchange = Exchange { reader, writer, inbox, waiting, last: 0, patience };
        exchange.send(Packet::new(kind::INIT, wire::VERSION, 0).done()).await?;
        match exchange.receive().await? {
            (_, Answer::Version(version, named)) if version >= wire::VERSION => {
                let has = |name: &str| named.iter().any(|(n, v)| n == name.as_bytes() && v == b"1");
                let extensions = Extensions {
                    posix_rename: has("posix-rename@openssh.com"),
                    fsync: has("fsync@openssh.com"),
                    limits: has("limits@openssh.com"),
                };
                Ok((exchange, extensions))
            }
            (_, Answer::Version(version, _)) => Err(Trouble::new(
                Class::Unsupported,
                format!("the server speaks version {version} of SFTP; version {} is the oldest in use", wire::VERSION),
            )),
            _ => Err(stray()),
        }
    }

    /// A number for the next request.
    pub(super) fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// Sends a packet, taking in meanwhile what comes.
    pub(super) async fn send(&mut self, packet: Vec<u8>) -> Result<(), Trouble> {
        let Exchange { reader, writer, inbox, waiting, patience, .. } = self;
        let sending = writer.data_bytes(packet);
        let whole = async {
            tokio::pin!(sending);
            loop {
                tokio::select! {
                    biased;
                    sent = &mut sending => return sent.map_err(|error| broken(&error.to_string())),
                    message = reader.wait() => take(message, inbox, waiting)?,
                }
            }
        };
        timeout(*patience, whole).await.unwrap_or_else(|_| Err(silent(*patience)))
    }

    /// The next answer, whichever request it is for.
    pub(super) async fn receive(&mut self) -> Result<(u32, Answer), Trouble> {
        let patience = self.patience;
        let whole = async {
            loop {
                if let Some(answer) = self.waiting.pop_front() {
                    return Ok(answer);
                }
                take(self.reader.wait().await, &mut self.inbox, &mut self.waiting)?;
            }
        };
        timeout(patience, whole).await.unwrap_or_else(|_| Err(silent(patience)))
    }

    /// An answer that is here already.
    pub(super) fn received(&mut self) -> Option<(u32, Answer)> {
        self.waiting.pop_front()
    }

    /// Sends a request and waits for its answer.
    pub(super) async fn ask(&mut self, request: impl FnOnce(u32) -> Packet) -> Result<Answer, Trouble> {
        let id = self.number();
        self.send(request(id).done()).await?;
        loop {
            // Others are of requests that nobody waits for any more.
            let (of, answer) = self.receive().await?;
            if of == id {
                return Ok(answer);
            }
        }
    }

    /// Sends a request that is answered by a status. `what` says what was tried, for the message.
    pub(super) async fn order(&mut self, what: &str, request: impl FnOnce(u32) -> Packet) -> Result<(), Trouble> {
        let answer = self.ask(request).await?;
        done(answer, what)
    }
}

/// Whether a status says yes.
pub(super) fn done(answer: Answer, what: &str) -> Result<(), Trouble> {
    match answer {
        Answer::Status(status::OK, _) => Ok(()),
        answer => Err(refused(answer, what)),
    }
}

/// A status that says no, or an answer of a kind that does not belong to the request.
pub(super) fn refused(answer: Answer, what: &str) -> Trouble {
    let Answer::Status(code, words) = answer else { return stray() };
    let (class, meaning) = match code {
        status::NO_SUCH_FILE => (Class::Missing, "no such file or folder"),
        status::PERMISSION_DENIED => (Class::Permission, "permission denied"),
        status::OP_UNSUPPORTED => (Class::Unsupported, "not supported"),
        status::NO_CONNECTION | status::CONNECTION_LOST => (Class::Connection, "connection lost"),
        // Disk full, quota, read-only, "exists": all the same to this version of the protocol.
        status::FAILURE => (Class::Failure, "failure (disk full, quota, read-only or a taken name look like this)"),
        _ => (Class::Failure, "an unknown code"),
    };
    let words = match quoted(&words) {
        words if words.is_empty() => String::new(),
        words => format!(", in its words `{words}`"),
    };
    Trouble::new(class, format!("cannot {what}: the server answers {code}, {meaning}{words}"))
}

fn take(message: Option<ChannelMsg>, inbox: &mut Inbox, waiting: &mut VecDeque<(u32, Answer)>) -> Result<(), Trouble> {
    match message {
        Some(ChannelMsg::Data { data }) => {
            inbox.push(&data);
            while let Some(packet) = inbox.packet().map_err(|_| stray())? {
                waiting.push_back(wire::answer(&packet).ok_or_else(stray)?);
            }
            if waiting.len() > MOST_WAITING { Err(stray()) } else { Ok(()) }
        }
        None | Some(ChannelMsg::Eof | ChannelMsg::Close) => Err(broken("the server closed it")),
        Some(_) => Ok(()),
    }
}

fn broken(why: &str) -> Trouble {
    Trouble::new(Class::Connection, format!("the connection broke: {}", quoted(why.as_bytes())))
}

fn silent(patience: Duration) -> Trouble {
    Trouble::new(Class::Connection, format!("no answer within {} s", patience.as_secs()))
}

fn stray() -> Trouble {
    Trouble::new(Class::Connection, "the server sent what is no answer of SFTP version 3")
}
