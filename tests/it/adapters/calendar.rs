//! A calendar that is sent to and read: the connector of docs/PULL.md as it stands there.

use serde_json::json;

use crate::pull::both_ways::once;
use crate::support::calendar::Calendar;
use crate::support::office::Office;

const TABLE: &str = "CREATE TABLE appointments(id INTEGER PRIMARY KEY, summary TEXT, start TEXT, end TEXT, description TEXT, location TEXT, status TEXT);";

/// The connector that the page shows.
fn shown() -> String {
    let page = std::fs::read_to_string("docs/PULL.md").unwrap();
    let from = page.split("# connectors/calendar.yaml\n").nth(1).unwrap();
    from.split("```").next().unwrap().to_owned()
}

fn office(calendar: &Calendar) -> Office {
    let office = Office::new(TABLE);
    office.settings("appointments: {}");
    let shown = shown();
    let text = shown
        .replace("https://www.googleapis.com", &calendar.url())
        .replace(", credentialsId: calendar", "")
        .replace("every: 2m", "every: 1h");
    assert!(text.contains(&calendar.url()) && !text.contains("credentialsId"), "{shown}");
    office.connector("calendar", &text);
    office
}

fn row(office: &Office, id: i64) -> Option<(String, String)> {
    let app = office.app();
    app.query_row("SELECT summary, location FROM appointments WHERE id = ?1", [id], |row| {
        Ok((row.get(0)?, row.get::<_, Option<String>>(1)?.unwrap_or_default()))
    })
    .ok()
}

const NEW: &str = "INSERT INTO appointments VALUES (7, 'WIC', '2026-03-10T14:00:00Z', '2026-03-10T14:20:00Z', NULL, 'Room 2', 'booked');";

#[test]
fn an_event_that_we_sent_and_somebody_edits_there_changes_its_own_row() {
    let calendar = Calendar::start();
    let office = office(&calendar);
    once(&office);
    office.sql(NEW);
    once(&office);
    let id = calendar.alive().into_keys().next().unwrap();
    calendar.edit(&id, json!({"summary": "EDITED THERE", "attendees": [{"email": "a@b.example"}]}));
    once(&office);
    assert_eq!(row(&office, 7), Some(("EDITED THERE".into(), "Room 2".into())));
    let rows: i64 = office.app().query_row("SELECT count(*) FROM appointments", [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 1, "it is no second row");
    let status: String = office.app().query_row("SELECT status FROM appointments", [], |row| row.get(0)).unwrap();
    assert_eq!(status, "booked", "what is not sent is not read");
    // And our own edit of it changes what we know, and nothing else.
    office.sql("UPDATE appointments SET location = 'Room 3' WHERE id = 7");
    once(&office);
    let event = &calendar.alive()[&id];
    assert_eq!((&event["summary"], &event["location"]), (&json!("EDITED THERE"), &json!("Room 3")));
    assert_eq!(event["attendees"], json!([{"email": "a@b.example"}]));
    let last = calendar.writes().pop().unwrap();
    assert!(last.headers.contains_key("if-match"), "{last:?}");
    assert_eq!(office.parked_words("calendar"), Vec::<String>::new());
}

#[test]
fn what_was_edited_there_and_not_read_yet_is_not_overwritten() {
    let calendar = Calendar::start();
    let office = office(&calendar);
    once(&office);
    office.sql(NEW);
    once(&office);
    let id = calendar.alive().into_keys().next().unwrap();
    // What is sent meets the edit before that is read: the fields of both sides stay.
    let agent = office.agent();
    office.wait_settled("calendar");
    calendar.edit(&id, json!({"summary": "EDITED THERE"}));
    office.sql("UPDATE appointments SET location = 'Room 3' WHERE id = 7");
    crate::support::office::wait("both edits are on both sides", || {
        let event = &calendar.alive()[&id];
        row(&office, 7) == Some(("EDITED THERE".into(), "Room 3".into()))
            && event["summary"] == "EDITED THERE"
            && event["location"] == "Room 3"
    });
    office.wait_settled("calendar");
    agent.stop();
    assert_eq!(office.parked_words("calendar"), Vec::<String>::new());
}

#[test]
fn an_event_made_there_becomes_a_row_and_stays_the_same_event() {
    let calendar = Calendar::start();
    let office = office(&calendar);
    once(&office);
    calendar.edit("made0there", json!({"summary": "theirs", "location": "Hall", "start": {"dateTime": "2026-03-11T09:00:00Z"}, "end": {"dateTime": "2026-03-11T09:20:00Z"}}));
    once(&office);
    assert_eq!(row(&office, 1), Some(("theirs".into(), "Hall".into())));
    office.sql("UPDATE appointments SET location = 'Annex' WHERE id = 1");
    once(&office);
    once(&office);
    let alive = calendar.alive();
    assert_eq!(alive.len(), 1, "{alive:?}");
    assert_eq!(alive["made0there"]["location"], "Annex");
    // What is deleted there goes here, and the other way round.
    calendar.edit("made0there", json!({"status": "cancelled"}));
    office.sql(NEW);
    once(&office);
    once(&office);
    assert_eq!(row(&office, 1), None);
    office.sql("DELETE FROM appointments WHERE id = 7");
    once(&office);
    assert!(calendar.alive().is_empty(), "{:?}", calendar.alive());
    assert_eq!(office.parked_words("calendar"), Vec::<String>::new());
}
