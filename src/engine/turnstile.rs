//! A record that is both sent and read: either something of it is on its way, or what was read is being decided about, never both.
//!
//! Without that, a change that lost against what was read could still leave, under the version that was just read, and win.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::{HashMap, HashSet};

/// The class of the reason with which both sides wait to be compared.
pub const FIRST_CONTACT: &str = "first-contact";

/// Where both who sends and who reads for one connector pass. Records go by their key as JSON.
#[derive(Clone, Debug, Default)]
pub struct Turnstile(Arc<Mutex<Inside>>);

/// Who is at which record.
#[derive(Debug, Default)]
pub struct Inside {
    /// So many requests are on their way with something of the record; what came of them is not durable yet.
    away: HashMap<String, u32>,
    /// It is being decided about these.
    taken: HashSet<String>,
    /// It could not be decided about these, because something of them was on its way.
    missed: HashSet<String>,
    /// The application's changes up to there are in what was told to the log anew.
    told: HashMap<String, i64>,
    /// How often something has come back.
    landings: u64,
    /// Both sides have records and were never compared: nothing leaves before a person has looked and they have met.
    apart: bool,
}

impl Turnstile {
    /// Nobody passes while this is held.
    pub fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    /// Whether nothing may leave, because both sides were not compared.
    pub fn is_apart(&self) -> bool {
        self.apart
    }

    /// Says whether both sides have still to meet; whether that was so before.
    pub fn set_apart(&mut self, apart: bool) -> bool {
        std::mem::replace(&mut self.apart, apart)
    }

    /// Whether it is being decided about a record: nothing of it may leave.
    pub fn is_taken(&self, key: &str) -> bool {
        self.taken.contains(key)
    }

    /// Up to which change of a record something newer was told to the log; 0 = nothing was.
    pub fn told(&self, key: &str) -> i64 {
        self.told.get(key).copied().unwrap_or(0)
    }

    /// Notes that a record was told to the log anew, after this change.
    pub fn tell(&mut self, key: &str, seq: i64) {
        self.told.insert(key.to_owned(), seq);
    }

    /// A change of a record leaves.
    pub fn leave(&mut self, key: &str, seq: i64) {
        *self.away.entry(key.to_owned()).or_default() += 1;
        // Changes of a record leave in order: none before this one comes any more.
        if self.told(key) < seq {
            self.told.remove(key);
        }
    }

    /// What came of it is durable; whether it is to be decided about the record now.
    pub fn land(&mut self, key: &str) -> bool {
        self.landings += 1;
        if let Some(count) = self.away.get_mut(key) {
            *count -= 1;
            if *count > 0 {
                return false;
            }
            self.away.remove(key);
        }
        self.missed.remove(key)
    }

    /// How often something has come back: what was looked up before the last time may be old.
    pub fn landings(&self) -> u64 {
        self.landings
    }

    /// Takes a record to decide about it; false = something of it is on its way, and who reads hears when it is back.
    pub fn take(&mut self, key: &str) -> bool {
        if self.away.contains_key(key) {
            self.missed.insert(key.to_owned());
            return false;
        }
        self.taken.insert(key.to_owned());
        true
    }

    /// It is decided.
    pub fn let_go(&mut self) {
        self.taken.clear();
    }
}

/// The end of who reads: what he had taken is free with him.
#[derive(Debug, Default)]
pub struct Reader(pub Turnstile);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.lock().let_go();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_decides_about_a_record_that_is_on_its_way_and_who_wanted_to_hears_of_the_last_that_is_back() {
        let turnstile = Turnstile::default();
        let mut inside = turnstile.lock();
        inside.leave("a", 1);
        inside.leave("a", 2);
        assert!(!inside.take("a") && inside.take("b"));
        assert!(!inside.land("a") && !inside.take("a"));
        assert!(inside.land("a") && inside.take("a"));
        assert!(inside.is_taken("a") && inside.is_taken("b"));
        inside.let_go();
        assert!(!inside.is_taken("a"));
    }

    #[test]
    fn what_was_told_counts_until_something_newer_leaves() {
        let turnstile = Turnstile::default();
        let mut inside = turnstile.lock();
        inside.tell("a", 5);
        inside.leave("a", 5);
        assert_eq!(inside.told("a"), 5);
        inside.leave("a", 6);
        assert_eq!(inside.told("a"), 0);
    }
}
