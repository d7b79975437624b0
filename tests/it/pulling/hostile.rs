//! What a source must not be able to do to whoever reads it.

use std::io::Write;

use hms_sync::adapter::pull::{Ask, Fetched, Page};
use hms_sync::rules::outcome::Outcome;
use serde_json::json;

use super::reader::{Reader, connector, source};
use crate::support::world::{Paging, Told, World};

fn halts(fetched: Fetched, class: &str) -> String {
    match fetched {
        Fetched::Failed(Outcome::Halt(reason)) if reason.class == class => reason.text.into_owned(),
        other => panic!("{other:?} instead of a halt of class {class}"),
    }
}

fn retries(fetched: Fetched, class: &str) {
    match fetched {
        Fetched::Failed(Outcome::Retry { reason, .. }) if reason.class == class => {}
        other => panic!("{other:?} instead of a retry of class {class}"),
    }
}

fn page(fetched: Fetched) -> Page {
    match fetched {
        Fetched::Page(page) => page,
        other => panic!("{other:?} instead of a page"),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

#[test]
fn a_next_page_on_another_host_is_not_asked_for() {
    let elsewhere = World::start(Paging::Url, 5);
    for paging in [Paging::Url, Paging::Link] {
        let world = World::start(paging, 5);
        let source = source(&connector(&world, paging, "", ""));
        for url in [
            elsewhere.url("/items"),
            "https://169.254.169.254/latest".into(),
            "//evil.example/x".into(),
            "file:///etc/passwd".into(),
            world.url("@evil.example/x"),
            "http:\\\\evil".into(),
        ] {
            let answer = Told::json(&json!({"items": [], "next": url}));
            world.next(answer.with("Link", &format!("<{url}>; rel=next")));
            let text = halts(source.fetch(&Ask::default()), "next");
            assert!(!text.contains("passwd") && !text.contains("latest"), "{text}");
        }
    }
    assert!(elsewhere.journal().is_empty());
}

#[test]
fn a_page_that_comes_again_and_again_stops_the_run() {
    for paging in [Paging::Url, Paging::Token, Paging::Link, Paging::Keyset, Paging::Offset, Paging::Page] {
        let world = World::start(paging, 2);
        let next = world.url("/items?at=2");
        // It does not look at what it is asked for.
        world.meet(move |_, _| {
            let item = |id: u64, at: &str| json!({"id": id, "title": "x", "version": 1, "updated": at});
            let items = [item(1, "2026-01-01T00:00:02Z"), item(2, "2026-01-01T00:00:01Z")];
            let told = Told::json(&json!({"items": items, "next": next}));
            Some(told.with("Link", &format!("<{next}>; rel=next")))
        });
        let mut reader = Reader::of(&world, paging, "");
        match reader.try_run() {
            Err(fetched) => drop(halts(fetched, "pages-repeat")),
            // The last record of a page is where the next one begins: that is the end.
            Ok(_) => assert_eq!(paging, Paging::Keyset),
        }
        assert!(world.journal().len() <= 5, "{paging:?}: {}", world.journal().len());
        assert!(reader.cursor.is_none() || paging == Paging::Keyset);
    }
}

#[test]
fn pages_that_take_turns_are_known_again() {
    let world = World::start(Paging::Url, 2);
    let next = world.url("/items");
    world.meet(move |_, number| {
        Some(Told::json(&json!({"items": [{"id": number % 5, "updated": "2026-01-01T00:00:00Z"}], "next": next})))
    });
    let mut reader = Reader::of(&world, Paging::Url, "");
    halts(reader.try_run().unwrap_err(), "pages-repeat");
    assert!(world.journal().len() <= 8);
}

#[test]
fn a_cursor_of_the_answer_that_goes_back_is_not_believed_and_stops_after_three() {
    let world = World::start(Paging::Url, 2);
    let yaml = format!(
        "strategy: pull\nendpoint: {{url: \"{}\"}}\npull: {{table: t, items: json:/items, query: {{from: \"{{cursor}}\"}}, key: /id, cursor: {{kind: sequence, from: \"json:/last\", overlap: 10}}}}\n",
        world.url("/items")
    );
    let source = source(&yaml);
    let ask = Ask { cursor: Some("100".into()), ..Ask::default() };
    for last in [99, 5] {
        world.next(Told::json(&json!({"items": [], "last": last})));
        assert_eq!(page(source.fetch(&ask)).cursor, None);
    }
    world.next(Told::json(&json!({"items": [], "last": 1})));
    halts(source.fetch(&ask), "cursor-back");
    world.next(Told::json(&json!({"items": [], "last": 120})));
    assert_eq!(page(source.fetch(&ask)).cursor.as_deref(), Some("120"));
    assert!(world.journal().iter().all(|asked| asked.query.get("from").map(String::as_str) == Some("90")));
}

#[test]
fn an_answer_that_is_too_long_is_not_read_to_its_end() {
    let world = World::start(Paging::Url, 2);
    let source = source(&connector(&world, Paging::Url, "", ""));
    let long = format!("{{\"items\": [{{\"id\": 1, \"title\": \"{}\"}}]}}", "x".repeat(50 << 20));
    world.next(Told::of(200, "application/json", long.clone().into_bytes()));
    assert!(halts(source.fetch(&Ask::default()), "long-answer").contains("smaller pages"));
    // The same in a few bytes.
    let packed = gzip(long.as_bytes());
    assert!(packed.len() < 1 << 20);
    world.next(Told::of(200, "application/json", packed).with("Content-Encoding", "gzip"));
    halts(source.fetch(&Ask::default()), "long-answer");
}

#[test]
fn a_packed_page_is_unpacked_and_a_broken_one_is_no_page() {
    let world = World::start(Paging::Url, 2);
    let source = source(&connector(&world, Paging::Url, "", ""));
    let body = json!({"items": [{"id": 1, "title": "x", "updated": "2026-01-01T00:00:00Z"}]}).to_string();
    let packed = gzip(body.as_bytes());
    world.next(Told::of(200, "application/json", packed.clone()).with("Content-Encoding", "gzip"));
    assert_eq!(page(source.fetch(&Ask::default())).items.len(), 1);
    for (bytes, coding) in [(b"no gzip".to_vec(), "gzip"), (packed[..20].to_vec(), "gzip"), (packed, "gzip, gzip")] {
        world.next(Told::of(200, "application/json", bytes).with("Content-Encoding", coding));
        let came = source.fetch(&Ask::default());
        assert!(matches!(came, Fetched::Failed(Outcome::Retry { .. })), "{came:?}");
    }
}

#[test]
fn bytes_that_are_no_text_cost_the_item_that_holds_them_and_no_other() {
    let world = World::start(Paging::Url, 2);
    let source = source(&connector(&world, Paging::Url, "", ""));
    let mut body =
        b"{\"items\": [{\"id\": 1, \"title\": \"\xff\xfe\", \"updated\": \"2026-01-01T00:00:00Z\"}, ".to_vec();
    body.extend_from_slice("{\"id\": 2, \"title\": \"Zoë\", \"updated\": \"2026-01-01T00:00:00Z\"}]}".as_bytes());
    world.next(Told::of(200, "application/json", body));
    let page = page(source.fetch(&Ask::default()));
    assert_eq!((page.items.len(), page.bad.len()), (1, 1));
    assert!(page.bad[0].reason.text.contains("UTF-8"));
}

#[test]
fn what_is_no_page_is_asked_for_again_and_never_an_empty_one() {
    let world = World::start(Paging::Url, 2);
    let source = source(&connector(&world, Paging::Url, "", ""));
    let nested = format!("{{\"items\": {}{}}}", "[".repeat(5000), "]".repeat(5000));
    for (kind, body) in [
        ("text/html", "<html><body>Please sign in</body></html>".to_owned()),
        ("application/json", "{\"items\": [".to_owned()),
        ("application/json", "{\"other\": []}".to_owned()),
        ("application/json", "{\"items\": {\"a\": 1}}".to_owned()),
        ("application/json", nested),
        ("application/json", String::new()),
    ] {
        world.next(Told::of(200, kind, body.clone().into_bytes()));
        let came = source.fetch(&Ask::default());
        assert!(
            matches!(came, Fetched::Failed(Outcome::Retry { .. })),
            "{}: {came:?}",
            body.get(..20).unwrap_or(&body)
        );
    }
}

#[test]
fn an_xml_bomb_is_no_page() {
    let world = World::start(Paging::Url, 2);
    let yaml = format!(
        "strategy: pull\nendpoint: {{url: \"{}\"}}\npull: {{table: t, items: \"xml:/feed/entry\", key: /id, version: /@etag}}\n",
        world.url("/items")
    );
    let source = source(&yaml);
    let entities: String =
        (1..10).map(|n| format!("<!ENTITY e{n} \"{}\">", format!("&e{};", n - 1).repeat(10))).collect();
    for body in [
        format!("<!DOCTYPE feed [<!ENTITY e0 \"ha\">{entities}]><feed><entry><id>&e9;</id></entry></feed>"),
        "<!DOCTYPE feed [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><feed><entry><id>&x;</id></entry></feed>".into(),
        format!("<feed>{}{}</feed>", "<entry>".repeat(5000), "</entry>".repeat(5000)),
        "<other><entry><id>1</id></entry></other>".into(),
    ] {
        world.next(Told::of(200, "application/xml", body.into_bytes()));
        retries(source.fetch(&Ask::default()), "bad-answer");
    }
    let feed = "<?xml version=\"1.0\"?><a:feed xmlns:a=\"urn:a\"><a:entry a:etag=\"7\"><a:id>1</a:id><t x=\"y\">z</t></a:entry></a:feed>";
    world.next(Told::of(200, "application/xml", feed.into()));
    let page = page(source.fetch(&Ask::default()));
    assert_eq!((page.items[0].id.as_deref(), page.items[0].version.as_deref()), (Some("1"), Some("7")));
}
