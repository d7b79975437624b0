//! The buffers of a connection: a request gathers in one, so that it leaves with one write; an answer comes in by the
//! other. Both start small, because there are as many as there are lanes.

use ureq::unversioned::transport::Buffers;

/// Least room for a part of a request: ureq writes whole header lines.
const LEAST: usize = 4 * 1024;

/// Room for an answer's head, which is refused beyond [`super::HEAD_LIMIT`].
const ROOM: usize = super::HEAD_LIMIT + 16 * 1024;

/// The buffers between ureq and a connection.
#[derive(Default)]
pub struct Corked {
    out: Vec<u8>,
    filled: usize,
    line: usize,
    input: Vec<u8>,
    start: usize,
    end: usize,
    progress: bool,
}

impl Corked {
    /// Prepares for header lines of this length.
    pub fn expect(&mut self, line: usize) {
        self.line = line;
    }

    /// The part of a request that is held back.
    pub fn held(&self) -> &[u8] {
        self.out.get(..self.filled).unwrap_or_default()
    }

    /// Holds back so many of the bytes that were put into [`Buffers::output`].
    pub fn hold(&mut self, amount: usize) {
        self.filled = (self.filled + amount).min(self.out.len());
    }

    /// What was held has left.
    pub fn let_go(&mut self) {
        self.filled = 0;
    }

    fn make_room(&mut self) {
        let line = self.line.max(LEAST);
        if self.out.len() < self.filled + line {
            self.out.resize(self.filled + line, 0);
        }
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.end == self.input.len() {
            self.input.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if self.end == self.input.len() {
                let size = (self.input.len() * 2).clamp(4 * 1024, ROOM);
                self.input.resize(size, 0);
            }
        }
    }
}

impl Buffers for Corked {
    fn output(&mut self) -> &mut [u8] {
        self.make_room();
        self.out.get_mut(self.filled..).unwrap_or_default()
    }

    fn input(&self) -> &[u8] {
        self.input.get(self.start..self.end).unwrap_or_default()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.make_room();
        self.input.get_mut(self.end..).unwrap_or_default()
    }

    fn input_appended(&mut self, amount: usize) {
        self.end = (self.end + amount).min(self.input.len());
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.start = (self.start + amount).min(self.end);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.make_room();
        (self.input.get_mut(self.end..).unwrap_or_default(), self.out.get_mut(self.filled..).unwrap_or_default())
    }

    fn can_use_input(&self) -> bool {
        self.start < self.end && self.progress
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn buffers_keep_what_is_not_consumed_and_grow_to_their_limit() {
        let mut buffers = Corked::default();
        let mut all = Vec::new();
        for round in 0..200_u8 {
            let free = buffers.input_append_buf();
            let count = free.len().min(700);
            assert!(count > 0 || buffers.input().len() == ROOM);
            buffers.input_append_buf()[..count].fill(round);
            buffers.input_appended(count);
            all.extend(std::iter::repeat_n(round, count));
            if round % 3 == 0 {
                buffers.input_consume(500);
                all.drain(..500);
            }
            assert_eq!(buffers.input(), all);
        }
        buffers.input_consume(0);
        assert!(!buffers.can_use_input());
    }
}
