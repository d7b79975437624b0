//! What the answers of a source mean.

use hms_sync::adapter::pull::{Ask, Fetched, Reads};
use hms_sync::event::{Record, Value};
use hms_sync::rules::outcome::Outcome;
use serde_json::json;

use super::reader::{Reader, connector, source, try_source};
use crate::support::world::{Paging, Told, World};

fn key(id: i64) -> Record {
    [("id", Value::Integer(id))].into_iter().collect()
}

#[test]
fn a_cursor_that_is_not_known_any_more_is_told_and_everything_is_read_again() {
    let world = World::start(Paging::Link, 5);
    world.put(1, "one");
    let mut reader = Reader::of(&world, Paging::Link, "");
    reader.run();
    world.next(Told::status(410));
    assert_eq!(reader.try_run(), Err(Fetched::Expired));
    reader.cursor = None;
    reader.run();
    assert_eq!(reader.copy, world.alive());
    // Without a cursor there is nothing that could have expired.
    world.next(Told::status(410));
    reader.cursor = None;
    assert!(matches!(reader.try_run(), Err(Fetched::Failed(Outcome::Halt(_)))));
}

#[test]
fn a_code_of_the_sources_own_says_that_the_cursor_expired() {
    let world = World::start(Paging::Link, 5);
    let yaml = connector(&world, Paging::Link, "", "  expired: [{status: 400, json: {/code: tokenGone}}]\n");
    let source = source(&yaml);
    let ask = Ask { cursor: Some("2026-01-01T00:00:00Z".into()), ..Ask::default() };
    world.next(Told { status: 400, ..Told::json(&json!({"code": "tokenGone"})) });
    assert_eq!(source.fetch(&ask), Fetched::Expired);
    world.next(Told { status: 400, ..Told::json(&json!({"code": "other"})) });
    assert!(matches!(source.fetch(&ask), Fetched::Failed(Outcome::Halt(_))));
    // One that was kept for another kind of cursor is of no use.
    assert_eq!(source.fetch(&Ask { cursor: Some("4711".into()), ..Ask::default() }), Fetched::Expired);
}

#[test]
fn an_answer_that_is_the_same_is_not_read_again() {
    let world = World::start(Paging::Link, 50);
    world.put(1, "one");
    world.meet(|asked, _| {
        let known = asked.headers.get("if-none-match").is_some_and(|tag| tag == "\"7\"");
        known.then(|| Told::status(304))
    });
    let body = json!({"items": [{"id": 1, "title": "one", "version": 1, "updated": "2026-01-01T00:00:00Z"}]});
    world.next(Told::json(&body).with("ETag", "\"7\""));
    let mut reader = Reader::of(&world, Paging::Link, ", overlap: 0");
    reader.run();
    // The cursor has moved: another request, whose answer nobody knows yet.
    world.next(Told::json(&body).with("ETag", "\"7\""));
    reader.run();
    world.forget();
    assert_eq!(reader.run(), 0);
    let journal = world.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].headers.get("if-none-match").map(String::as_str), Some("\"7\""));
}

#[test]
fn a_date_of_the_same_second_is_not_believed() {
    let world = World::start(Paging::Link, 50);
    let date = |ms: i64| hms_sync::clock::Timestamp(ms).to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let empty = json!({"items": []});
    let mut reader = Reader::of(&world, Paging::Link, "");
    world.next(Told::json(&empty).with("Last-Modified", &date(world.now())));
    reader.run();
    assert_eq!(reader.validator, None);
    world.next(Told::json(&empty).with("Last-Modified", &date(world.now() - 60_000)));
    reader.run();
    world.next(Told::status(304));
    reader.run();
    assert!(world.journal().last().unwrap().headers.contains_key("if-modified-since"));
}

#[test]
fn one_record_is_read_as_it_is_now_or_is_gone() {
    let world = World::start(Paging::Link, 5);
    world.put(7, "seven");
    let source = source(&connector(&world, Paging::Link, "", ""));
    let Some(Fetched::Page(page)) = source.fetch_one(&key(7), &[]) else { panic!("a page") };
    assert_eq!(page.items[0].body.get("title"), Some(&Value::from("seven")));
    assert_eq!(page.items[0].version.as_deref(), Some("1"));
    assert_eq!(source.fetch_one(&key(8), &[]), Some(Fetched::Gone));
    world.next(Told::status(410));
    assert_eq!(source.fetch_one(&key(7), &[]), Some(Fetched::Gone));
    world.next(Told::status(503));
    assert!(matches!(source.fetch_one(&key(7), &[]), Some(Fetched::Failed(Outcome::Retry { .. }))));
}

#[test]
fn tombstones_and_flags_and_words_all_mean_deleted() {
    let world = World::start(Paging::Link, 5);
    let base = world.url("/items");
    let yaml = format!(
        "strategy: pull\nendpoint: {{url: \"{base}\"}}\npull: {{table: t, items: json:/items, key: /id, deleted: {{/status: [cancelled, void]}}, tombstones: {{items: json:/gone, as: id}}}}\n"
    );
    let source = source(&yaml);
    assert_eq!(source.reads(), Reads::All);
    world.next(Told::json(&json!({
        "items": [{"id": "a", "status": "void"}, {"id": "b", "status": "booked"}],
        "gone": ["c", 4],
    })));
    let Fetched::Page(page) = source.fetch(&Ask::default()) else { panic!("a page") };
    let told: Vec<(String, bool)> = page.items.iter().map(|item| (item.id.clone().unwrap(), item.deleted)).collect();
    assert_eq!(told, [("a".into(), true), ("b".into(), false), ("c".into(), true), ("4".into(), true)]);
    assert_eq!(page.items[3].body.get("id"), Some(&Value::from("4")));
}

#[test]
fn a_bad_item_is_told_of_and_the_page_goes_on() {
    let world = World::start(Paging::Link, 5);
    let source = source(&connector(&world, Paging::Link, "", ""));
    world.next(Told::json(&json!({"items": [
        {"id": 1, "title": "good", "version": 1, "updated": "2026-01-01T00:00:00Z"},
        "Ada Lovelace",
        {"title": "lonely", "updated": "2026-01-01T00:00:00Z"},
        {"id": 3, "title": "no time", "updated": "yesterday"},
        {"id": {"a": 1}, "title": "strange", "updated": "2026-01-01T00:00:00Z"},
        {"id": 5, "title": "good", "version": 1, "updated": "2026-01-01T00:00:01+01:00"},
    ]})));
    let Fetched::Page(page) = source.fetch(&Ask::default()) else { panic!("a page") };
    assert_eq!(page.items.len(), 2);
    let bad: Vec<(usize, String)> = page.bad.iter().map(|bad| (bad.place, bad.reason.to_string())).collect();
    assert_eq!(bad.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [1, 2, 3, 4]);
    let said = format!("{bad:?}");
    for value in ["Ada", "lonely", "yesterday", "strange"] {
        assert!(!said.contains(value), "{said}");
    }
    // The time of the one with an offset is earlier.
    assert_eq!(page.cursor.as_deref(), Some("2026-01-01T00:00:00.000Z"));
}

#[test]
fn a_credential_is_renewed_once_for_a_page_too() {
    let world = World::start(Paging::Link, 5);
    world.put(1, "one");
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "old").unwrap();
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    world.meet(|asked, _| {
        (asked.headers.get("authorization").map(String::as_str) != Some("Bearer new")).then(|| Told::status(401))
    });
    let config = folder.path().join("config");
    std::fs::create_dir_all(config.join("connectors")).unwrap();
    let settings = format!("credentials: {{there: {{type: bearer, token: {{file: {}}}}}}}\n", token.display());
    std::fs::write(config.join("sync.yaml"), settings).unwrap();
    let yaml = connector(&world, Paging::Link, "", "").replace("/items\"}", "/items\", credentialsId: there}");
    std::fs::write(config.join("connectors/there.yaml"), yaml).unwrap();
    let config = hms_sync::config::load(&config).unwrap_or_else(|problems| panic!("{problems}"));
    let credentials = hms_sync::config::build::credentials(&config.settings).unwrap();
    let made = hms_sync::config::build::source_of(&config.connectors[0], &config.settings, &credentials).unwrap();
    let mut reader = Reader::from(made.unwrap());
    assert!(matches!(reader.try_run(), Err(Fetched::Failed(Outcome::Reauth(_)))));
    std::fs::write(&token, "new").unwrap();
    reader.run();
    assert_eq!(reader.copy, world.alive());
}

#[test]
fn what_cannot_be_read_is_said_with_its_place() {
    let base = "strategy: pull\nendpoint: {url: https://a.example/items}\n";
    for (pull, says) in [
        ("", "`pull` is missing"),
        ("pull: {}\n", "does not say which table"),
        ("pull: {table: t, evry: 5m}\n", "is no known key"),
        ("pull: {table: t, next: offset}\n", "the request does not say `{offset}`"),
        ("pull: {table: t, next: sideways}\n", "is no place in an answer"),
        ("pull: {table: t, query: {a: \"{curser}\"}}\n", "a request that reads knows no `curser`"),
        ("pull: {table: t, cursor: {kind: timestamp}}\n", "the items do not say when they were changed"),
        ("pull: {table: t, cursor: {kind: opaque}}\n", "a word of the source's own stands in its answer"),
        ("pull: {table: t, maxDelete: 150%}\n", "is no share of the records"),
        ("pull: {table: t, overlap: 5m}\n", "is for a cursor that is a time"),
        ("pull: {table: t, url: https://b.example/items}\n", "is on another host than the endpoint's `url`"),
        ("pull: {table: t, items: \"xml://a\"}\n", "does not begin with the name of the answer's outermost element"),
        ("pull: {table: t, key: \"/id | nofilter\"}\n", "there is no filter `nofilter`"),
        ("listen: t\npull: {table: t}\n", "this one only reads"),
    ] {
        let said = try_source(&format!("{base}{pull}")).expect_err(pull);
        assert!(said.contains(says) && said.contains("there.yaml"), "{pull}\nsays: {said}");
    }
    let said = try_source("endpoint: {url: https://a.example/items}\npull: {table: t}\n").unwrap_err();
    assert!(said.contains("is for a connector that reads"), "{said}");
    let said = try_source("adapter: cdc_immunization\nvars: {username: a, facility: b}\nstrategy: pull\nendpoint: {url: https://a.example/items}\npull: {table: t}\n").unwrap_err();
    assert!(said.contains("does not say how it is read"), "{said}");
}
