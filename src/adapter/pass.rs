//! A pass: what somebody was given for having shown who he is (a token, a session). One for all who share it, renewed
//! early, by one of them at a time, and never in a storm.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::rules::outcome::Outcome;

/// A pass, as it was just given.
#[derive(Debug)]
pub struct Given<P> {
    /// It.
    pub pass: P,
    /// How long it holds; none = until it is refused.
    pub lifetime: Option<Duration>,
}

/// Where all who share a pass get it.
#[derive(Debug)]
pub struct Passes<P> {
    /// After a renewal that a refusal asked for, further refusals within this time are only tried again with the pass
    /// at hand.
    calm: Duration,
    state: Mutex<State<P>>,
    /// Held while a new one is asked for.
    flight: Mutex<()>,
    told: OnceLock<Told>,
}

/// Who hears that a pass was asked for, and whether one was given.
struct Told(Box<dyn Fn(bool) + Send + Sync>);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Told")
    }
}

#[derive(Debug)]
struct State<P> {
    held: Option<Held<P>>,
    /// Counts what was asked for: who waited for a call that failed takes its failure and does not call again.
    flights: u64,
    failure: Option<Outcome>,
    /// When a refusal last asked for a renewal.
    forced: Option<Instant>,
    /// No early renewal before this.
    early: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Held<P> {
    pass: P,
    generation: u64,
    issued: Instant,
    lifetime: Option<Duration>,
}

impl<P> Held<P> {
    fn is_fresh(&self) -> bool {
        self.lifetime.is_none_or(|lifetime| self.issued.elapsed() < lifetime * 4 / 5)
    }

    fn is_valid(&self) -> bool {
        self.lifetime.is_none_or(|lifetime| self.issued.elapsed() < lifetime)
    }
}

impl<P: Clone> Passes<P> {
    /// None yet.
    pub fn new(calm: Duration) -> Passes<P> {
        let state = State { held: None, flights: 0, failure: None, forced: None, early: None };
        Passes { calm, state: Mutex::new(state), flight: Mutex::new(()), told: OnceLock::new() }
    }

    /// Whoever is told here hears each time that a pass was asked for, and whether one was given. Only the first counts.
    pub fn tell(&self, told: impl Fn(bool) + Send + Sync + 'static) {
        let _ = self.told.set(Told(Box::new(told)));
    }

    /// The pass and its generation, where nobody has to be asked for it.
    pub fn held(&self) -> Option<(P, u64)> {
        let state = self.state();
        let held = state.held.as_ref().filter(|held| held.is_fresh())?;
        Some((held.pass.clone(), held.generation))
    }

    /// The pass and its generation; `ask` gets a new one. At four fifths of its life one caller renews it while the
    /// others go on with the old one.
    pub fn get(&self, ask: impl FnOnce() -> Result<Given<P>, Outcome>) -> Result<(P, u64), Outcome> {
        let (held, flights) = {
            let state = self.state();
            match &state.held {
                Some(held) if held.is_fresh() => return Ok((held.pass.clone(), held.generation)),
                held => (held.clone().filter(Held::is_valid), state.flights),
            }
        };
        let Some(old) = held else {
            let _flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            return self.renewed(flights, ask);
        };
        let rested = self.state().early.is_none_or(|early| early <= Instant::now());
        if rested && let Ok(_flight) = self.flight.try_lock() {
            match self.renewed(flights, ask) {
                Ok(new) => return Ok(new),
                // The old one still works: try again a little later.
                Err(_) => {
                    let pause = old.lifetime.unwrap_or_default() / 20;
                    let pause = pause.clamp(Duration::from_secs(1), Duration::from_secs(30));
                    self.state().early = Some(Instant::now() + pause);
                }
            }
        }
        Ok((old.pass, old.generation))
    }

    /// The pass of this generation was refused. Ok = try once more with what [`Passes::get`] gives now.
    pub fn refused(&self, generation: u64, ask: impl FnOnce() -> Result<Given<P>, Outcome>) -> Result<(), Outcome> {
        let flights = self.state().flights;
        let _flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut state = self.state();
            if state.held.as_ref().is_some_and(|held| held.generation != generation) {
                return Ok(());
            }
            if state.held.is_some() && state.forced.is_some_and(|forced| forced.elapsed() < self.calm) {
                return Ok(());
            }
            if state.flights == flights {
                state.forced = Some(Instant::now());
            }
            state.held = None;
        }
        self.renewed(flights, ask).map(drop)
    }

    /// The pass of this generation is of no use any more: the next who wants one asks.
    pub fn forget(&self, generation: u64) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| held.generation == generation) {
            state.held = None;
        }
    }

    /// With the flight held: what others got meanwhile, else a new one.
    fn renewed(&self, seen: u64, ask: impl FnOnce() -> Result<Given<P>, Outcome>) -> Result<(P, u64), Outcome> {
        let generation = {
            let state = self.state();
            if state.flights != seen {
                match (&state.held, &state.failure) {
                    (Some(held), _) if held.is_valid() => return Ok((held.pass.clone(), held.generation)),
                    (_, Some(failure)) => return Err(failure.clone()),
                    _ => {}
                }
            }
            state.flights + 1
        };
        let result = ask();
        if let Some(Told(told)) = self.told.get() {
            told(result.is_ok());
        }
        let mut state = self.state();
        state.flights = generation;
        match result {
            Ok(Given { pass, lifetime }) => {
                state.held = Some(Held { pass: pass.clone(), generation, issued: Instant::now(), lifetime });
                (state.failure, state.early) = (None, None);
                Ok((pass, generation))
            }
            Err(outcome) => {
                state.failure = Some(outcome.clone());
                Err(outcome)
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<P>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::rules::outcome::Reason;

    /// Gives `1`, `2`..., valid for 100 s, and fails after so many.
    struct Giver {
        passes: Passes<u32>,
        good: u32,
        asked: Cell<u32>,
    }

    impl Giver {
        fn new(good: u32) -> Giver {
            Giver { passes: Passes::new(Duration::from_secs(10)), good, asked: Cell::new(0) }
        }

        fn ask(&self) -> Result<Given<u32>, Outcome> {
            self.asked.set(self.asked.get() + 1);
            match self.asked.get() {
                number if number <= self.good => Ok(Given { pass: number, lifetime: Some(Duration::from_secs(100)) }),
                _ => Err(Outcome::Retry { reason: Reason::new("x", "y"), after: None, transport: true }),
            }
        }

        fn get(&self) -> Result<(u32, u64), Outcome> {
            self.passes.get(|| self.ask())
        }

        /// Makes the pass at hand so many seconds old.
        fn age(&self, seconds: u64) {
            self.passes.state().held.as_mut().unwrap().issued = Instant::now() - Duration::from_secs(seconds);
        }
    }

    #[test]
    fn a_pass_is_renewed_at_four_fifths_of_its_life() {
        let giver = Giver::new(9);
        let first = giver.get().unwrap();
        giver.age(79);
        assert_eq!(giver.get().unwrap(), first);
        giver.age(81);
        assert_eq!(giver.passes.held(), None);
        assert_eq!(giver.get().unwrap().0, 2);
        assert_eq!(giver.asked.get(), 2);
    }

    #[test]
    fn while_one_renews_early_the_others_go_on_with_the_old_pass() {
        let giver = Giver::new(9);
        let first = giver.get().unwrap();
        giver.age(81);
        let _renewing = giver.passes.flight.lock().unwrap();
        assert_eq!(giver.get().unwrap(), first);
        assert_eq!(giver.asked.get(), 1);
    }

    #[test]
    fn an_early_renewal_that_fails_keeps_the_old_pass_and_rests() {
        let giver = Giver::new(1);
        let first = giver.get().unwrap();
        giver.age(81);
        for _ in 0..5 {
            assert_eq!(giver.get().unwrap(), first);
        }
        assert_eq!(giver.asked.get(), 2);
        giver.age(101);
        assert!(matches!(giver.get(), Err(Outcome::Retry { transport: true, .. })));
    }

    #[test]
    fn whoever_waited_for_a_failed_call_takes_its_failure() {
        let giver = Giver::new(0);
        let seen = giver.passes.state().flights;
        assert!(giver.get().is_err());
        assert!(giver.passes.renewed(seen, || giver.ask()).is_err());
        assert_eq!(giver.asked.get(), 1);
        assert!(giver.get().is_err());
        assert_eq!(giver.asked.get(), 2);
    }

    #[test]
    fn a_refused_pass_of_an_older_generation_is_not_renewed_again() {
        let giver = Giver::new(9);
        let (_, old) = giver.get().unwrap();
        giver.passes.refused(old, || giver.ask()).unwrap();
        giver.passes.refused(old, || giver.ask()).unwrap();
        assert_eq!((giver.get().unwrap().0, giver.asked.get()), (2, 2));
    }

    #[test]
    fn each_pass_that_is_asked_for_is_told_and_whether_it_was_given() {
        let (giver, heard) = (Giver::new(1), std::sync::Arc::new(Mutex::new(Vec::new())));
        let list = heard.clone();
        giver.passes.tell(move |given| list.lock().unwrap().push(given));
        let (_, first) = giver.get().unwrap();
        assert_eq!(giver.get().unwrap().1, first, "at hand: nobody was asked");
        assert!(giver.passes.refused(first, || giver.ask()).is_err());
        assert_eq!(*heard.lock().unwrap(), [true, false]);
    }

    #[test]
    fn refusals_of_a_new_pass_bring_no_storm() {
        let giver = Giver::new(9);
        let (_, first) = giver.get().unwrap();
        giver.passes.refused(first, || giver.ask()).unwrap();
        let (_, second) = giver.get().unwrap();
        for _ in 0..5 {
            giver.passes.refused(second, || giver.ask()).unwrap();
        }
        assert_eq!(giver.asked.get(), 2);
    }
}
