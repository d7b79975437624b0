//! DECIDE: pure functions. No SQL, no sockets, no files, no wall clock, no randomness, no logging; time and
//! jitter are inputs.

pub mod alert;
pub mod answer;
pub mod batch;
pub mod brake;
pub mod breaker;
pub mod calendar;
pub mod classify;
pub mod clock;
pub mod coalesce;
pub mod convert;
pub mod cutoff;
pub mod decimal;
pub mod escape;
pub mod expression;
pub mod filter;
pub mod governance;
pub mod hex;
pub mod lane;
pub mod listen;
pub mod mapping;
pub mod naming;
pub mod nearest;
pub mod operation;
pub mod outcome;
pub mod publish;
pub mod rate;
pub mod reconnect;
pub mod retry;
pub mod room;
pub mod schedule;
pub mod tally;
pub mod template;
pub mod total;
pub mod verdict;
pub mod zone;
