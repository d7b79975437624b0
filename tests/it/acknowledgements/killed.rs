//! An agent that is killed while it applies an answer leaves nothing half done, and the next one ends it.

use super::LISTED;
use super::desk::{Desk, ack, id};
use crate::support::strace::{Fault, Injection, Strace};

/// Every call of the run that makes something durable, or renames or removes it: before each of them the agent is killed.
#[test]
fn a_kill_at_any_moment_leaves_an_answer_applied_once_or_not_at_all() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    let (mut before, mut behind) = (0, 0);
    for call in ["fsync", "fdatasync", "rename", "unlink"] {
        for n in 1.. {
            let desk = desk.copy();
            let injection = Some(Injection { fault: Fault::Kill, call: call.to_owned(), n });
            let log = desk.office.folder().join("strace.log");
            let run = desk.office.command(&["run", "--once"]);
            let output = Strace { injection, log, ..Strace::default() }.around(&run).output().expect("strace");
            let place = format!("killed at {call} {n}");
            let applied = desk.parked().len();
            desk.look();
            assert_eq!(desk.state(1), "partial", "{place}");
            assert_eq!(desk.answers(1), ["accepted", "rejected (E1)", "accepted"], "{place}");
            assert_eq!(desk.parked().iter().map(id).collect::<Vec<_>>(), [2], "{place}");
            assert_eq!((desk.acks().len(), desk.archived().len()), (1, 1), "{place}");
            assert_eq!(desk.there(), Vec::<String>::new(), "{place}");
            desk.balanced();
            if output.status.code().is_some() {
                break;
            }
            *(if applied == 0 { &mut before } else { &mut behind }) += 1;
        }
    }
    assert!(before > 2 && behind > 2, "killed {before} times before it was applied, {behind} times behind");
}
