//! How both sides meet: the plan says what is done, and what is done is the plan.

use super::both_ways::{office, office_that, once, rows};
use crate::support::office::{Office, wait};
use crate::support::world::{Paging, World};

const KEYS: [&str; 6] = ["inserts", "updates", "deletes", "sendsNew", "sendsChanged", "sendsDeleted"];

fn strategy(office: &Office, world: &World, both: bool) {
    let (strategy, listen) = if both { ("bidirectional", "listen: things\n") } else { ("pull", "") };
    office.connector(
        "world",
        &format!(
            "adapter: world\nstrategy: {strategy}\n{listen}endpoint: {{url: \"{}\"}}\nmap: {{id: id, title: title}}\n\
             pull: {{table: things, every: 1h}}\n",
            world.url("/items")
        ),
    );
}

/// The plan, as `reconcile` shows it with these arguments: its counts, and who is in it.
fn plan(office: &Office, arguments: &[&str]) -> (Vec<u64>, serde_json::Value) {
    let shown = office.run(&[&["--json", "reconcile", "--connector", "world"], arguments].concat());
    let plan: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap_or_else(|_| panic!("{shown:#?}"));
    (KEYS.iter().map(|key| plan[key].as_u64().unwrap()).collect(), plan)
}

/// Both sides had agreed on things 1 to 8 and 20. Since then, here: 2 and 3 deleted, 4 and 5 changed, 50 new; there: 5 and 6 changed, 7
/// gone with a word and 8 without one, 60 new.
fn apart(world: &World) -> Office {
    let office = office_that(world, "remote", "every: 1h");
    strategy(&office, world, false);
    (1..=8).chain([20]).for_each(|id| world.put(id, &format!("t{id}")));
    once(&office);
    assert_eq!(rows(&office), world.alive());
    office.sql(
        "DELETE FROM things WHERE id IN (2, 3); UPDATE things SET title = 'here' WHERE id IN (4, 5);
         INSERT INTO things VALUES (50, 'here')",
    );
    world.pass(60_000);
    world.put(5, "there");
    world.put(6, "there");
    world.put(60, "there");
    world.delete(7);
    world.lose(8);
    strategy(&office, world, true);
    assert_eq!(office.run(&["run", "--once"]).code, Some(75));
    office
}

#[test]
fn what_is_done_where_both_sides_meet_is_what_the_plan_counted_for_that_word() {
    for (word, counts) in [("local", [1, 0, 0, 3, 3, 2]), ("remote", [3, 3, 2, 1, 0, 0]), ("rules", [1, 2, 2, 1, 1, 2])]
    {
        let world = World::start(Paging::Token, 2);
        let office = apart(&world);
        let before = rows(&office);
        let (planned, shown) = plan(&office, &["--dry-run", "--apply", word]);
        assert_eq!(planned, counts, "{word}: {shown:#}");
        assert_eq!((&shown["how"], &shown["firstContact"]), (&word.into(), &true.into()));
        let asked = world.requests();
        let (again, _) = plan(&office, &["--dry-run", "--apply", word]);
        assert_eq!((again, rows(&office)), (planned, before.clone()), "a plan writes nothing");
        assert!(world.journal().iter().skip(asked).all(|asked| asked.method == "GET"));
        let (asked, there) = (world.requests(), world.alive());
        assert_eq!(office.run(&["reconcile", "--connector", "world", "--apply", word]).code, Some(0));
        once(&office);
        let (after, beyond) = (rows(&office), world.alive());
        assert_eq!(after, beyond, "{word}");
        let sent: Vec<String> = world.journal().iter().skip(asked).map(|asked| asked.method.clone()).collect();
        let sent = |method: &str| sent.iter().filter(|sent| *sent == method).count() as u64;
        assert_eq!((sent("PUT"), sent("DELETE")), (counts[3] + counts[4], counts[5]), "{word}");
        let new = |was: &std::collections::BTreeMap<String, String>,
                   is: &std::collections::BTreeMap<String, String>| {
            is.keys().filter(|key| !was.contains_key(*key)).count() as u64
        };
        let changed =
            before.iter().filter(|(key, title)| after.get(*key).is_some_and(|now| now != *title)).count() as u64;
        assert_eq!([new(&before, &after), changed, new(&after, &before)], counts[..3], "{word}");
        assert_eq!([new(&there, &beyond), new(&beyond, &there)], [counts[3], counts[5]], "{word}");
    }
}

#[test]
fn the_plan_lists_who_is_in_it_with_fields_and_without_values() {
    let world = World::start(Paging::Token, 2);
    let office = apart(&world);
    // Whoever looks while both sides wait sees what the rules would do.
    let simulated: serde_json::Value =
        serde_json::from_str(&office.run(&["--json", "simulate", "world"]).stdout).unwrap();
    let (_, shown) = plan(&office, &[]);
    assert_eq!(simulated, shown);
    assert_eq!((&shown["firstContact"], &shown["how"]), (&true.into(), &"rules".into()));
    let mut lines: Vec<String> = shown["records"].as_array().unwrap().iter().map(ToString::to_string).collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            r#"{"fields":["title"],"here":"changed","key":{"id":5}}"#,
            r#"{"fields":["title"],"here":"changed","key":{"id":6}}"#,
            r#"{"fields":["title"],"key":{"id":4},"there":"changed"}"#,
            r#"{"here":"deleted","key":{"id":7}}"#,
            r#"{"here":"deleted","key":{"id":8}}"#,
            r#"{"here":"new","key":{"id":60}}"#,
            r#"{"key":{"id":2},"there":"deleted"}"#,
            r#"{"key":{"id":3},"there":"deleted"}"#,
            r#"{"key":{"id":50},"there":"new"}"#,
        ]
    );
    let text = office.run(&["simulate", "world"]).stdout;
    for line in ["both sides wait to be compared", "  4: changed there (title)", "  60: new here", "with `rules`"] {
        assert!(text.contains(line), "{text}");
    }
    // The list is short for people, and as long as it is for who wants it.
    (100..140).for_each(|id| world.put(id, "more"));
    let text = office.run(&["reconcile", "--connector", "world"]).stdout;
    assert!(text.contains("  and 29 more: -v shows all"), "{text}");
    assert!(!office.run(&["-v", "reconcile", "--connector", "world"]).stdout.contains("more: -v"));
    assert_eq!(plan(&office, &[]).1["records"].as_array().unwrap().len(), 49);
}

#[test]
fn nothing_is_sent_before_both_sides_have_met_and_then_what_was_changed_meanwhile_is_decided() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "manual", "1h");
    world.put(1, "theirs");
    office.sql("INSERT INTO things(id, title) VALUES (1, 'ours'), (2, 'only here')");
    for _ in 0..2 {
        assert_eq!(office.run(&["run", "--once"]).code, Some(75));
        office.sql("UPDATE things SET title = title || '!' WHERE id = 1");
    }
    let agent = office.agent();
    office.sql("UPDATE things SET title = 'ours at last' WHERE id = 1");
    // What it would do to another connector's record it has done to none of this one.
    agent.says("reconcile --connector world");
    agent.stop();
    assert_eq!(world.alive(), [("1".to_owned(), "theirs".to_owned())].into());
    assert_eq!(office.run(&["reconcile", "--connector", "world", "--apply", "remote"]).code, Some(0));
    once(&office);
    let met: std::collections::BTreeMap<String, String> =
        [("1".to_owned(), "theirs".to_owned()), ("2".to_owned(), "only here".to_owned())].into();
    assert_eq!((rows(&office), world.alive()), (met.clone(), met));
}

#[test]
fn once_both_sides_have_met_it_is_read_as_often_as_ever() {
    let world = World::start(Paging::Token, 10);
    let office = office(&world, "remote", "1s");
    world.put(1, "theirs");
    office.sql("INSERT INTO things(id, title) VALUES (1, 'theirs')");
    let agent = office.agent();
    agent.says("reconcile --connector world");
    assert_eq!(office.run(&["reconcile", "--connector", "world", "--apply", "rules"]).code, Some(0));
    let title = |wanted: &str| rows(&office).values().any(|title| title == wanted);
    wait("they have met", || {
        let status: serde_json::Value = serde_json::from_str(&office.run(&["--json", "status"]).stdout).unwrap();
        status["connectors"][0]["pull"]["agreed"] == 1
    });
    world.put(1, "later");
    wait("what changes there comes in", || title("later"));
    agent.stop();
}
