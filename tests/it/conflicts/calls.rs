//! The calls of the API, and the figures.

use serde_json::json;

use super::{disputed, entry, told};
use crate::support::loopback::Way;
use crate::support::office::wait;
use crate::support::receiver::Receiver;

#[test]
fn a_conflict_is_listed_without_values_and_shown_with_them_to_who_is_signed_in() {
    let target = Receiver::start();
    let office = disputed(&target);
    office.add_settings("api: {listen: \"127.0.0.1:0\"}");
    let agent = office.agent();
    let tcp = Way::tcp(&agent);
    for way in [Way::socket(&office), Way::tcp(&agent)] {
        let listed = way.get("/conflicts");
        assert_eq!(listed.status, 200, "{listed:?}");
        assert_eq!(listed.json()[0]["unit"], "name");
        assert!(!String::from_utf8(listed.body.clone()).unwrap().contains("Ada"));
        let shown = way.get("/conflicts/1").json();
        assert_eq!(shown["values"]["local"]["values"], json!({ "name": "Ada L." }));
        assert_eq!(shown["values"]["remote"]["values"], json!({ "name": "Ada B." }));
        assert_eq!(shown["values"]["base"], json!({ "name": "Ada" }));
        let command: serde_json::Value =
            serde_json::from_str(&office.run(&["--json", "conflicts", "show", "1"]).stdout).unwrap();
        assert_eq!(command[0], shown, "the command line has the same");
        assert_eq!(way.get("/connectors/legacy").json()["conflicts"], 1);
        assert_eq!(way.get("/conflicts?state=decided").json(), json!([]));
    }
    for (path, status) in [
        ("/conflicts/7", 404),
        ("/conflicts/x", 400),
        ("/conflicts?state=odd", 400),
        ("/conflicts?limit=0", 400),
        ("/conflicts?connector=lgacy", 404),
        ("/conflicts?odd=1", 400),
    ] {
        assert_eq!(tcp.get(path).status, status, "{path}");
    }
    for path in ["/conflicts", "/conflicts/1"] {
        assert_eq!(tcp.with_token("wrong").get(path).status, 401, "{path}");
    }
    assert_eq!(tcp.with_token("wrong").post("/conflicts/1/resolve", r#"{"take": "local"}"#).status, 401);
    wait("somebody is told", || {
        let open = tcp.get("/alerts").json();
        open.as_array().unwrap().iter().any(|alert| alert["condition"] == "conflicts" && alert["count"] == 1)
    });
    let metrics = String::from_utf8(tcp.get("/metrics").body).unwrap();
    let figure = r#"sync_conflicts_total{table="visits",field="name",winner="held"} 1"#;
    assert!(metrics.contains(figure), "{metrics}");
    agent.stop();
}

#[test]
fn a_conflict_is_decided_as_it_was_seen_and_not_otherwise() {
    let target = Receiver::start();
    let office = disputed(&target);
    let agent = office.agent();
    let way = Way::socket(&office);
    let resolve = |body: &serde_json::Value| way.post("/conflicts/1/resolve", &body.to_string());
    let stale = resolve(&json!({ "take": "local", "seen": "2020-01-01T00:00:00Z" }));
    assert_eq!(stale.status, 409);
    assert!(stale.detail().contains("has changed since you looked"), "{stale:?}");
    for (body, status) in [
        (json!({}), 422),
        (json!({ "take": "local", "value": 1 }), 422),
        (json!({ "take": "value" }), 422),
        (json!({ "take": "local", "odd": 1 }), 422),
        (json!({ "value": { "name": "x" } }), 409),
        (json!({ "take": "local", "seen": "yesterday" }), 409),
    ] {
        assert_eq!(resolve(&body).status, status, "{body}");
    }
    assert_eq!(way.post("/conflicts/7/resolve", r#"{"take": "local"}"#).status, 404);
    assert_eq!(told(&office), 0);

    let seen = way.get("/conflicts/1").json()["at"].clone();
    let done = resolve(&json!({ "value": null, "seen": seen, "reason": "nobody knows" }));
    assert_eq!((done.status, done.json()["done"][0].as_str()), (200, Some("legacy conflict 1")), "{done:?}");
    let kept = entry(&office);
    assert_eq!(kept.value.unwrap().get("name"), Some(&hms_sync::event::Value::Null));
    assert_eq!(told(&office), 1);
    assert_eq!(way.get("/conflicts").json(), json!([]));
    assert_eq!(way.get("/conflicts?state=resolved").json()[0]["decision"]["take"], "value");
    agent.stop();
}
