//! What `check` says of conflict files.

use crate::support::desk::Desk;

const SCHEMA: &str =
    "CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT, \"end\" TEXT, room TEXT, subject TEXT)";

fn desk(rules: &str, pulls: bool) -> Desk {
    let desk = Desk::new(SCHEMA);
    desk.settings("office: OF042\nwatch: {appointments: {}}\ngovernance: {default: public}");
    let pull = "strategy: bidirectional
pull: {url: 'https://x.example/a', query: {since: '{cursor}'}, items: 'json:/items', next: link, key: /id,
  updated: /changedAt, deleted: /deleted, cursor: {kind: timestamp}}";
    let more = if pulls { pull } else { "" };
    desk.connector(
        "lotus_notes",
        &format!("listen: appointments\ntarget: {{url: 'https://x.example/a/{{id}}', method: PUT}}\n{more}\n"),
    );
    desk.write("config/conflicts/appointments.yml", rules);
    desk
}

const PRINTED: &str = "table: appointments
key: id
rules:
  - field: start
    winner: \"earliest_change\"
  - field: subject
    winner: \"latest_change\"
";

#[test]
fn rules_that_nothing_pulls_into_are_said_to_be_without_effect() {
    let said = desk(PRINTED, false).ends(0, &["check"]);
    let line = said.out.lines().find(|line| line.contains("no connector reads into")).unwrap_or_default();
    assert!(line.contains("conflicts/appointments.yml:1:8: warning: table: "), "{said:?}");
    let said = desk(PRINTED, true).ends(0, &["check"]);
    assert!(!said.out.contains("conflicts/"), "nothing is to be said: {said:?}");
}

#[test]
fn every_wrong_name_is_found_with_its_place_and_the_nearest_known_one() {
    let desk = desk(
        "table: appointments
key: [ident]
groups:
  - {name: slot, fields: [start, endd]}
  - {name: subject, fields: [room]}
rules:
  - {field: slot, winner: earliest_change, order: [lotus_note, hms]}
  - {field: sbject, winner: latest_change}
  - if source == OF042 then overwrite
guard: \"SELECT 1 FROM appointments a WHERE a.room = :rom\"
",
        false,
    );
    let said = desk.ends(78, &["check"]);
    for (place, words) in [
        (":2:7: error: key", "the key of `appointments` is id"),
        (":4:34: error: groups[0].fields[1]", "has no captured column `endd`"),
        (":5:12: error: groups[1].name", "is also a column of `appointments`"),
        (":7:52: warning: rules[0].order[0]", "`lotus_note` is no connector"),
        (":8:13: error: rules[1].field", "no captured column, and this file no group, `sbject`"),
        (":10:8: error: guard", "names `:rom`"),
    ] {
        let found = said.out.lines().any(|line| line.contains(place) && line.contains(words));
        assert!(found, "{place} {words}: {}", said.out);
    }
    for near in
        ["did you mean `end`?", "did you mean `lotus_notes`?", "did you mean `subject`?", "did you mean `room`?"]
    {
        assert!(said.out.contains(near), "{near}: {}", said.out);
    }
    assert!(!said.out.contains("`OF042`"), "the office is known: {}", said.out);
}

#[test]
fn what_makes_no_sense_is_refused_without_a_database() {
    for (rules, words) in [
        ("{table: t, key: id, rules: [], groups: [{name: a, fields: [x, x]}]}", "names `x` a second time"),
        (
            "{table: t, key: id, rules: [], groups: [{name: a, fields: [x]}, {name: b, fields: [x]}]}",
            "`x` is in the group `a` already",
        ),
        (
            "{table: t, key: id, groups: [{name: a, fields: [x]}], rules: [{field: x, winner: local}]}",
            "is about a field of the group `a`",
        ),
        ("{table: t, key: id, rules: [{field: x, winner: authority}]}", "`order` is missing"),
        ("{table: t, key: id, rules: [{field: x, winner: local, order: [hms]}]}", "has no effect with `local`"),
        (
            "{table: t, key: id, rules: [{field: x, winner: local}, {field: x, winner: remote}]}",
            "is the second rule for this field",
        ),
        ("{table: t, key: id, rules: [{field: x, winner: earliest}]}", "earliest_change"),
        ("{table: t, key: id, rules: [], times: {untrusted: latest_change}}", "cannot be trusted"),
        ("{table: t, key: id, rules: [], delete: {vsUpdate: never}}", "delete_wins"),
        ("{table: t, key: id, rules: [], guard: DELETE FROM t WHERE id = :id}", "is not one query"),
        ("{table: t, key: id, rules: [], guard: 'SELECT 1; SELECT :id'}", "more than one query"),
        ("{table: t, key: id, rules: [], guard: 'SELECT ?1'}", "has a parameter `?`"),
        ("{table: t, key: id, rules: [if source is lotus then overwrite]}", "is no rule"),
        ("{table: t, key: id, rules: [], tolerence: 5s}", "is no known key"),
    ] {
        let desk = Desk::new(SCHEMA);
        desk.write("rules.yaml", rules);
        let file = desk.path("rules.yaml").display().to_string();
        let said = desk.ends(78, &["check", &file]);
        assert!(said.out.contains(words), "{rules}: {said:?}");
    }
}

#[test]
fn a_guard_is_tried_out_against_the_tables() {
    let guarded = |guard: &str| format!("{PRINTED}guard: \"{guard}\"\n");
    let fine = "SELECT 1 FROM appointments a WHERE a.room = :room AND a.id <> :id AND a.start < :end AND a.\\\"end\\\" > :start";
    let said = desk(&guarded(fine), false).ends(0, &["check"]);
    assert!(!said.out.contains("guard"), "{said:?}");
    let said = desk(&guarded("SELECT 1 FROM appointmnts WHERE id = :id"), false).ends(78, &["check"]);
    assert!(said.out.contains("guard: cannot be asked: no such table: appointmnts"), "{said:?}");
}

#[test]
fn everything_that_can_be_said_is_read_and_found_fine() {
    let all = "conflicts:
  - table: appointments
    key: [id]
    groups: [{name: slot, fields: [start, end, room]}]
    rules:
      - {field: slot, winner: earliest_change, order: [hms, lotus_notes]}
      - {field: subject, winner: authority, order: [lotus_notes, hms]}
      - if source == lotus_notes then overwrite
    delete: {vs_update: update_wins}
    guard: \"SELECT 1 FROM appointments a WHERE a.room=:room AND a.id<>:id AND a.start<:end\"
    times: {tolerance: 10s, untrusted: authority, order: [hms]}
";
    let said = desk(all, false).ends(0, &["check"]);
    assert_eq!(
        said.out.lines().filter(|line| line.contains("conflicts/")).count(),
        1,
        "only that none pulls: {said:?}"
    );
}
