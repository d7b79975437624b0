//! The beginning and the end of a run, as the audit has them.

use crate::clock;
use crate::engine::ledger::{Ledger, LedgerError};
use crate::rules::hex::hex;
use crate::store::state::act::{self, Act};

/// Where Linux says which boot this is.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// Takes down that the agent runs from now on: which program, in which boot of the machine, under which configuration.
///
/// # Errors
/// The state file refuses: then nothing is to be sent either.
pub fn started(ledger: &Ledger, config: &[u8; 32], once: bool) -> Result<(), LedgerError> {
    let boot = std::fs::read_to_string(BOOT).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let boot = if boot.is_empty() { "an unknown boot" } else { boot.trim() };
    let manner = if once { "once" } else { "until it is stopped" };
    let start = format!("hms-sync {version}, process {}, boot {boot}, {manner}", std::process::id());
    let config = hex(config);
    ledger.call(move |state| {
        state.commit(|db| {
            note(db, "start", &start)?;
            note(db, "configuration", &config)
        })
    })
}

/// Takes down that it ends in good order.
///
/// # Errors
/// The state file refuses.
pub fn ended(ledger: &Ledger) -> Result<(), LedgerError> {
    ledger.call(|state| state.commit(|db| note(db, "stop", &format!("process {}", std::process::id()))))
}

/// Takes down who uses which credential: by its name, never more.
///
/// # Errors
/// The state file refuses.
pub fn credentials(ledger: &Ledger, used: Vec<(String, String)>) -> Result<(), LedgerError> {
    if used.is_empty() {
        return Ok(());
    }
    ledger.call(move |state| {
        state.commit(|db| {
            used.iter().try_for_each(|(who, credential)| {
                let reason = Some(format!("used by {who}"));
                credential_act(db, credential, reason.as_deref())
            })
        })
    })
}

/// Takes down that a credential was renewed, or could not be. The delivery that needs it does not fail for that.
pub fn renewed(ledger: &Ledger, credential: &str, renewed: bool) {
    let (name, what) = (credential.to_owned(), if renewed { "renewed" } else { "not renewed" });
    let done = ledger.call(move |state| state.commit(|db| credential_act(db, &name, Some(what))));
    if let Err(error) = done {
        log::warn!("credential {credential}: that it was {what} is not in the audit: {error}");
    }
}

fn credential_act(
    db: &crate::store::state::Db,
    credential: &str,
    reason: Option<&str>,
) -> crate::store::state::Sql<()> {
    let act = Act { actor: "system", verb: "credential", connector: None, subject: Some(credential), reason };
    act::record(db, &act, clock::now())
}

fn note(db: &crate::store::state::Db, verb: &str, subject: &str) -> crate::store::state::Sql<()> {
    let act = Act { actor: "system", verb, connector: None, subject: Some(subject), reason: None };
    act::record(db, &act, clock::now())
}
