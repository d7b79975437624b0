//! HL7 v2 over MLLP: a message is sent, and its acknowledgement waited for on the same connection, one message at a time. The
//! connection is kept; one on which an acknowledgement is missing, or is for another message, is not used again.

use std::sync::Arc;

use super::reading;
use crate::adapter::crew::{Hand, Heard};
use crate::adapter::http::{Client, Reply, Trouble, Way};
use crate::adapter::{Parcel, Request};
use crate::format::mllp::{BEGIN, Dialogue, Last, commit, frame};
use crate::rules::outcome::{Outcome, Reason};

/// The port that is registered for it (IANA "hl7").
const PORT: u16 = 2575;

/// Bytes that are read at once.
const BLOCK: usize = 8 * 1024;

/// Where messages go to.
#[derive(Clone, Debug)]
pub struct Place {
    host: String,
    port: u16,
    tls: bool,
}

impl Place {
    /// `mllps://HOST:PORT`; `plain` = `mllp` is allowed.
    pub fn of(url: &str, plain: bool) -> Result<Place, String> {
        let wrong = || "is no address for MLLP; expected mllps://host:port".to_owned();
        let uri: ureq::http::Uri = url.parse().map_err(|_| wrong())?;
        let tls = match uri.scheme_str() {
            Some("mllps") => true,
            Some("mllp") if plain => false,
            Some("mllp") => return Err("plain MLLP is not allowed; use mllps, or say plainMllp: true".to_owned()),
            _ => return Err(wrong()),
        };
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(wrong)?;
        Ok(Place { host: host.to_ascii_lowercase(), port: uri.port_u16().unwrap_or(PORT), tls })
    }

    /// For the breaker, and for people.
    pub fn origin(&self) -> String {
        format!("{}://{}:{}", if self.tls { "mllps" } else { "mllp" }, self.host, self.port)
    }

    /// Connects, with TLS, and sends nothing.
    pub fn probe(&self, client: &Client) -> Result<String, Reason> {
        let way = client.open(&self.host, self.port, self.tls).map_err(|trouble| trouble.reason)?;
        Ok(format!("{}:{} is reached{}", self.host, self.port, way.describe()))
    }
}

/// What a request cannot be sent for; nothing = it can.
pub fn sound(request: &Request) -> Result<(), Reason> {
    Dialogue::of(&request.body).map(drop)
}

/// What is made of an answer before the adapter's rules are asked.
pub enum Understood {
    /// An acknowledgement of this message, as text.
    Answer(Reply),
    /// There is nothing to ask them.
    Outcome(Outcome),
}

/// What a receiver's words mean: all of them, as they came.
pub fn understand(request: &Request, reply: &Reply) -> Understood {
    let mut dialogue = match Dialogue::of(&request.body) {
        Ok(dialogue) => dialogue,
        Err(reason) => return Understood::Outcome(Outcome::Reject(reason)),
    };
    let last = match dialogue.hear(&reply.body) {
        Ok(Some(last)) => last,
        Ok(None) => return Understood::Outcome(silent(&dialogue, closed(&dialogue)).outcome(true)),
        Err(reason) => return Understood::Outcome(Outcome::Unknown { reason, transport: false }),
    };
    match last {
        Last::NotKept => {
            let reason = Reason::new("nak", "the receiver could not keep the message (negative commit of MLLP)");
            Understood::Outcome(Outcome::Retry { reason, after: None, transport: false })
        }
        Last::Answer(text) if reading::is_acknowledgement(&text) && !dialogue.is_ours(&text) => {
            let reason = Reason::new("ack", "the acknowledgement is for another message (MSA-2)");
            Understood::Outcome(Outcome::Unknown { reason, transport: false })
        }
        Last::Answer(text) => Understood::Answer(Reply { body: text.into_bytes(), whole: true, ..Reply::default() }),
    }
}

/// What a fixture's answer stands for: the bytes on the wire, or one message without its frame.
pub fn as_heard(mut reply: Reply) -> Reply {
    if !reply.body.is_empty() && !reply.body.contains(&BEGIN) {
        reply.body = frame(&reply.body);
    }
    reply
}

/// Sends messages, one after the other.
pub struct Sender {
    client: Client,
    place: Arc<Place>,
    way: Option<Way>,
}

impl Sender {
    /// Connects with the first message.
    pub fn new(client: Client, place: Arc<Place>) -> Sender {
        Sender { client, place, way: None }
    }

    fn way(&mut self) -> Result<Way, Trouble> {
        if let Some(mut way) = self.way.take()
            && self.client.takes(&mut way)
        {
            return Ok(way);
        }
        let Place { host, port, tls } = &*self.place;
        self.client.open(host, *port, *tls)
    }
}

impl Hand for Sender {
    fn call(&mut self, _: &Parcel, request: &Request) -> Heard {
        let mut dialogue = match Dialogue::of(&request.body) {
            Ok(dialogue) => dialogue,
            Err(reason) => return Heard::unsent(Outcome::Reject(reason)),
        };
        let mut way = match self.way() {
            Ok(way) => way,
            Err(trouble) => return Heard::unsent(trouble.outcome(false)),
        };
        if let Err(trouble) = way.write(&frame(&request.body)) {
            let sent = way.has_sent();
            return Heard { answer: Err(trouble.outcome(sent)), sent };
        }
        let mut said = Vec::new();
        let mut block = [0; BLOCK];
        let last = loop {
            let count = match way.read(&mut block) {
                Ok(0) => Err(closed(&dialogue)),
                Ok(count) => Ok(count),
                Err(trouble) => Err(trouble),
            };
            let new = match count {
                Ok(count) => block.get(..count).unwrap_or_default(),
                Err(trouble) => {
                    return Heard { answer: Err(silent(&dialogue, trouble).outcome(true)), sent: true };
                }
            };
            said.extend_from_slice(new);
            match dialogue.hear(new) {
                Ok(None) => {}
                Ok(Some(last)) => break last,
                Err(reason) => {
                    let answer = Err(Outcome::Unknown { reason, transport: false });
                    return Heard { answer, sent: true };
                }
            }
        };
        let in_step = match &last {
            Last::NotKept => dialogue.is_over(),
            Last::Answer(text) => {
                // That its answer has arrived matters to the receiver alone; ours is known.
                let told = commit(text).is_none_or(|bytes| way.write(&bytes).is_ok());
                told && dialogue.is_over() && dialogue.is_ours(text)
            }
        };
        if in_step {
            self.way = Some(way);
        }
        Heard { answer: Ok(Reply { body: said, whole: true, ..Reply::default() }), sent: true }
    }
}

fn closed(dialogue: &Dialogue) -> Trouble {
    let text = match dialogue.has_begun() {
        true => "the receiver closed the connection in the middle of its acknowledgement",
        false => "the receiver closed the connection without an acknowledgement",
    };
    Trouble::passing("closed", text)
}

/// Why the last word is missing.
fn silent(dialogue: &Dialogue, mut trouble: Trouble) -> Trouble {
    if trouble.reason.class == "timeout" {
        trouble.reason.text = match dialogue.has_begun() {
            true => "the receiver did not end its acknowledgement in time".into(),
            false => "the receiver did not acknowledge the message in time".into(),
        };
    }
    if dialogue.is_accepted() {
        let text =
            format!("{}; it has committed the message (CA), and the application has not answered", trouble.reason.text);
        trouble.reason.text = text.into();
    }
    trouble
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::format::mllp::MOST;

    #[test]
    fn an_address_has_a_port_of_its_own_and_is_encrypted_unless_it_is_allowed_otherwise() {
        assert_eq!(Place::of("mllps://V.example:6661", false).unwrap().origin(), "mllps://v.example:6661");
        assert_eq!(Place::of("mllps://v.example", false).unwrap().origin(), "mllps://v.example:2575");
        assert_eq!(Place::of("mllp://[::1]:1", true).unwrap().origin(), "mllp://[::1]:1");
        assert!(Place::of("mllp://v.example", false).unwrap_err().contains("plainMllp"));
        assert!(Place::of("https://v.example", true).is_err() && Place::of("v.example:1", true).is_err());
    }

    #[test]
    fn nothing_that_is_heard_is_more_than_the_limit() {
        let body = b"MSH|^~\\&|A|||||||K|P|2.5.1\r".to_vec();
        let request = Request { method: "SEND".into(), url: "mllps://a:1".into(), headers: Vec::new(), body };
        let reply = Reply { body: vec![b' '; MOST + 1], ..Reply::default() };
        let Understood::Outcome(outcome) = understand(&request, &reply) else { unreachable!() };
        assert_eq!((outcome.word(), outcome.reason().unwrap().class.as_ref()), ("unknown", "bad-answer"));
    }
}
