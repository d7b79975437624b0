//! DECIDE: pure functions. No SQL, no sockets, no files, no wall clock, no randomness, no logging; time and
//! jitter are inputs.

pub mod answer;
pub mod attempt;
pub mod batch;
pub mod brake;
pub mod breaker;
pub mod calendar;
pub mod chain;
pub mod classify;
pub mod clock;
pub mod coalesce;
pub mod convert;
pub mod cutoff;
pub mod decimal;
pub mod filter;
pub mod governance;
pub mod hex;
pub mod lane;
pub mod listen;
pub mod mapping;
pub mod naming;
pub mod nearest;
pub mod outcome;
pub mod publish;
pub mod rate;
pub mod reconnect;
pub mod retry;
pub mod schedule;
pub mod template;
pub mod total;
pub mod zone;
