//! An agent that is killed while it applies an answer leaves nothing half done, and the next one ends it.

use std::process::Stdio;
use std::time::Duration;

use super::LISTED;
use super::desk::{Desk, ack, id};

#[test]
fn a_kill_at_any_moment_leaves_an_answer_applied_once_or_not_at_all() {
    let desk = Desk::new(LISTED);
    desk.three();
    desk.cut();
    desk.answer("1.ack", ack("ACK 1\n2,R,E1,\n"));
    let mut dice = fastrand::Rng::with_seed(7);
    for round in 0..12 {
        let desk = desk.copy();
        let mut child =
            desk.office.command(&["run", "--once"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Not to wait for anything: the moment of the kill is what is drawn.
        std::thread::sleep(Duration::from_millis(dice.u64(0..300)));
        let _ = child.kill();
        child.wait().unwrap();
        let before = desk.office.parked("legacy").len();
        assert!(before <= 1, "round {round}");
        desk.look();
        assert_eq!(desk.state(1), "partial", "round {round}");
        assert_eq!(desk.answers(1), ["accepted", "rejected (E1)", "accepted"], "round {round}");
        assert_eq!(desk.parked().iter().map(id).collect::<Vec<_>>(), [2], "round {round}");
        assert_eq!(desk.acks().len(), 1, "round {round}");
        assert_eq!(desk.there(), Vec::<String>::new(), "round {round}");
        desk.balanced();
    }
}
