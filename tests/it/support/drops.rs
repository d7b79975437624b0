//! Files to publish, and a ledger that remembers what was noted.

use hms_sync::adapter::place::Place;
use hms_sync::engine::drop::publish::{Ended, Plan, publish};
use hms_sync::engine::drop::staged::{Files, Staged};
use hms_sync::rules::publish::noted::{Noted, Step};
use hms_sync::rules::publish::{Overwrite, Strategy, Terms, Verify};

/// The usual rules.
pub fn plan() -> Plan {
    let terms = Terms { strategy: Strategy::Rename, overwrite: Overwrite::Never, repeatable: true };
    Plan { terms, verify: Verify::Size, resume: true, hidden: false, tidy: None }
}

/// One file without a trigger.
pub fn one(name: &str, bytes: Vec<u8>) -> Files {
    Files { data: Staged::bytes(name, bytes), controls: Vec::new(), trigger: None }
}

/// Data, a control file and a trigger.
pub fn three(bytes: Vec<u8>) -> Files {
    Files {
        data: Staged::bytes("A.DAT", bytes),
        controls: vec![Staged::bytes("A.CTL", b"count=1\n".to_vec())],
        trigger: Some(Staged::bytes("A.DONE", Vec::new())),
    }
}

/// Bytes that are not all alike.
pub fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..count).map(step).collect()
}

/// Publishes once; what is noted is kept in `noted`.
pub fn run(place: &mut dyn Place, files: &Files, plan: &Plan, noted: &mut Noted) -> Ended {
    let before = noted.clone();
    let mut note = |step: Step| {
        noted.add(step);
        Ok::<(), String>(())
    };
    publish(place, files, plan, before, &mut note, &mut |_| ()).unwrap()
}

/// The class of the reason, for comparison: `later:failure`, `held:foreign`, `published`.
pub fn word(ended: &Ended) -> String {
    match ended {
        Ended::Published => "published".to_owned(),
        Ended::Triggered => "triggered".to_owned(),
        Ended::Later(reason, class) => format!("later:{}:{}", class.word(), reason.class),
        Ended::Held(reason) => format!("held:{}", reason.class),
        Ended::Unverified(reason) => format!("unverified:{}", reason.class),
    }
}
