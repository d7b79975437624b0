//! `GET /events`: events as they come, as server-sent events (WHATWG HTML, section 9.2), with resume.
//!
//! An event's id is the position in every log up to which the stream has come, as `LOG:SEQ,LOG:SEQ`, since several logs have
//! no common order. A client that comes back with it as `Last-Event-ID` gets what follows, without a gap or a repetition.
//! The client is read for only as fast as it reads: what waits for it is bounded.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as HttpBody, Bytes, Frame};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, Interval, interval_at};

use super::Desk;
use super::problem::{Asked, Problem};
use crate::daemon::client::segment;
use crate::daemon::handle::Handle;
use crate::daemon::keep::{AGAIN, SLOW};
use crate::daemon::wake::Watch;
use crate::engine::source::{Intake, Source, SourceError};
use crate::event::{Event, Op};
use crate::format::json;
use crate::rules::governance::Gate;
use crate::rules::listen::Listen;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::{StateReader, log as logs};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// A comment shows that the stream lives, and finds out whether the client does.
const BEAT: Duration = Duration::from_secs(15);
/// Chunks of events that wait for a client, at most; one more is not read before.
const WAITING: usize = 2;
/// Events of a chunk, and bytes of their values, about.
const CHUNK: usize = 64;
const CHUNK_BYTES: usize = 256 << 10;

/// The query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Types, as in `listen`, joined by commas; a table's name stands for its type.
    #[serde(rename = "type")]
    kinds: Option<String>,
    direction: Option<Direction>,
    values: Option<Values>,
}

/// What is told of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Values {
    /// That it happened: no value of the record, and not its key.
    None,
}

/// Which way an event goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    /// It came from outside: posted, subscribed or pulled.
    Inbound,
    /// The application wrote it.
    Outbound,
}

/// What is shown, and how.
struct View {
    listen: Listen,
    gate: Gate,
    bare: bool,
    /// Only those that came from outside, or only the application's own; none = all.
    direction: Option<Direction>,
}

impl View {
    /// An event as it is told.
    fn text(&self, event: &Event) -> Vec<u8> {
        if !self.bare {
            return json::event(&self.gate.veil(event));
        }
        let mut told = json!({
            "id": event.id.to_string(),
            "log": *event.log,
            "seq": event.seq(),
            "type": *event.kind,
            "op": event.op.as_str(),
            "changed": event.changed.iter().map(|name| &**name).collect::<Vec<_>>(),
            "at": event.at.to_string(),
        });
        if let (Some(origin), Some(told)) = (&event.origin, told.as_object_mut()) {
            told.insert("origin".to_owned(), json!(**origin));
        }
        told.to_string().into_bytes()
    }
}

/// A log of a stream.
struct Log {
    name: String,
    file: PathBuf,
    source: Box<dyn Source>,
    after: i64,
}

/// What a log tells the stream.
enum Piece {
    /// Events by their positions; what is not to be shown has a position only.
    Events(usize, Vec<(i64, Option<Vec<u8>>)>),
    /// These positions are not kept any more, or are others now.
    Gap(usize, i64, i64),
}

/// Streams events until the client goes, the configuration is loaded again, or the agent ends.
pub(super) async fn stream(
    State(desk): State<Desk>,
    Asked(wanted): Asked<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let last = headers.get(LAST_EVENT_ID).map(|last| last.to_str().map_err(|_| not_ours())).transpose()?;
    let last = last.filter(|last| !last.is_empty()).map(positions).transpose()?;
    let permit = desk.streams.clone().try_acquire_owned();
    let permit =
        permit.map_err(|_| Problem::later("there are as many streams of events as the agent serves").after(15))?;
    let life = desk.handle().life;
    let (logs, view) = desk.ask(move |handle| open(&handle, &wanted, last)).await??;
    let view = Arc::new(view);
    let (out, pieces) = channel(WAITING);
    let places = logs.iter().map(|log| (segment(&log.name), log.after)).collect();
    for (number, log) in logs.into_iter().enumerate() {
        let (out, view, desk, life) = (out.clone(), view.clone(), desk.clone(), life.clone());
        let alive = move || Arc::ptr_eq(&life, &desk.handle().life) && !*desk.stop.borrow();
        let thread = std::thread::Builder::new().name(format!("events/{}", log.name));
        let begun = thread.spawn(move || follow(number, log, &view, &out, alive));
        begun.map_err(|_| Problem::later("the system gives no thread"))?;
    }
    let feed = Feed { pieces, places, greeted: false, beat: interval_at(Instant::now() + BEAT, BEAT), _permit: permit };
    Ok(([(header::CONTENT_TYPE, "text/event-stream")], Body::new(feed)).into_response())
}

fn not_ours() -> Problem {
    Problem::bad("`Last-Event-ID` is none of this stream's: LOG:POSITION, joined by commas")
}

/// The positions of an id, by the log's name as [`segment`] writes it.
fn positions(id: &str) -> Result<BTreeMap<String, i64>, Problem> {
    id.split(',')
        .map(|part| {
            let (log, seq) = part.rsplit_once(':').ok_or_else(not_ours)?;
            let seq: i64 = seq.parse().ok().filter(|seq| *seq >= 0).ok_or_else(not_ours)?;
            Ok((log.to_owned(), seq))
        })
        .collect()
}

fn open(handle: &Handle, wanted: &Wanted, last: Option<BTreeMap<String, i64>>) -> Result<(Vec<Log>, View), Problem> {
    let later = |error: &dyn std::fmt::Display| Problem::later(error.to_string());
    let mut patterns: Vec<String> = wanted.kinds.iter().flat_map(|kinds| kinds.split(',')).map(str::to_owned).collect();
    let mut found: Vec<(String, PathBuf, Box<dyn Source>)> = Vec::new();
    for database in handle.databases.iter() {
        let mut log = CapturedLog::open(&database.name, &database.path, Access::Read).map_err(|error| later(&error))?;
        if log.installed().map_err(|error| later(&error))? {
            for kind in log.kinds().map_err(|error| later(&error))? {
                patterns.iter_mut().filter(|name| kind.is_called(name)).for_each(|name| *name = kind.kind.to_string());
            }
            found.push((database.name.clone(), database.path.clone(), Box::new(log)));
        }
    }
    if wanted.direction != Some(Direction::Outbound) {
        let state = StateReader::open(handle.state()).map_err(|error| later(&error))?;
        found.push((logs::INTAKE.to_owned(), handle.state().to_owned(), Box::new(Intake::new(state))));
    }
    let mut logs = Vec::new();
    for (name, file, mut source) in found {
        let after = match &last {
            // A log that came after the id was given is shown from its beginning.
            Some(last) => last.get(&segment(&name)).copied().unwrap_or(0),
            None => source.highest().map_err(|error| later(&error))?,
        };
        logs.push(Log { name, file, source, after });
    }
    let listen = Listen::parse(&patterns).map_err(|error| Problem::bad(format!("`type`: {error}")))?;
    let gate = Gate::of_views(handle.classes.as_deref());
    Ok((logs, View { listen, gate, bare: wanted.values == Some(Values::None), direction: wanted.direction }))
}

/// Tells a log's events to a stream, as they are committed, until the stream or the agent ends.
fn follow(number: usize, mut log: Log, view: &View, out: &Sender<Piece>, alive: impl Fn() -> bool) {
    let watch = Watch::on(&log.file);
    let mut again = AGAIN.iter();
    let mut complaint = String::new();
    while !out.is_closed() && alive() {
        match tell(number, &mut log, view, out) {
            Ok(true) => {
                again = AGAIN.iter();
                continue;
            }
            Ok(false) => complaint.clear(),
            Err(error) => {
                // A file that is locked for a while is read on later.
                if error.to_string() != complaint {
                    complaint = error.to_string();
                    log::warn!("{}: {complaint}", log.name);
                }
            }
        }
        if watch.wait(again.next().copied().unwrap_or(SLOW)).is_some() {
            again = AGAIN.iter();
        }
    }
}

/// Tells what has come since; false when there was nothing, or nobody listens.
fn tell(number: usize, log: &mut Log, view: &View, out: &Sender<Piece>) -> Result<bool, SourceError> {
    let floor = log.source.floor()?;
    if floor > log.after {
        let gap = Piece::Gap(number, log.after, floor);
        log.after = floor;
        return Ok(out.blocking_send(gap).is_ok());
    }
    let events = log.source.read(log.after, CHUNK, CHUNK_BYTES)?;
    let Some(last) = events.last().map(Event::seq) else {
        let highest = log.source.highest()?;
        if highest >= log.after {
            return Ok(false);
        }
        // An older copy was put in the file's place.
        let gap = Piece::Gap(number, log.after, highest);
        log.after = highest;
        return Ok(out.blocking_send(gap).is_ok());
    };
    let shown = events.iter().map(|event| {
        // A push came from inside, and is one connector's alone.
        let came = event.op == Op::Event || event.origin.is_some();
        let wanted = view.direction.is_none_or(|direction| (direction == Direction::Inbound) == came);
        let hears = wanted && event.push.is_none() && view.listen.hears(&event.kind, event.op);
        (event.seq(), hears.then(|| view.text(event)))
    });
    if out.blocking_send(Piece::Events(number, shown.collect())).is_err() {
        return Ok(false);
    }
    log.after = last;
    Ok(true)
}

/// The body of a stream.
struct Feed {
    pieces: Receiver<Piece>,
    /// How far each log has come, by its name in an id.
    places: Vec<(String, i64)>,
    greeted: bool,
    beat: Interval,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    fn id(&self) -> String {
        let places = self.places.iter().map(|(log, seq)| format!("{log}:{seq}"));
        format!("id: {}\n", places.collect::<Vec<_>>().join(","))
    }

    /// Moves a log on.
    fn reach(&mut self, number: usize, at: i64) {
        if let Some((_, place)) = self.places.get_mut(number) {
            *place = at;
        }
    }

    /// The text of a piece.
    fn text(&mut self, piece: Piece) -> Vec<u8> {
        let mut text = Vec::new();
        match piece {
            Piece::Events(number, events) => {
                let mut told = true;
                for (at, event) in events {
                    self.reach(number, at);
                    told = event.is_some();
                    if let Some(event) = event {
                        text.extend_from_slice(self.id().as_bytes());
                        text.extend_from_slice(b"data: ");
                        text.extend_from_slice(&event);
                        text.extend_from_slice(b"\n\n");
                    }
                }
                if !told {
                    // An id without data is remembered by the client and calls nobody.
                    text.extend_from_slice(self.id().as_bytes());
                    text.push(b'\n');
                }
            }
            Piece::Gap(number, from, to) => {
                self.reach(number, to);
                let log = self.places.get(number).map_or("", |(log, _)| log);
                let gap = json!({ "log": log, "after": from, "goesOnAfter": to });
                text.extend_from_slice(format!("{}event: gap\ndata: {gap}\n\n", self.id()).as_bytes());
            }
        }
        text
    }
}

impl HttpBody for Feed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        let frame = |text: Vec<u8>| Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))));
        if !self.greeted {
            // Who is cut off before the first event knows where to go on.
            self.greeted = true;
            return frame(format!("retry: 1000\n{}\n", self.id()).into_bytes());
        }
        match self.pieces.poll_recv(context) {
            Poll::Ready(Some(piece)) => frame(self.text(piece)),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending if self.beat.poll_tick(context).is_ready() => frame(b":\n\n".to_vec()),
            Poll::Pending => Poll::Pending,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_every_log_and_what_is_no_id_is_refused() {
        let found = positions("office:12,intake:0,a%3Ab:7").unwrap();
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("a%3Ab".into(), 7), ("intake".into(), 0), ("office".into(), 12)]
        );
        for bad in ["12", "office", "office:x", "office:-1", "office:1,", "office:99999999999999999999"] {
            assert!(positions(bad).is_err(), "{bad}");
        }
    }
}
