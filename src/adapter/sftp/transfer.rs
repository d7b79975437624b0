//! Files up and down with many requests under way, so that the distance to the server does not set the pace.

use std::collections::{HashMap, VecDeque};
use std::io::Read;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::adapter::place::{Class, Progress, Sink, Trouble};
use crate::adapter::sftp::exchange::{Exchange, done, refused};
use crate::adapter::sftp::wire::{Answer, Packet, kind, status};

/// Bytes of a piece when the server does not say what it takes: every server takes this (draft 02, section 3).
pub(super) const PIECE: usize = 32 * 1024;

/// Most bytes of a piece.
const MOST: usize = 256 * 1024;

/// Bytes and pieces that may be without an answer.
const UNDER_WAY: usize = 4 * 1024 * 1024;
const PIECES: usize = 64;

/// How a file travels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Bytes of a piece to write.
    pub(super) write: usize,
    /// Bytes of a piece to read.
    pub(super) read: usize,
    /// Bytes a second at most.
    pub(super) rate: Option<u64>,
}

impl Pace {
    /// The pace of a server that told its longest read and write; 0 = it did not tell.
    pub(super) fn of(read: u64, write: u64, rate: Option<u64>) -> Pace {
        let piece = |told: u64| match usize::try_from(told) {
            Ok(0) => PIECE,
            told => told.map_or(MOST, |told| told.min(MOST)),
        };
        Pace { read: piece(read), write: piece(write), rate }
    }

    /// Bytes of a piece to write under the rate: at least ten pieces a second, so that the flow is even.
    fn piece(&self) -> usize {
        let slow = self.rate.map_or(usize::MAX, |rate| usize::try_from(rate / 10).unwrap_or(usize::MAX));
        self.write.min(slow).max(1)
    }
}

/// Writes all of a reader at `offset`; gives the bytes that the server accepted.
pub(super) async fn write(
    exchange: &mut Exchange,
    handle: &[u8],
    offset: u64,
    from: &mut dyn Read,
    pace: Pace,
    progress: Progress<'_>,
) -> Result<u64, Trouble> {
    let piece = pace.piece();
    let began = Instant::now();
    let (mut sent, mut accepted, mut ended) = (0u64, 0u64, false);
    let mut under_way: HashMap<u32, usize> = HashMap::new();
    let mut bytes_under_way = 0;
    loop {
        while !ended && under_way.len() < PIECES && bytes_under_way + piece <= UNDER_WAY {
            let id = exchange.number();
            let packet = Packet::new(kind::WRITE, id, handle.len() + piece).text(handle).u64(offset + sent);
            let (packet, length) = packet
                .fill(from, piece)
                .map_err(|error| Trouble::new(Class::Local, format!("the staged file cannot be read: {error}")))?;
            ended = length < piece;
            if length == 0 {
                break;
            }
            exchange.send(packet.done()).await?;
            sent += length as u64;
            bytes_under_way += length;
            under_way.insert(id, length);
            if let Some(rate) = pace.rate {
                sleep_until(began + Duration::from_secs_f64(sent as f64 / rate.max(1) as f64)).await;
            }
            // What was answered meanwhile makes room.
            while let Some((id, answer)) = exchange.received() {
                accept(&mut under_way, &mut bytes_under_way, &mut accepted, id, answer)?;
            }
            progress(offset + accepted);
        }
        if under_way.is_empty() {
            progress(offset + accepted);
            return Ok(accepted);
        }
        let (id, answer) = exchange.receive().await?;
        accept(&mut under_way, &mut bytes_under_way, &mut accepted, id, answer)?;
    }
}

fn accept(
    under_way: &mut HashMap<u32, usize>,
    bytes_under_way: &mut usize,
    accepted: &mut u64,
    id: u32,
    answer: Answer,
) -> Result<(), Trouble> {
    let Some(length) = under_way.remove(&id) else { return Ok(()) };
    *bytes_under_way -= length;
    done(answer, "write")?;
    *accepted += length as u64;
    Ok(())
}

/// Reads from `offset` to the end, or until the sink has enough.
pub(super) async fn read(
    exchange: &mut Exchange,
    handle: &[u8],
    offset: u64,
    pace: Pace,
    sink: Sink<'_>,
) -> Result<(), Trouble> {
    let mut next = offset;
    let mut asked: VecDeque<(u32, u64, usize)> = VecDeque::new();
    let mut here: HashMap<u32, Answer> = HashMap::new();
    loop {
        while asked.len() < PIECES && (asked.len() + 1) * pace.read <= UNDER_WAY {
            let id = exchange.number();
            let packet = Packet::new(kind::READ, id, handle.len()).text(handle).u64(next).u32(pace.read as u32);
            exchange.send(packet.done()).await?;
            asked.push_back((id, next, pace.read));
            next += pace.read as u64;
        }
        let Some((id, at, length)) = asked.pop_front() else { return Ok(()) };
        let answer = loop {
            if let Some(answer) = here.remove(&id) {
                break answer;
            }
            let (of, answer) = exchange.receive().await?;
            if of == id || asked.iter().any(|(asked, ..)| *asked == of) {
                here.insert(of, answer);
            }
        };
        match answer {
            Answer::Data(bytes) if bytes.is_empty() || bytes.len() > length => return Err(odd()),
            Answer::Data(bytes) => {
                if !sink(&bytes) {
                    return Ok(());
                }
                // A short piece is no end: what was asked behind it has a hole in front, and is asked again.
                if bytes.len() < length {
                    (asked, here) = (VecDeque::new(), HashMap::new());
                    next = at + bytes.len() as u64;
                }
            }
            Answer::Status(status::EOF, _) => return Ok(()),
            answer => return Err(refused(answer, "read")),
        }
    }
}

fn odd() -> Trouble {
    Trouble::new(Class::Failure, "the server answered a read with more bytes than asked for, or none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_is_what_the_server_takes_and_never_huge() {
        let piece = |told| Pace::of(told, told, None).piece();
        assert_eq!([piece(0), piece(1000), piece(261_120), piece(u64::MAX)], [PIECE, 1000, 261_120, MOST]);
        assert_eq!(Pace::of(0, 0, Some(1000)).piece(), 100);
        assert_eq!(Pace::of(0, 0, Some(1)).piece(), 1);
    }
}
