//! Choosing parked deliveries.

use rusqlite::Connection;
use rusqlite::types::Value as Sqlite;

use super::super::{ConnectorId, Sql};
use super::{COLUMNS, Parked, row};

/// Which parked deliveries are meant. Empty = all.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Selection {
    /// At this connector.
    pub connector: Option<String>,
    /// In this state (word).
    pub state: Option<String>,
    /// Of this event type.
    pub kind: Option<String>,
    /// With this class of reason.
    pub class: Option<String>,
    /// These events: ids, or bare positions.
    pub ids: Vec<String>,
    /// At most so many.
    pub limit: Option<u32>,
}

/// The parked deliveries of a selection, by connector, log and position.
pub fn select(db: &Connection, which: &Selection) -> Sql<Vec<(ConnectorId, Parked)>> {
    let mut sql = format!(
        "SELECT {}, parked.connector FROM parked JOIN connector ON connector.id = parked.connector WHERE 1",
        COLUMNS.split(", ").map(|column| format!("parked.{column}")).collect::<Vec<_>>().join(", ")
    );
    let mut bound: Vec<Sqlite> = Vec::new();
    let wanted = [
        ("connector.name", &which.connector),
        ("state", &which.state),
        ("kind", &which.kind),
        ("parked.class", &which.class),
    ];
    for (column, value) in wanted {
        if let Some(value) = value {
            bound.push(Sqlite::Text(value.clone()));
            sql.push_str(&format!(" AND {column} = ?{}", bound.len()));
        }
    }
    if !which.ids.is_empty() {
        let mut any = Vec::new();
        for id in &which.ids {
            match id.parse::<i64>() {
                Ok(seq) => {
                    bound.push(Sqlite::Integer(seq));
                    any.push(format!("seq = ?{}", bound.len()));
                }
                Err(_) => {
                    bound.push(Sqlite::Text(id.clone()));
                    any.push(format!("event_id = ?{}", bound.len()));
                }
            }
        }
        sql.push_str(&format!(" AND ({})", any.join(" OR ")));
    }
    sql.push_str(" ORDER BY connector.name, log, seq");
    if let Some(limit) = which.limit {
        sql.push_str(&format!(" LIMIT {limit}"));
    }
    db.prepare(&sql)?
        .query_map(rusqlite::params_from_iter(bound), |found| Ok((ConnectorId(found.get(13)?), row(found)?)))?
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::{State, connector, log};
    use super::super::tests::{event, parked};
    use super::super::{ParkedState, park};
    use super::*;

    #[test]
    fn a_selection_finds_by_connector_state_and_position() {
        let folder = tempfile::tempdir().unwrap();
        let mut state = State::open(&folder.path().join("state.db")).unwrap();
        state
            .commit(|db| {
                let connector = connector::remember(db, "vista")?.0.id;
                let log = log::remember(db, "office")?;
                park(db, connector, &parked(log, event(1, 10, None), ParkedState::Dead))?;
                park(db, connector, &parked(log, event(2, 11, None), ParkedState::Held))?;
                let found = |which: &Selection| -> Sql<Vec<i64>> {
                    Ok(select(db, which)?.iter().map(|(_, parked)| parked.event.seq()).collect())
                };
                assert_eq!(found(&Selection::default())?, [1, 2]);
                assert_eq!(found(&Selection { state: Some("held".into()), ..Selection::default() })?, [2]);
                assert_eq!(
                    found(&Selection { ids: vec!["1".into(), "00000001-2-00000002".into()], ..Selection::default() })?,
                    [1, 2]
                );
                assert_eq!(found(&Selection { connector: Some("other".into()), ..Selection::default() })?, [0_i64; 0]);
                Ok(())
            })
            .unwrap();
    }
}
