//! Telling the service manager how it is (sd_notify(3)): ready, reloading, stopping, and alive.

use std::ffi::OsString;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::adapter::secret::redact;
use crate::clock;
use crate::engine::push::Beat;

/// Workers beat so often in the time that the service manager allows: all of them must have, before it is told.
const SHARE: u32 = 4;

/// Where the service manager listens; none = nobody does.
fn socket() -> Option<OsString> {
    std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())
}

/// Tells it a state; nothing happens where nobody listens.
pub fn tell(state: &str) {
    send(state, true);
}

/// Tells it what may get lost: nobody waits for a service manager that does not read what it is told.
pub fn hint(state: &str) {
    send(state, false);
}

fn send(state: &str, waits: bool) {
    let Some(path) = socket() else { return };
    let told = UnixDatagram::unbound().and_then(|from| {
        from.set_nonblocking(!waits)?;
        match path.to_string_lossy().strip_prefix('@') {
            #[cfg(target_os = "linux")]
            Some(name) => {
                use std::os::linux::net::SocketAddrExt as _;
                from.send_to_addr(state.as_bytes(), &std::os::unix::net::SocketAddr::from_abstract_name(name)?)
            }
            _ => from.send_to(state.as_bytes(), &path),
        }
    });
    if let Err(error) = told {
        log::debug!("the service manager cannot be told {state}: {error}");
    }
}

/// Tells it that a reload has begun; [`tell`] it `READY=1` when that is over, however it went.
pub fn tell_reloading() {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", clock::monotonic_micros()));
}

/// Whether a service manager listens.
pub fn is_heard() -> bool {
    socket().is_some()
}

/// A text as one line of a notification: bounded, without control characters and without secrets.
pub fn one_line(text: &str, longest: usize) -> String {
    let clean: String = redact(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match clean.char_indices().nth(longest) {
        Some((at, _)) => format!("{}...", clean.get(..at).unwrap_or_default()),
        None => clean,
    }
}

/// How long the service manager waits for a sign of life, when it asks this process for any.
fn patience() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let asked = number("WATCHDOG_PID").is_none_or(|process| process == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|micros| asked && *micros > 0 && socket().is_some()).map(Duration::from_micros)
}

/// One beat for each who works, when the service manager asks for signs of life. It is told by the worker whose beat
/// completes the round: one that is stuck silences all.
pub fn beats(workers: usize) -> Vec<Option<Beat>> {
    let Some(patience) = patience() else { return vec![None; workers] };
    let round = Arc::new(Mutex::new(vec![false; workers]));
    let beat = |at: usize| {
        let round = round.clone();
        let tell = move || {
            let mut round = round.lock().unwrap_or_else(PoisonError::into_inner);
            round.iter_mut().skip(at).take(1).for_each(|has| *has = true);
            if round.iter().all(|has| *has) {
                round.fill(false);
                hint("WATCHDOG=1");
            }
        };
        Some(Beat { every: patience / SHARE, tell: Arc::new(tell) })
    };
    (0..workers).map(beat).collect()
}
