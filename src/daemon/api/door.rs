//! The door: takes connections in, keeps them to their limits, and lets them finish when the API ends.

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::serve::Listener;
use hyper::Request;
use hyper::body::{Body as HttpBody, Bytes, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use super::caller::Caller;
use super::write::Patient;

/// Most connections at once. One more takes the place of the one that has been idle longest.
const SEATS: usize = 64;
/// How long the head of a request may take, and how long a connection may be idle before it.
const HEAD: Duration = Duration::from_secs(10);
/// Largest head, in bytes; smaller buffers hyper does not take.
const HEAD_BYTES: usize = 8 * 1024;
/// Most header fields.
const HEADERS: usize = 64;
/// How long the other end may read nothing of an answer.
const STALL: Duration = Duration::from_secs(30);
/// How long requests under way may take once the API ends.
const LINGER: Duration = Duration::from_secs(2);
/// How long it may take to tell somebody that there is no room.
const REFUSING: Duration = Duration::from_millis(100);

const NO_ROOM: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
    connection: close\r\ncontent-length: 112\r\n\r\n\
    {\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"every connection is in use just now\"}";

/// The places that connections take.
#[derive(Default)]
pub(super) struct Room {
    seats: Mutex<Vec<Arc<Seat>>>,
}

/// A connection's place.
#[derive(Default)]
struct Seat {
    /// Requests under way.
    busy: AtomicUsize,
    /// Another one takes the place.
    leave: Notify,
}

impl Room {
    /// A place: a free one, else that of the connection that has been idle longest; none when all are at work.
    fn seat(&self) -> Option<Arc<Seat>> {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if seats.len() >= SEATS {
            // Who has finished a request stands behind those who were idle before.
            let idle = seats.iter().position(|seat| seat.busy.load(Ordering::Acquire) == 0)?;
            seats.remove(idle).leave.notify_one();
        }
        let seat = Arc::new(Seat::default());
        seats.push(seat.clone());
        Some(seat)
    }

    /// A connection has been at work just now: it goes to the end of the row.
    fn has_worked(&self, seat: &Arc<Seat>) {
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = seats.iter().position(|known| Arc::ptr_eq(known, seat)) {
            let seat = seats.remove(at);
            seats.push(seat);
        }
    }

    fn leave(&self, seat: &Arc<Seat>) {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner).retain(|known| !Arc::ptr_eq(known, seat));
    }
}

/// Takes in who comes until the API ends; `who` names them. Ends when the last request under way has, or may take no longer.
pub(super) async fn open<L>(
    mut listener: L,
    who: impl Fn(&L::Io) -> Caller,
    room: Arc<Room>,
    router: Router,
    stop: watch::Receiver<bool>,
) where
    L: Listener,
    L::Io: Unpin,
{
    let (mut connections, mut stopped) = (JoinSet::new(), stop.clone());
    loop {
        let mut io = tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => break,
            // What has ended is forgotten.
            Some(_) = connections.join_next() => continue,
            (io, _) = listener.accept() => io,
        };
        match room.seat() {
            Some(seat) => {
                let (caller, room, router, stop) = (who(&io), room.clone(), router.clone(), stop.clone());
                connections.spawn(async move {
                    attend(io, caller, &room, &seat, router, stop).await;
                    room.leave(&seat);
                });
            }
            None => drop(tokio::time::timeout(REFUSING, io.write_all(NO_ROOM)).await),
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn attend<S>(
    stream: S,
    caller: Caller,
    room: &Arc<Room>,
    seat: &Arc<Seat>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let inner = TowerToHyperService::new(router);
    let service = service_fn(|mut request: Request<Incoming>| {
        request.extensions_mut().insert(caller.clone());
        let work = Work::begin(room.clone(), seat.clone());
        let answer = inner.call(request);
        async move {
            let response = answer.await?;
            Ok::<_, Infallible>(response.map(|body| Kept { body, _work: work }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Patient::new(stream, STALL)), service);
    let mut connection = pin!(connection);
    tokio::select! {
        // A client that breaks off is no trouble of ours.
        _ = connection.as_mut() => return,
        () = seat.leave.notified() => return,
        _ = stop.wait_for(|stop| *stop) => connection.as_mut().graceful_shutdown(),
    }
    drop(tokio::time::timeout(LINGER, connection).await);
}

/// A request under way, until the last byte of its answer is handed over.
struct Work {
    room: Arc<Room>,
    seat: Arc<Seat>,
}

impl Work {
    fn begin(room: Arc<Room>, seat: Arc<Seat>) -> Work {
        seat.busy.fetch_add(1, Ordering::AcqRel);
        Work { room, seat }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.room.has_worked(&self.seat);
        self.seat.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A body that keeps its connection's place.
struct Kept {
    body: Body,
    _work: Work,
}

impl HttpBody for Kept {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_room_makes_place_by_the_longest_idle_and_by_no_busy_one() {
        let room = Arc::new(Room::default());
        let seats: Vec<_> = (0..SEATS).filter_map(|_| room.seat()).collect();
        assert_eq!(seats.len(), SEATS);
        let work: Vec<_> = seats.iter().skip(2).map(|seat| Work::begin(room.clone(), seat.clone())).collect();
        drop(Work::begin(room.clone(), seats[0].clone()));
        let (second, first) = (room.seat().is_some(), room.seat().is_some());
        assert!(first && second, "the two idle ones made place");
        let left = room.seats.lock().unwrap_or_else(PoisonError::into_inner).len();
        assert_eq!(left, SEATS);
        drop(work);
    }

    #[test]
    fn the_refusal_is_as_long_as_it_says() {
        let text = String::from_utf8_lossy(NO_ROOM);
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert!(text.contains(&format!("content-length: {}\r\n", body.len())), "{}", body.len());
    }
}
