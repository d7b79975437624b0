//! The shapes of what the calls take and give.

use serde_json::{Map, Value, json};

/// Every schema by its name.
pub(super) fn all() -> Value {
    let mut all = of_calls();
    for more in [of_status(), of_words(), of_conflicts()] {
        if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
            all.extend(more);
        }
    }
    all
}

/// Texts and numbers in paths, queries and headers.
fn of_words() -> Value {
    let text = || json!({ "type": "string" });
    json!({
        "Any": {},
        "Text": text(),
        "Types": { "type": "string", "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]+$", "examples": ["visits.insert,rule-*"] },
        "Name": { "type": "string", "minLength": 1 },
        "Flag": { "type": "string", "maxLength": 0 },
        "Wait": { "type": "string", "pattern": "^[0-9]+(ms|s|m)$", "examples": ["10s"] },
        "Key": { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" },
        "Limit": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 },
        "State": { "enum": ["waiting", "behind", "held", "dead"] },
        "AsideState": { "enum": ["refused", "held", "bad"] },
        "Direction": { "enum": ["inbound", "outbound"] },
        "Values": { "enum": ["none"] },
        "Page": text(),
        "Places": { "type": "string", "pattern": "^[^,:]+:[0-9]+(,[^,:]+:[0-9]+)*$", "examples": ["office:12,intake:3"] },
    })
}

/// What `status` says.
fn of_status() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let time = || json!({ "type": "string", "format": "date-time" });
    let texts = || json!({ "type": "array", "items": text() });
    let list = |name: &str| json!({ "type": "array", "items": of(name) });
    let flag = || json!({ "type": "boolean" });
    json!({
        "Status": object(&["agent", "logs", "connectors", "needs"], &[
            ("agent", object(&["office", "running", "hasRun"], &[
                ("office", text()), ("running", flag()), ("process", text()), ("hasRun", flag()), ("checked", time()),
            ], false)),
            ("logs", list("Log")), ("connectors", list("Connector")), ("needs", list("Need")),
            ("sources", list("Source")), ("drops", list("Drop")), ("alerts", list("Alert")),
        ], false),
        "Alert": object(&["condition", "subject", "severity", "what", "mend", "since", "opened", "told", "notices"], &[
            ("condition", text()), ("subject", text()), ("severity", json!({ "enum": ["warning", "critical"] })),
            ("count", number()), ("what", text()), ("mend", text()), ("since", time()), ("opened", time()),
            ("told", time()), ("notices", number()),
        ], false),
        "Figures": { "type": "string", "description": "`docs/MONITORING.md` names each" },
        "Source": object(&["source", "url", "listen", "state", "received", "duplicates", "rejected"], &[
            ("source", text()), ("url", text()), ("listen", texts()),
            ("state", json!({ "enum": ["stopped", "connecting", "connected", "down", "refused"] })),
            ("since", time()), ("reason", text()), ("received", number()), ("duplicates", number()),
            ("rejected", number()), ("last", time()),
        ], false),
        "Log": object(&["log", "file", "captured", "kept", "lost", "tables", "trouble"], &[
            ("log", text()), ("file", text()), ("captured", number()), ("kept", number()), ("oldest", time()),
            ("lost", number()), ("tables", texts()), ("trouble", texts()),
        ], false),
        "Drop": object(&["drop", "mode", "files"], &[
            ("drop", text()), ("mode", text()), ("lastDate", text()), ("lastFile", text()), ("lastSeq", number()),
            ("lastPublished", time()), ("files", json!({ "type": "array", "items": { "type": "array" } })),
            ("held", number()), ("rejected", number()), ("unverified", number()), ("pending", number()),
            ("overdue", number()), ("quarantined", number()), ("recent", list("File")),
        ], false),
        "File": object(&["date", "cut", "state", "since", "outlets"], &[
            ("seq", number()), ("date", text()), ("cut", number()), ("name", text()), ("state", text()), ("since", time()),
            ("records", number()), ("size", number()), ("sha256", text()), ("rerun", number()), ("reason", text()),
            ("answer", json!({ "enum": ["pending", "overdue"] })),
            ("outlets", json!({ "type": "array", "items": { "type": "object" } })),
            ("acks", json!({ "type": "array", "items": { "type": "object" } })),
        ], false),
        "Hour": object(&["delivered", "failed"], &[
            ("delivered", json!({ "type": "array", "items": number(), "minItems": 60, "maxItems": 60 })),
            ("failed", json!({ "type": "array", "items": number(), "minItems": 60, "maxItems": 60 })),
        ], false),
        "Mishap": object(&["at", "class", "reason"], &[("at", time()), ("class", text()), ("reason", text())], false),
        "Connector": object(&["connector", "mode", "configured", "queued", "waiting", "behind", "held", "dead"], &[
            ("connector", text()), ("kind", json!({ "enum": ["stream", "schedule", "drop"] })), ("schedule", text()),
            ("nextRun", time()), ("nextProbe", time()), ("waitsUntil", time()), ("lastError", of("Mishap")), ("hour", of("Hour")),
            ("mode", json!({ "enum": ["running", "paused", "halted", "overflowed", "new"] })),
            ("configured", flag()), ("reason", text()), ("downSince", time()), ("queued", number()),
            ("oldest", time()), ("waiting", number()), ("behind", number()), ("held", number()), ("dead", number()),
            ("braked", number()), ("delivered", number()), ("last", time()), ("skipped", number()),
            ("discarded", number()), ("retried", number()), ("conflicts", number()), ("pull", of("Pull")),
        ], false),
        "Pull": object(&["applied", "agreed", "refused", "held", "bad", "firstContact"], &[
            ("last", time()), ("moved", time()), ("applied", number()), ("agreed", number()), ("refused", number()),
            ("held", number()), ("bad", number()), ("ahead", json!({ "type": "integer" })), ("firstContact", flag()),
            ("missing", number()), ("doubted", time()), ("polled", time()), ("next", time()),
        ], false),
        "Need": object(&["subject", "what", "mend"], &[("subject", text()), ("what", text()), ("mend", text())], false),
    })
}

/// What is said of conflicts.
fn of_conflicts() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let time = || json!({ "type": "string", "format": "date-time" });
    let texts = || json!({ "type": "array", "items": text() });
    let flag = || json!({ "type": "boolean" });
    json!({
        "Standing": { "enum": ["open", "resolved", "decided", "superseded", "all"] },
        "Conflict": object(
            &["id", "connector", "table", "type", "key", "unit", "fields", "state", "rule", "reason", "since", "at"],
            &[
                ("id", number()), ("connector", text()), ("table", text()), ("type", text()),
                ("key", json!({ "type": "object" })),
                ("unit", json!({ "type": "string", "description": "A field or group; `*` = the whole record" })),
                ("fields", texts()), ("state", json!({ "enum": ["open", "resolved", "decided", "superseded"] })),
                ("rule", text()), ("winner", json!({ "enum": ["local", "remote", "value"] })), ("reason", text()),
                ("since", time()), ("at", time()), ("decision", of("Decision")), ("values", of("Disputed")),
            ],
            false,
        ),
        "Decision": object(&["take", "by", "at"], &[
            ("take", json!({ "enum": ["local", "remote", "value"] })), ("by", text()), ("reason", text()), ("at", time()),
            ("value", json!({ "type": "object" })),
        ], false),
        "Disputed": object(&["local", "remote"], &[
            ("base", json!({ "type": "object" })), ("local", of("Side")), ("remote", of("Side")), ("precision", text()),
        ], false),
        "Side": object(&["deleted"], &[
            ("deleted", flag()), ("values", json!({ "type": "object" })), ("first", time()), ("last", time()),
        ], false),
        "Choosing": object(&[], &[
            ("take", json!({ "enum": ["local", "remote"], "description": "Not beside `value`" })),
            ("value", json!({ "description": "Of a field its value, of a group or a record an object with its fields" })),
            ("seen", json!({ "type": ["string", "null"], "description": "The conflict's `at` as it was shown" })),
            ("reason", json!({ "type": ["string", "null"] })),
        ], true),
    })
}

/// What the other calls take and give.
fn of_calls() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    let time = || json!({ "type": "string", "format": "date-time" });
    let texts = || json!({ "type": "array", "items": text() });
    let list = |name: &str| json!({ "type": "array", "items": of(name) });
    let flag = || json!({ "type": "boolean" });
    json!({
        "Code": object(&["code", "seconds", "pages"], &[
            ("code", text()), ("seconds", number()), ("pages", texts()),
        ], true),
        "Shown": object(&["code"], &[("code", text())], true),
        "Session": object(&["name", "way"], &[
            ("name", text()), ("way", json!({ "enum": ["page", "token", "socket"] })), ("key", text()),
        ], true),
        "Post": object(&["type", "payload"], &[
            ("type", json!({ "type": "string", "minLength": 1, "maxLength": 200 })),
            ("payload", json!({ "type": "object" })),
        ], true),
        "Stored": object(&["status", "id"], &[
            ("status", json!({ "const": "ok" })), ("id", text()), ("deliveries", list("Fate")),
        ], true),
        "Fate": object(&["connector", "status"], &[
            ("connector", text()),
            ("status", json!({ "enum": ["success", "failed", "waiting", "skipped"] })),
            ("reason", text()),
        ], true),
        "RecordStatus": object(&["status"], &[
            ("status", json!({ "enum": ["success", "failed"] })), ("reason", text()),
        ], true),
        "Started": object(&["status", "connector"], &[
            ("status", json!({ "const": "sync started" })), ("connector", text()),
        ], true),
        "Record": object(&["type", "events"], &[
            ("type", text()), ("events", list("Change")), ("conflicts", list("Conflict")), ("pulled", list("Pulled")),
        ], false),
        "Pulled": object(&["connector", "state"], &[
            ("connector", text()), ("state", json!({ "enum": ["agreed", "deleted", "changed", "aside", "sent"] })),
            ("agreed", time()), ("changedThere", time()), ("changedHere", texts()), ("deletedHere", time()),
            ("sent", number()), ("aside", of("Aside")),
        ], false),
        "Aside": object(&["state", "reason", "since", "tries"], &[
            ("state", json!({ "enum": ["again", "refused", "held", "bad"] })), ("reason", text()), ("since", time()),
            ("tries", number()),
        ], false),
        "Change": object(&["id", "log", "type", "op", "key", "at", "changed", "connectors"], &[
            ("id", text()), ("log", text()), ("type", text()), ("op", of("Op")), ("key", json!({ "type": "object" })),
            ("oldKey", json!({ "type": "object" })), ("at", time()), ("origin", text()), ("changed", texts()),
            ("connectors", list("Stand")),
        ], false),
        "Op": { "enum": ["insert", "update", "delete", "event"] },
        "Stand": object(&["connector", "state", "history"], &[
            ("connector", text()),
            ("state", json!({ "enum": [
                "queued", "sending", "delivered", "skipped", "passed", "discarded", "waiting", "behind", "held", "dead",
            ] })),
            ("reason", text()), ("due", time()), ("history", list("Step")), ("files", list("Carried")),
        ], false),
        "Carried": object(&["date", "state", "since", "lines"], &[
            ("seq", number()), ("date", text()), ("name", text()),
            ("state", json!({ "enum": [
                "open", "cut", "rendered", "published", "acked", "partial", "refused", "skipped", "discarded", "purged",
            ] })),
            ("since", time()), ("lines", list("CarriedLine")),
        ], false),
        "CarriedLine": object(&["action"], &[("action", text()), ("answer", text()), ("code", text())], false),
        "Step": object(&["at", "what"], &[("at", time()), ("what", text())], false),
        "Delivery": object(&["connector", "event", "log", "seq", "type", "op", "key", "at", "state", "since"], &[
            ("connector", text()), ("event", text()), ("log", text()), ("seq", number()), ("type", text()),
            ("op", of("Op")), ("key", json!({ "type": "object" })), ("at", time()), ("state", of("State")),
            ("since", time()), ("attempts", number()), ("due", time()), ("class", text()), ("reason", text()),
            ("status", number()), ("passedBy", number()),
        ], false),
        "Aside": object(&["connector", "direction", "type", "key", "state", "since", "tries", "class", "reason"], &[
            ("connector", text()), ("direction", of("Direction")), ("type", text()), ("key", json!({ "type": "object" })),
            ("state", of("AsideState")), ("since", time()), ("tries", number()), ("class", text()), ("reason", text()),
        ], false),
        "Why": object(&[], &[("reason", json!({ "type": ["string", "null"] }))], true),
        "Retry": object(&[], &[
            ("reason", json!({ "type": ["string", "null"] })),
            ("stale", json!({ "type": "boolean", "description": "Although a later change was delivered meanwhile" })),
        ], true),
        "Order": object(&["operation", "actor"], &[
            ("operation", of("Operation")),
            ("actor", object(&["name"], &[
                ("name", text()), ("reason", json!({ "type": ["string", "null"] })),
            ], false)),
        ], false),
        "Operation": { "oneOf": operations() },
        "Selection": object(&["ids"], &[
            ("connector", text()), ("state", json!({ "enum": ["waiting", "behind", "held", "dead", "bad", null] })),
            ("kind", text()), ("class", text()), ("ids", texts()),
            ("limit", json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX })),
        ], false),
        "Report": object(&["done", "refused"], &[
            ("done", texts()),
            ("refused", json!({ "type": "array", "items": object(
                &["subject", "why"], &[("subject", text()), ("why", text())], false,
            ) })),
        ], false),
        "Manner": object(&["force"], &[("force", flag()), ("wait", flag())], true),
        "Reconciled": { "type": "object", "description": "That it has begun; with `wait`, what came of it" },
        "Stream": { "description":
            "`data:` is an event as `hms-sync tail` prints it; `event: gap` tells of positions that are not kept any more" },
        "Health": object(&["status"], &[("status", json!({ "enum": ["ok", "ready"] }))], true),
        "Problem": object(&["type", "title", "status", "detail"], &[
            ("type", text()), ("title", text()), ("status", number()), ("detail", text()),
        ], false),
    })
}

/// What each verb of an operation takes.
fn operations() -> Vec<Value> {
    let text = || json!({ "type": "string" });
    let verb = |verb: &str, required: &[&str], fields: &[(&str, Value)]| {
        let verb = [("verb", json!({ "const": verb }))];
        object(&[&["verb"], required].concat(), &[&verb, fields].concat(), false)
    };
    let which = || ("which", of("Selection"));
    let file = |act: &str, required: &[&str], fields: &[(&str, Value)]| {
        let act = [("act", json!({ "const": act })), ("drop", text())];
        verb("drop", &[&["act", "drop"], required].concat(), &[&act, fields].concat())
    };
    vec![
        verb("retry", &["which"], &[which(), ("stale", json!({ "type": "boolean" }))]),
        verb("discard", &["which"], &[which()]),
        verb("hold", &["which"], &[which()]),
        verb("release", &["which"], &[which()]),
        verb(
            "holdqueued",
            &["connector", "log", "event"],
            &[("connector", text()), ("log", text()), ("event", text())],
        ),
        verb("pause", &["connector"], &[("connector", text())]),
        verb("resume", &["connector"], &[("connector", text())]),
        verb(
            "replay",
            &["connector", "log", "after"],
            &[("connector", text()), ("log", text()), ("after", json!({ "type": "integer", "minimum": 0 }))],
        ),
        verb(
            "resolve",
            &["conflict", "take"],
            &[
                ("conflict", json!({ "type": "integer" })),
                ("take", text()),
                ("seen", json!({ "type": ["string", "null"] })),
            ],
        ),
        verb(
            "meet",
            &["connector", "how"],
            &[("connector", text()), ("how", json!({ "enum": ["local", "remote", "rules"] }))],
        ),
        verb("deletemissing", &["connector"], &[("connector", text())]),
        verb("prune", &[], &[("dryRun", json!({ "type": "boolean" }))]),
        file("run", &[], &[("date", json!({ "type": ["string", "null"] }))]),
        file("resend", &["file"], &[("file", text()), ("outlet", json!({ "type": ["string", "null"] }))]),
        file("as-new", &["file", "keys"], &[("file", text()), ("keys", json!({ "type": "array", "items": text() }))]),
        file("accept", &["file"], &[("file", text())]),
        file("discard", &["file"], &[("file", text())]),
        file("dismiss", &["ack"], &[("ack", text())]),
        file("set-sequence", &["seq"], &[("seq", json!({ "type": "integer", "minimum": 0 }))]),
    ]
}

fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

fn object(required: &[&str], fields: &[(&str, Value)], closed: bool) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|(name, of)| ((*name).to_owned(), of.clone())).collect();
    let mut schema = json!({ "type": "object", "required": required, "properties": properties });
    if let (true, Some(fields)) = (closed, schema.as_object_mut()) {
        fields.insert("additionalProperties".to_owned(), json!(false));
    }
    schema
}
