//! What a service manager hears of a service (sd_notify(3)).

use std::io::ErrorKind;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

use super::office::PATIENCE;

/// What it listens on.
pub struct Manager(UnixDatagram);

impl Manager {
    pub fn at(path: &Path) -> Manager {
        Manager(UnixDatagram::bind(path).unwrap())
    }

    /// Hears the next notification, of one line or several; none when nothing was said for so long.
    pub fn hears_within(&self, time: Duration) -> Option<String> {
        self.0.set_read_timeout(Some(time)).unwrap();
        let mut bytes = [0; 4096];
        match self.0.recv(&mut bytes) {
            Ok(length) => Some(String::from_utf8(bytes[..length].to_vec()).unwrap()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits for a line that begins so; the notification that it stands in.
    #[track_caller]
    pub fn hears(&self, word: &str) -> String {
        let began = Instant::now();
        let mut heard = Vec::new();
        loop {
            let said = self.hears_within(PATIENCE).unwrap_or_default();
            if said.lines().any(|line| line.starts_with(word)) {
                return said;
            }
            if said != "WATCHDOG=1" {
                heard.push(said);
            }
            assert!(began.elapsed() < PATIENCE, "{word} was never said, but {heard:#?}");
        }
    }

    /// Waits for a status line that holds a text.
    #[track_caller]
    pub fn shows(&self, text: &str) -> String {
        let began = Instant::now();
        let mut last = String::new();
        while began.elapsed() < PATIENCE {
            last = self.hears("STATUS=");
            if last.contains(text) {
                return last;
            }
        }
        panic!("{text:?} was never shown, at last {last:?}");
    }

    /// Waits until no sign of life is given any more: for thirty times as long as between two.
    #[track_caller]
    pub fn hears_nothing_more(&self) {
        let (began, mut last) = (Instant::now(), Instant::now());
        while last.elapsed() < Duration::from_secs(3) {
            if self.hears_within(Duration::from_secs(3)).is_some_and(|said| said.contains("WATCHDOG=1")) {
                last = Instant::now();
            }
            assert!(began.elapsed() < PATIENCE, "it goes on saying that it is alive");
        }
    }
}
