//! What needs a person: a line of `status`.

use serde::{Deserialize, Serialize};

use crate::engine::keeper::KeeperError;
use crate::engine::ledger::LedgerError;
use crate::store::state::leftover::Leftover;

/// Something that needs a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which log or connector; or `state`, `agent`, `clock`.
    pub subject: String,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub mend: String,
}

/// The subject of what is wrong with the state file.
pub const STATE: &str = "state";

impl Need {
    /// From an error, parted at its last `;`: what is wrong, and what to do.
    pub fn of(subject: &str, error: &str) -> Need {
        let (what, mend) = error.rsplit_once("; ").unwrap_or((error, "see `hms-sync doctor` and the agent's log"));
        let one_line = |text: &str| text.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Need { subject: subject.to_owned(), what: one_line(what), mend: one_line(mend) }
    }

    /// A restore took away what was known of a table's last deliveries; only a person can look at the targets.
    pub fn of_leftover(log: &str, table: &str, left: &Leftover) -> Need {
        Need {
            subject: log.to_owned(),
            what: format!(
                "{table}: since a restore it is not known any more what was sent between {} and {}; a record that was new \
                 then and is not in the table now stays at the targets",
                left.after, left.told
            ),
            mend: format!(
                "delete there what the table does not have; then `hms-sync reconcile {table} --force` says that this was done"
            ),
        }
    }

    /// From what keeping a log failed with.
    pub fn of_keeping(log: &str, error: &KeeperError) -> Need {
        match error {
            KeeperError::Capture(_) => Need::of(log, &error.to_string()),
            KeeperError::State(_) | KeeperError::Ledger(LedgerError::State(_) | LedgerError::Gone(_)) => {
                Need::of(STATE, &error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_parted_into_what_is_wrong_and_what_to_do_on_one_line_each() {
        let need = Need::of("office", "/o.db: the disk is full,\n  cannot tidy; and so on; free space on it");
        assert_eq!(need.what, "/o.db: the disk is full, cannot tidy; and so on");
        assert_eq!(need.mend, "free space on it");
        assert!(Need::of("office", "odd").mend.contains("hms-sync doctor"));
    }
}
