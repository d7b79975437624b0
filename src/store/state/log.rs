//! The logs that events are read from, as the state file remembers them.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior};

use super::{LogId, Sql, note, set_note};

/// Name of the agent's own log of posted and subscribed events.
pub const INTAKE: &str = "intake";

/// The row of a log, made when it is new.
pub fn remember(db: &Connection, name: &str) -> Sql<LogId> {
    db.execute("INSERT OR IGNORE INTO log(name) VALUES (?1)", [name])?;
    db.query_row("SELECT id FROM log WHERE name = ?1", [name], |row| row.get(0)).map(LogId)
}

/// The row of a log, if it is known.
pub fn find(db: &Connection, name: &str) -> Sql<Option<LogId>> {
    db.prepare_cached("SELECT id FROM log WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
        .map(|id| id.map(LogId))
}

/// The name of a log.
pub fn name(db: &Connection, log: LogId) -> Sql<String> {
    db.prepare_cached("SELECT name FROM log WHERE id = ?1")?.query_row([log.0], |row| row.get(0))
}

/// What the last poll of this log found, as JSON, and up to which attempt number it holds the witness.
pub fn seen(db: &Connection, log: LogId) -> Sql<(Option<String>, i64)> {
    db.query_row("SELECT seen, witness_n FROM log WHERE id = ?1", [log.0], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// Stores what a poll found.
pub fn set_seen(db: &Connection, log: LogId, seen: &str, witness_n: i64) -> Sql<()> {
    db.execute("UPDATE log SET seen = ?2, witness_n = ?3 WHERE id = ?1", (log.0, seen, witness_n))?;
    Ok(())
}

/// A comparison that is owed: noted before capture is repaired, paid when the comparison is done, so that a crash in
/// between does not lose what was changed unseen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Debt {
    /// Every table.
    All,
    /// The file is another: the shadow counts the log from its end.
    Anew,
    /// One table.
    Table(String),
}

impl Debt {
    fn name(&self) -> String {
        match self {
            Debt::All => "all".to_owned(),
            Debt::Anew => "anew".to_owned(),
            Debt::Table(table) => format!("table/{table}"),
        }
    }

    fn named(name: &str) -> Option<Debt> {
        match name {
            "all" => Some(Debt::All),
            "anew" => Some(Debt::Anew),
            other => other.strip_prefix("table/").map(|table| Debt::Table(table.to_owned())),
        }
    }
}

/// What is owed in a log; each with a number that is another one when it is owed anew.
pub type Debts = BTreeMap<Debt, i64>;

/// What is owed in a log.
pub fn debts(db: &Connection, log: LogId) -> Sql<Debts> {
    let text = note(db, &debts_of(log))?.unwrap_or_default();
    let named: BTreeMap<String, i64> = serde_json::from_str(&text).unwrap_or_default();
    Ok(named.into_iter().filter_map(|(name, number)| Some((Debt::named(&name)?, number))).collect())
}

/// Notes what is owed.
pub fn owe(db: &Connection, log: LogId, owed: &[Debt]) -> Sql<()> {
    let mut debts = debts(db, log)?;
    for debt in owed {
        *debts.entry(debt.clone()).or_default() += 1;
    }
    store_debts(db, log, &debts)
}

/// A debt is paid, unless it was owed anew since it had this number. A transaction of its own.
pub fn pay(db: &Connection, log: LogId, debt: &Debt, number: i64) -> Sql<()> {
    let transaction = Transaction::new_unchecked(db, TransactionBehavior::Immediate)?;
    let mut debts = debts(db, log)?;
    if debts.get(debt) == Some(&number) {
        debts.remove(debt);
        store_debts(db, log, &debts)?;
    }
    transaction.commit()
}

fn store_debts(db: &Connection, log: LogId, debts: &Debts) -> Sql<()> {
    let named: BTreeMap<String, i64> = debts.iter().map(|(debt, number)| (debt.name(), *number)).collect();
    match serde_json::to_string(&named) {
        Ok(text) => set_note(db, &debts_of(log), &text),
        Err(_) => Ok(()),
    }
}

fn debts_of(log: LogId) -> String {
    format!("owed/{}", log.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_is_owed_anew_while_it_is_being_paid_stays_owed() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        let visits = Debt::Table("visits".to_owned());
        let owed = [visits.clone(), Debt::All, Debt::Anew];
        let log = state.commit(|db| remember(db, "office")).unwrap();
        state.commit(|db| owe(db, log, &owed)).unwrap();
        let before = state.read(|db| debts(db, log)).unwrap();
        assert_eq!(before.keys().collect::<Vec<_>>(), [&Debt::All, &Debt::Anew, &visits]);
        state.commit(|db| owe(db, log, &owed[..1])).unwrap();
        let pay_all = |db: &Connection| before.iter().try_for_each(|(debt, number)| pay(db, log, debt, *number));
        state.read(pay_all).unwrap();
        assert_eq!(state.read(|db| debts(db, log)).unwrap().into_keys().collect::<Vec<_>>(), [visits]);
    }
}
