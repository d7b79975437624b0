//! The keys of a drop's encryption: how they stand is noted, for whoever has no configuration, and told before they end.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::worker::{StepError, Worker};
use crate::adapter::pgp::{SOON, Standing};
use crate::clock::{self, Timestamp};
use crate::store::state::{ConnectorId, Db, Sql, note, set_note};

/// How often keys are looked at; opening a private one costs some work.
const AGAIN: Duration = Duration::from_secs(3600);

/// How a key stood when it was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    /// As messages name it.
    key: String,
    /// When it ends, in milliseconds since 1970.
    ends: Option<i64>,
    /// Why it cannot be used.
    wrong: Option<String>,
}

impl From<Standing> for Noted {
    fn from(standing: Standing) -> Noted {
        let key = standing.called();
        match standing.ends {
            Ok(ends) => Noted { key, ends: ends.map(|ends| ends.0), wrong: None },
            Err(why) => Noted { key, ends: None, wrong: Some(why.text().to_owned()) },
        }
    }
}

impl Noted {
    /// What there is to say of it, if anything.
    fn trouble(&self, now: Timestamp) -> Option<String> {
        let key = &self.key;
        match (&self.wrong, self.ends.map(Timestamp)) {
            (Some(why), _) => Some(format!("{key} cannot be used: {why}")),
            (None, Some(ends)) if ends <= now => Some(format!("{key} expired at {ends}")),
            (None, Some(ends)) if ends < now.plus(SOON) => Some(format!("{key} ends at {ends}")),
            (None, _) => None,
        }
    }
}

fn name(connector: ConnectorId) -> String {
    format!("drop/{}/keys", connector.0)
}

/// What there is to say of a drop's keys.
pub(super) fn troubles(db: &Db, connector: ConnectorId, now: Timestamp) -> Sql<Vec<String>> {
    let noted = note(db, &name(connector))?;
    let noted: Vec<Noted> = noted.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    Ok(noted.iter().filter_map(|noted| noted.trouble(now)).collect())
}

impl Worker {
    /// Looks at the keys when it is time, and says what is new about them.
    pub(super) fn look_at_keys(&mut self) -> Result<(), StepError> {
        let now = clock::steady();
        if now < self.next_keys {
            return Ok(());
        }
        self.next_keys = now.plus(AGAIN);
        let (wall, id) = (clock::now(), self.id);
        let files = self.drop.pgp.iter().flat_map(|pgp| pgp.standings(wall));
        let answers = self.drop.ack.iter().filter_map(|ack| ack.pgp.as_ref()).flat_map(|pgp| pgp.standings(wall));
        let noted: Vec<Noted> = files.chain(answers).map(Noted::from).collect();
        for noted in &noted {
            if let Some(trouble) = noted.trouble(wall) {
                let level = if noted.wrong.is_some() { log::Level::Error } else { log::Level::Warn };
                let drop = &self.drop.subscription.name;
                log::log!(level, "{drop}: {trouble}");
            }
        }
        let text = if noted.is_empty() { String::new() } else { serde_json::to_string(&noted).unwrap_or_default() };
        let before = self.reader.read(|db| note(db, &name(id)))?.unwrap_or_default();
        if before != text {
            self.ledger.call(move |state| state.commit(|db| set_note(db, &name(id), &text)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_of_thirty_days_before_it_ends() {
        let day = 86_400_000;
        let noted = |days: i64| Noted { key: "the signing key A".into(), ends: Some(days * day), wrong: None };
        let now = Timestamp(1000 * day);
        assert_eq!(noted(1031).trouble(now), None);
        assert!(noted(1029).trouble(now).is_some_and(|text| text.contains("ends at")));
        assert!(noted(999).trouble(now).is_some_and(|text| text.contains("expired at")));
    }
}
