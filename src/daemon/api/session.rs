//! Who is signed in to the status page. A code that works once, and soon, is exchanged for a session: a cookie that no
//! script can read, and a key that the page shows with every call. A cookie is also sent to other ports of this machine,
//! whose owner may be somebody else; without the key it is worth nothing there. All of it lives in memory, as digests, and
//! ends with the agent.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand;

use super::token::Wrong;
use crate::clock::{self, Timestamp};
use crate::rules::hex::hex;

/// How long a code works that a person asks for.
pub const CODE: Duration = Duration::from_secs(60);
/// A session ends when it was not used for so long.
const IDLE: Duration = Duration::from_secs(12 * 3600);
/// And after so long in any case.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// Most codes and sessions at once: one more takes the place of the oldest.
const CODES: usize = 8;
const SESSIONS: usize = 32;

/// Codes and sessions.
#[derive(Debug)]
pub struct Sessions {
    held: Mutex<Held>,
}

#[derive(Debug)]
struct Held {
    codes: Vec<Code>,
    sessions: Vec<Session>,
    wrong: Wrong,
}

#[derive(Debug)]
struct Code {
    digest: [u8; 32],
    until: Timestamp,
    who: Arc<str>,
}

#[derive(Debug)]
struct Session {
    cookie: [u8; 32],
    key: [u8; 32],
    who: Arc<str>,
    begun: Timestamp,
    used: Timestamp,
}

/// What a code was exchanged for.
#[derive(Debug)]
pub(super) struct SignedIn {
    pub(super) cookie: String,
    pub(super) key: String,
    pub(super) who: Arc<str>,
}

/// Why nobody was signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// No such code: never given, used already, or too old.
    Unknown,
    /// Too many wrong ones of late.
    TooMany,
    /// The system gives no random numbers.
    NoChance,
}

impl Default for Sessions {
    fn default() -> Sessions {
        let wrong = Wrong::new(clock::steady());
        Sessions { held: Mutex::new(Held { codes: Vec::new(), sessions: Vec::new(), wrong }) }
    }
}

impl Sessions {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new code, good once and for so long; `who` is named for what is done with it. None when the system gives no random
    /// numbers.
    pub fn code(&self, who: &str, life: Duration) -> Option<String> {
        self.code_at(who, life, clock::steady())
    }

    fn code_at(&self, who: &str, life: Duration, now: Timestamp) -> Option<String> {
        let text = chance::<16>()?;
        let mut held = self.held();
        held.codes.retain(|code| code.until > now);
        if held.codes.len() >= CODES {
            held.codes.remove(0);
        }
        held.codes.push(Code { digest: hashed(&text), until: now.plus(life), who: who.into() });
        Some(text)
    }

    /// Exchanges a code.
    pub(super) fn sign_in(&self, code: &str) -> Result<SignedIn, Refused> {
        self.sign_in_at(code, clock::steady())
    }

    fn sign_in_at(&self, code: &str, now: Timestamp) -> Result<SignedIn, Refused> {
        let shown = hashed(code);
        let mut held = self.held();
        held.codes.retain(|code| code.until > now);
        let Some(at) = found(held.codes.iter().map(|code| &code.digest), &shown) else {
            return Err(if held.wrong.add(now) { Refused::Unknown } else { Refused::TooMany });
        };
        let (cookie, key) = chance::<32>().zip(chance::<32>()).ok_or(Refused::NoChance)?;
        let who = held.codes.remove(at).who;
        held.sessions.retain(|session| session.lives(now));
        if held.sessions.len() >= SESSIONS {
            let oldest = held.sessions.iter().enumerate().min_by_key(|(_, session)| session.used).map(|(at, _)| at);
            oldest.map(|at| held.sessions.remove(at));
        }
        let (hashed_cookie, hashed_key) = (hashed(&cookie), hashed(&key));
        held.sessions.push(Session { cookie: hashed_cookie, key: hashed_key, who: who.clone(), begun: now, used: now });
        Ok(SignedIn { cookie, key, who })
    }

    /// Who has signed in with this cookie and key; it counts as a use.
    pub(super) fn admit(&self, cookie: &str, key: &str) -> Option<Arc<str>> {
        self.admit_at(cookie, key, clock::steady())
    }

    fn admit_at(&self, cookie: &str, key: &str, now: Timestamp) -> Option<Arc<str>> {
        let mut held = self.held();
        held.sessions.retain(|session| session.lives(now));
        let at = held.at(cookie, key)?;
        let session = held.sessions.get_mut(at)?;
        session.used = now;
        Some(session.who.clone())
    }

    /// Ends a session.
    pub(super) fn sign_out(&self, cookie: &str, key: &str) {
        let mut held = self.held();
        if let Some(at) = held.at(cookie, key) {
            held.sessions.remove(at);
        }
    }
}

impl Held {
    fn at(&self, cookie: &str, key: &str) -> Option<usize> {
        let (cookie, key) = (hashed(cookie), hashed(key));
        let at = found(self.sessions.iter().map(|session| &session.cookie), &cookie)?;
        let known = self.sessions.get(at)?;
        verify_slices_are_equal(&known.key, &key).is_ok().then_some(at)
    }
}

impl Session {
    fn lives(&self, now: Timestamp) -> bool {
        now.since(self.used) < IDLE && now.since(self.begun) < LONGEST
    }
}

/// So many random bytes. A code lives for a minute and is typed or copied: 128 bits are plenty for it.
fn chance<const BYTES: usize>() -> Option<String> {
    let mut bits = [0; BYTES];
    rand::fill(&mut bits).ok()?;
    Some(hex(&bits))
}

fn hashed(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    out
}

/// Which of them it is. Each is compared in constant time, and all of them are.
fn found<'d>(known: impl Iterator<Item = &'d [u8; 32]>, shown: &[u8; 32]) -> Option<usize> {
    known.enumerate().fold(None, |at, (n, known)| verify_slices_are_equal(known, shown).ok().map(|()| n).or(at))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_code_works_once_and_for_a_minute_and_wrong_ones_are_slowed_down() {
        let sessions = Sessions::default();
        let now = clock::steady();
        let code = sessions.code_at("ada", CODE, now).unwrap();
        assert_eq!(sessions.sign_in_at(&code, now).unwrap().who.as_ref(), "ada");
        assert_eq!(sessions.sign_in_at(&code, now).unwrap_err(), Refused::Unknown, "used");
        let code = sessions.code_at("ada", CODE, now).unwrap();
        assert_eq!(sessions.sign_in_at(&code, now.plus(CODE)).unwrap_err(), Refused::Unknown, "too old");
        let guess = |n: usize| sessions.sign_in_at(&format!("{n:064x}"), now.plus(CODE)).unwrap_err();
        let refused: Vec<Refused> = (0..30).map(guess).collect();
        assert!(refused.contains(&Refused::TooMany), "{refused:?}");
        let right = sessions.code_at("ada", CODE, now).unwrap();
        assert!(sessions.sign_in_at(&right, now).is_ok(), "the right one is not locked out");
    }

    #[test]
    fn a_session_needs_both_halves_ends_when_it_idles_and_after_a_week_and_by_signing_out() {
        let sessions = Sessions::default();
        let now = clock::steady();
        let signed_in = |now| sessions.sign_in_at(&sessions.code_at("ada", CODE, now).unwrap(), now).unwrap();
        let (one, other) = (signed_in(now), signed_in(now));
        assert!(sessions.admit_at(&one.cookie, &one.key, now).is_some());
        assert!(sessions.admit_at(&one.cookie, "", now).is_none());
        assert!(sessions.admit_at(&one.cookie, &other.key, now).is_none());
        assert!(sessions.admit_at(&one.cookie, &one.cookie, now).is_none());
        sessions.sign_out(&other.cookie, &other.key);
        assert!(sessions.admit_at(&other.cookie, &other.key, now).is_none());
        let mut later = now;
        while later < now.plus(LONGEST).minus(IDLE) {
            later = later.plus(IDLE / 2);
            assert!(sessions.admit_at(&one.cookie, &one.key, later).is_some());
        }
        assert!(sessions.admit_at(&one.cookie, &one.key, now.plus(LONGEST)).is_none(), "a week");
        let idle = signed_in(now);
        assert!(sessions.admit_at(&idle.cookie, &idle.key, now.plus(IDLE)).is_none(), "idle");
    }

    #[test]
    fn there_are_never_more_than_so_many() {
        let sessions = Sessions::default();
        let now = clock::steady();
        let first = sessions.code_at("ada", CODE, now).unwrap();
        let codes: Vec<String> = (0..CODES).map(|_| sessions.code_at("ada", CODE, now).unwrap()).collect();
        assert!(sessions.sign_in_at(&first, now).is_err() && sessions.sign_in_at(&codes[0], now).is_ok());
        for _ in 0..2 * SESSIONS {
            let code = sessions.code_at("ada", CODE, now).unwrap();
            sessions.sign_in_at(&code, now).unwrap();
        }
        assert_eq!(sessions.held().sessions.len(), SESSIONS);
    }
}
