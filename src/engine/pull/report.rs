//! What `status` tells of a pull.

use serde::Serialize;

use super::Poll;
use crate::clock::{self, Timestamp};
use crate::engine::need::Need;
use crate::rules::pull::clock::Offsets;
use crate::store::state::connector::Remembered;
use crate::store::state::counter::{self, Series};
use crate::store::state::pull::{self, Contact};
use crate::store::state::{Db, Sql};

/// How the pull of a connector stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PullStatus {
    /// When it was asked last and will be next, as the running agent says; whoever asks it fills that in.
    #[serde(flatten)]
    pub poll: Poll,
    /// When a run last changed something here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
    /// When the cursor moved last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
    /// Rows that were written or deleted here so far.
    pub applied: u64,
    /// Records that both sides have agreed on.
    pub agreed: u64,
    /// Records that the application's own rules refuse.
    pub refused: u64,
    /// Records that wait for a person.
    pub held: u64,
    /// Items that cannot be read or mapped.
    pub bad: u64,
    /// By how many milliseconds the other side's clock was ahead when it was measured last.
    #[serde(skip)]
    pub skew: Option<i64>,
    /// By how many seconds the other side's clock is ahead, where it is more than two minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<i64>,
    /// A clock was set: times of changes up to then decide nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doubted: Option<String>,
    /// Both sides must be compared before anything is changed.
    pub first_contact: bool,
    /// So many records are missing there, and are deleted only when a person agrees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<u64>,
}

/// How the pull of a connector stands; none = it never was one.
pub fn pull_status(db: &Db, known: &Remembered) -> Sql<Option<PullStatus>> {
    let Some(pull) = pull::get(db, known.id)? else { return Ok(None) };
    let counts = pull::counts(db, known.id)?;
    let aside = |word: &str| counts.aside.iter().find(|(state, _)| state == word).map_or(0, |(_, n)| *n);
    let breaker = crate::store::state::connector::any_breaker(db, known.id)?;
    let asks = breaker.is_some_and(|open| open.reason.class == crate::engine::turnstile::FIRST_CONTACT);
    let time = |at: Option<i64>| at.map(|at| Timestamp(at).to_string());
    Ok(Some(PullStatus {
        poll: Poll::default(),
        last: time(pull.book.last),
        moved: time(pull.book.moved),
        applied: pull.book.applied,
        agreed: counts.agreed,
        refused: aside("refused"),
        held: aside("held"),
        bad: aside("bad"),
        skew: Offsets::new(&pull.book.ahead).median(),
        ahead: Offsets::new(&pull.book.ahead).told().map(|ahead| ahead / 1000),
        doubted: time(pull.book.doubted.filter(|until| *until > clock::now().0)),
        first_contact: pull.contact == Contact::Doubted || (pull.contact == Contact::None && asks),
        missing: pull.book.missing,
    }))
}

/// What came in, by what became of it.
pub fn pulled(db: &Db, known: &Remembered) -> Sql<Vec<(String, u64)>> {
    counter::series(db, known.id, Series::Pulled)
}

impl PullStatus {
    /// So many records wait for a person, or for something that a person mends.
    pub fn aside(&self) -> u64 {
        self.refused + self.held + self.bad + self.missing.unwrap_or(0)
    }

    /// What stands aside, and where it is found, in words; none = nothing. `connector` = its name.
    pub fn aside_words(&self, connector: &str) -> Option<String> {
        let PullStatus { refused, held, bad, missing, .. } = self;
        let counts = [(*refused, "refused"), (*held, "held"), (*bad, "unreadable")];
        let some: Vec<String> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, word)| format!("{n} {word}")).collect();
        let mut words = Vec::new();
        if !some.is_empty() {
            let some = some.join(", ");
            words.push(format!("of what comes in {some}: `hms-sync deliveries list --connector {connector}`"));
        }
        words.extend(missing.map(|missing| {
            format!(
                "{missing} records are missing there: `hms-sync reconcile --connector {connector} --delete-missing`"
            )
        }));
        (!words.is_empty()).then(|| words.join("; "))
    }

    /// What needs a person.
    pub fn needs(&self, connector: &str) -> Vec<Need> {
        let mut needs = Vec::new();
        let mut need = |what: String, mend: String| {
            needs.push(Need { subject: connector.to_owned(), what, mend });
        };
        if self.first_contact {
            need(
                "the table has records and was never compared with the other side: nothing is read or sent".to_owned(),
                format!("`hms-sync reconcile --connector {connector}` shows where they differ"),
            );
        }
        if let Some(missing) = self.missing {
            need(
                format!("{missing} records are missing there, more than may be deleted here unasked"),
                format!("look there; then `hms-sync reconcile --connector {connector} --delete-missing`"),
            );
        }
        if self.refused > 0 {
            need(
                format!("{} of its records are refused by the application's own rules", self.refused),
                format!(
                    "`hms-sync deliveries list --connector {connector} --state refused` shows them; after a repair \
                     `hms-sync sync {connector}` tries them again"
                ),
            );
        }
        if self.bad > 0 {
            need(
                format!("{} of its items cannot be read or mapped", self.bad),
                format!(
                    "`hms-sync deliveries list --connector {connector} --state bad` shows them; a changed mapping is tried with \
                     the next change of the item, and `deliveries discard` gives them up"
                ),
            );
        }
        if let Some(until) = &self.doubted {
            need(
                format!("a clock was set, there or here: times of changes up to {until} decide nothing"),
                "conflicts that rules by time would decide wait for a person until then".to_owned(),
            );
        }
        if let Some(ahead) = self.ahead {
            let way = if ahead > 0 { "ahead" } else { "behind" };
            need(
                format!("the clock there is {} s {way}", ahead.abs()),
                "times of changes are corrected by that; have the clock set".to_owned(),
            );
        }
        needs
    }
}
