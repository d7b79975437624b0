//! `GET /openapi.json`: every call with what it takes and every answer it gives (OpenAPI 3.1).

mod schemas;

use axum::Json;
use serde_json::{Map, Value, json};

/// A call.
struct Call {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    /// Queries and headers: name, where, schema, what.
    takes: &'static [(&'static str, &'static str, &'static str, &'static str)],
    /// Schema of the body, and whether it must be there.
    body: Option<(&'static str, bool)>,
    /// Schema of the answer; with a `*` before it, a list of it.
    gives: &'static str,
    /// Refusals of its own.
    refuses: &'static [u16],
}

/// Refusals of a call that reads a body.
const BODY: [u16; 5] = [400, 408, 413, 415, 422];
/// Refusals of every call: of the head, of who calls, and of an agent that is not able at this time.
const ALL: [u16; 6] = [401, 403, 421, 429, 431, 503];

const CALLS: &[Call] = &[
    Call {
        method: "post",
        path: "/sync",
        summary: "Takes an event in: durable before it is answered",
        takes: &[
            ("wait", "query", "Wait", "Waits for what comes of it at every connector, at most so long"),
            ("Idempotency-Key", "header", "Key", "The same key and body again is answered as before and stored once"),
        ],
        body: Some(("Post", true)),
        gives: "Stored",
        refuses: &[507],
    },
    Call {
        method: "post",
        path: "/sync/{system}/{record_type}/{record_id}",
        summary: "Delivers one record now, and waits for what comes of it",
        takes: &[("known", "query", "Flag", "The record was there once: when it is gone it is deleted at the target")],
        body: None,
        gives: "RecordStatus",
        refuses: &[400],
    },
    Call {
        method: "get",
        path: "/status",
        summary: "The agent, its logs, its connectors, and what needs a person",
        takes: &[],
        body: None,
        gives: "Status",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/alerts",
        summary: "Alerts that are open",
        takes: &[],
        body: None,
        gives: "*Alert",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/metrics",
        summary: "Figures for Prometheus, or as OpenMetrics for who asks for it; needs no token with `api: {openMetrics: true}`",
        takes: &[],
        body: None,
        gives: "Figures",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/needs",
        summary: "What needs a person and stands in no file",
        takes: &[],
        body: None,
        gives: "*Need",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/sources",
        summary: "Every event source at a glance",
        takes: &[],
        body: None,
        gives: "*Source",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/connectors",
        summary: "Every connector at a glance",
        takes: &[],
        body: None,
        gives: "*Connector",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/connectors/{name}",
        summary: "One connector at a glance",
        takes: &[],
        body: None,
        gives: "Connector",
        refuses: &[400, 404],
    },
    Call {
        method: "post",
        path: "/connectors/{name}/sync",
        summary: "Runs a connector now, whatever its schedule says",
        takes: &[],
        body: None,
        gives: "Started",
        refuses: &[400, 404],
    },
    Call {
        method: "post",
        path: "/connectors/{name}/pull",
        summary: "The same for a system that tells of news: reads it now",
        takes: &[],
        body: None,
        gives: "Started",
        refuses: &[400, 404],
    },
    Call {
        method: "post",
        path: "/connectors/{name}/pause",
        summary: "Stops a connector until it is resumed",
        takes: &[],
        body: Some(("Why", false)),
        gives: "Report",
        refuses: &[404, 507],
    },
    Call {
        method: "post",
        path: "/connectors/{name}/resume",
        summary: "Lets a connector go on, also one that halted",
        takes: &[],
        body: Some(("Why", false)),
        gives: "Report",
        refuses: &[404, 507],
    },
    Call {
        method: "get",
        path: "/records/{type}/{key}",
        summary: "Every change of a record that is kept, and what came of it at every connector",
        takes: &[("limit", "query", "Limit", "At most so many changes of each log, the newest")],
        body: None,
        gives: "Record",
        refuses: &[400, 404],
    },
    Call {
        method: "get",
        path: "/deliveries",
        summary: "What stands aside: waiting, behind an earlier one of its record, held, or dead",
        takes: &[
            ("connector", "query", "Text", "Only at this connector"),
            ("state", "query", "State", "Only in this state"),
            ("type", "query", "Text", "Only of this event type"),
            ("class", "query", "Text", "Only with this class of reason"),
            ("id", "query", "Text", "Only these event ids or positions, joined by commas"),
            ("limit", "query", "Limit", "At most so many"),
        ],
        body: None,
        gives: "*Delivery",
        refuses: &[400, 404],
    },
    Call {
        method: "get",
        path: "/aside",
        summary: "What connectors that read have put aside: refused by the application's rules, held for a person, or not readable",
        takes: &[
            ("connector", "query", "Text", "Only by this connector"),
            ("state", "query", "AsideState", "Only in this state"),
            ("type", "query", "Text", "Only of this event type"),
            ("class", "query", "Text", "Only with this class of reason"),
            ("limit", "query", "Limit", "At most so many"),
        ],
        body: None,
        gives: "*Aside",
        refuses: &[400, 404],
    },
    Call {
        method: "post",
        path: "/deliveries/{connector}/{id}/retry",
        summary: "Sends a dead or held delivery again",
        takes: &[],
        body: Some(("Retry", false)),
        gives: "Report",
        refuses: &[404, 409, 507],
    },
    Call {
        method: "post",
        path: "/deliveries/{connector}/{id}/discard",
        summary: "Gives a delivery up; the next of its record moves up",
        takes: &[],
        body: Some(("Why", false)),
        gives: "Report",
        refuses: &[404, 409, 507],
    },
    Call {
        method: "post",
        path: "/deliveries/{connector}/{id}/release",
        summary: "Lets a held delivery go",
        takes: &[],
        body: Some(("Why", false)),
        gives: "Report",
        refuses: &[404, 409, 507],
    },
    Call {
        method: "get",
        path: "/conflicts",
        summary: "What both sides of a record have changed, without values: what waits for a person, or all",
        takes: &[
            ("connector", "query", "Text", "Only with this connector"),
            ("state", "query", "Standing", "Only in this state; open when nothing is said"),
            ("type", "query", "Text", "Only of this event type or table"),
            ("limit", "query", "Limit", "At most so many, the newest"),
        ],
        body: None,
        gives: "*Conflict",
        refuses: &[400, 404],
    },
    Call {
        method: "get",
        path: "/conflicts/{id}",
        summary: "One conflict, with the values of both sides",
        takes: &[],
        body: None,
        gives: "Conflict",
        refuses: &[400, 404],
    },
    Call {
        method: "post",
        path: "/conflicts/{id}/resolve",
        summary: "Decides a conflict that waits for a person; its connector carries it out",
        takes: &[],
        body: Some(("Choosing", true)),
        gives: "Report",
        refuses: &[404, 409, 507],
    },
    Call {
        method: "post",
        path: "/operations",
        summary: "Does what a verb of the command line asks for, on many at once",
        takes: &[],
        body: Some(("Order", true)),
        gives: "Report",
        refuses: &[507],
    },
    Call {
        method: "post",
        path: "/logs/{log}/tables/{table}/reconcile",
        summary: "Compares a table with what was delivered of it, and sends the difference",
        takes: &[],
        body: Some(("Manner", true)),
        gives: "Reconciled",
        refuses: &[404, 409],
    },
    Call {
        method: "get",
        path: "/events",
        summary: "Events as they come, as server-sent events",
        takes: &[
            ("type", "query", "Types", "Only these, as in `listen`, joined by commas"),
            ("direction", "query", "Direction", "Only what came from outside, or only what the application wrote"),
            ("values", "query", "Values", "Only that it happened, without key and values"),
            ("Last-Event-ID", "header", "Places", "Goes on after the event with this id"),
        ],
        body: None,
        gives: "Stream",
        refuses: &[400],
    },
    Call {
        method: "get",
        path: "/",
        summary: "The status page; needs no token and holds no data",
        takes: &[],
        body: None,
        gives: "Page",
        refuses: &[],
    },
    Call {
        method: "post",
        path: "/session/codes",
        summary: "Gives a code that signs in to the status page: once, and within a minute",
        takes: &[],
        body: None,
        gives: "Code",
        refuses: &[],
    },
    Call {
        method: "post",
        path: "/session",
        summary: "Exchanges a code for a session: a cookie, and a key that goes with it as `X-HMS-Page`; needs no token",
        takes: &[],
        body: Some(("Shown", true)),
        gives: "Session",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/session",
        summary: "Who the caller is",
        takes: &[],
        body: None,
        gives: "Session",
        refuses: &[],
    },
    Call {
        method: "delete",
        path: "/session",
        summary: "Ends the caller's session",
        takes: &[],
        body: None,
        gives: "Session",
        refuses: &[404],
    },
    Call {
        method: "get",
        path: "/healthz",
        summary: "The process lives; needs no token",
        takes: &[],
        body: None,
        gives: "Health",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/readyz",
        summary: "The agent can read and record; needs no token",
        takes: &[],
        body: None,
        gives: "Health",
        refuses: &[],
    },
    Call {
        method: "get",
        path: "/openapi.json",
        summary: "This document",
        takes: &[],
        body: None,
        gives: "Any",
        refuses: &[],
    },
];

/// The document.
pub(super) async fn document() -> Json<Value> {
    Json(made())
}

fn made() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for call in CALLS {
        let path = paths.entry(call.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(call.method.to_owned(), operation(call));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hms-sync",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "The agent's API on this machine: on its unix socket without a token, on TCP with one.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "token": [] }, { "session": [], "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "session": { "type": "apiKey", "in": "cookie", "name": "hms-sync-PORT" },
                "key": { "type": "apiKey", "in": "header", "name": "X-HMS-Page" },
            },
            "responses": { "Problem": {
                "description": "Why not, in words",
                "content": { "application/problem+json": { "schema": schema("Problem") } },
            } },
            "schemas": schemas::all(),
        },
    })
}

fn schema(name: &str) -> Value {
    match name.strip_prefix('*') {
        Some(name) => json!({ "type": "array", "items": schema(name) }),
        None => json!({ "$ref": format!("#/components/schemas/{name}") }),
    }
}

fn operation(call: &Call) -> Value {
    let parameter = |name: &str, place: &str, of: &str, what: &str| {
        let required = place == "path";
        json!({ "name": name, "in": place, "required": required, "description": what, "schema": schema(of) })
    };
    let named = call.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let named = named.map(|name| parameter(name, "path", "Name", "Any UTF-8, percent-encoded once"));
    let parameters: Vec<Value> =
        named.chain(call.takes.iter().map(|(name, place, of, what)| parameter(name, place, of, what))).collect();
    let kind = match call.gives {
        "Stream" => "text/event-stream",
        "Page" => "text/html",
        "Figures" => "text/plain",
        _ => "application/json",
    };
    let mut responses: Map<String, Value> = Map::new();
    let ok = json!({ "description": "Done", "content": { kind: { "schema": schema(call.gives) } } });
    responses.insert("200".to_owned(), ok);
    let of_body: &[u16] = if call.body.is_some() { &BODY } else { &[] };
    for code in call.refuses.iter().chain(of_body).chain(&ALL) {
        responses.insert(code.to_string(), json!({ "$ref": "#/components/responses/Problem" }));
    }
    let id: String = call.path.chars().filter(|letter| !"{}.".contains(*letter)).collect();
    let mut operation = json!({
        "operationId": format!("{}{}", call.method, id.replace('/', "_")),
        "summary": call.summary,
        "parameters": parameters,
        "responses": responses,
    });
    if let (Some((of, required)), Some(fields)) = (call.body, operation.as_object_mut()) {
        let content = json!({ "application/json": { "schema": schema(of) } });
        fields.insert("requestBody".to_owned(), json!({ "required": required, "content": content }));
    }
    let is_open = ["/", "/healthz", "/readyz"].contains(&call.path) || (call.method, call.path) == ("post", "/session");
    if is_open && let Some(fields) = operation.as_object_mut() {
        fields.insert("security".to_owned(), json!([]));
    }
    operation
}
