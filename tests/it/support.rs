//! What several tests need: a fault-injecting target over TLS with its own authority, a proxy, a journal and a judge.
//!
//! ```ignore
//! let target = Receiver::start();                       // TLS on a loopback port, commits everything
//! target.next(Scenario::named("commit_rst"));           // what the next request meets
//! let url = target.url("/slots/42");
//! // ... deliver ...
//! assert_eq!(judge(&expected, &target.journal()), Vec::<String>::new());
//! ```

// Each test uses the part it needs.
#![allow(dead_code)]

pub mod ca;
pub mod calendar;
pub mod checker;
#[cfg(feature = "ws")]
pub mod chromium;
pub mod desk;
pub mod disk;
pub mod doorman;
#[cfg(feature = "sftp")]
pub mod dropbox;
#[cfg(feature = "sftp")]
pub mod drops;
pub mod faketime;
#[cfg(feature = "pgp")]
pub mod gnupg;
pub mod hl7;
pub mod journal;
pub mod journald;
pub mod loopback;
pub mod mailbox;
pub mod notified;
pub mod office;
pub mod proxy;
pub mod receiver;
pub mod rest;
pub mod scenario;
#[cfg(feature = "sftp")]
pub mod shelf;
pub mod socks;
#[cfg(feature = "ws")]
pub mod source;
#[cfg(feature = "sftp")]
pub mod sshd;
pub mod strace;
pub mod stream;
pub mod trace;
pub mod verdict;
pub mod visits;
pub mod world;
