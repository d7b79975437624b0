//! Google Calendar as far as its events go: ids that a client may choose, etags, sync tokens, cancelled events.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::world::{Asked, Paging, Told, World};

#[derive(Default)]
struct Desk {
    events: BTreeMap<String, Value>,
    changes: u64,
}

/// A running calendar; it stops when dropped.
pub struct Calendar {
    world: World,
    desk: Arc<Mutex<Desk>>,
}

impl Calendar {
    pub fn start() -> Calendar {
        let (world, desk) = (World::start(Paging::Token, 100), Arc::<Mutex<Desk>>::default());
        let own = Arc::clone(&desk);
        world.meet(move |asked, _| Some(own.lock().unwrap().answer(asked)));
        Calendar { world, desk }
    }

    pub fn url(&self) -> String {
        self.world.url("")
    }

    /// Somebody edits an event in the calendar itself.
    pub fn edit(&self, id: &str, fields: Value) {
        self.desk.lock().unwrap().store(id, &fields);
    }

    /// The events that are there, by id.
    pub fn alive(&self) -> BTreeMap<String, Value> {
        let desk = self.desk.lock().unwrap();
        let alive = desk.events.iter().filter(|(_, event)| event["status"] != "cancelled");
        alive.map(|(id, event)| (id.clone(), event.clone())).collect()
    }

    /// What was written to it by requests.
    pub fn writes(&self) -> Vec<Asked> {
        self.world.journal().into_iter().filter(|asked| asked.method != "GET").collect()
    }
}

impl Desk {
    fn store(&mut self, id: &str, fields: &Value) -> Value {
        self.changes += 1;
        let mut event = self.events.get(id).cloned().unwrap_or(json!({"status": "confirmed"}));
        for (name, value) in fields.as_object().unwrap() {
            event[name] = value.clone();
        }
        event["id"] = id.into();
        event["etag"] = format!("\"{}\"", self.changes).into();
        event["updated"] = hms_sync::clock::now().to_string().into();
        event["sequence"] = self.changes.into();
        self.events.insert(id.to_owned(), event.clone());
        event
    }

    fn answer(&mut self, asked: &Asked) -> Told {
        let wrong = |status: u16, reason: &str| {
            let body = json!({"error": {"code": status, "errors": [{"reason": reason}]}});
            Told::of(status, "application/json", body.to_string().into_bytes())
        };
        let Some(id) = asked.path.split("/events").nth(1).map(|rest| rest.trim_start_matches('/')) else {
            return wrong(404, "notFound");
        };
        let body: Value = serde_json::from_str(&asked.body).unwrap_or(json!({}));
        let stale = match (asked.headers.get("if-match"), self.events.get(id)) {
            (Some(wanted), Some(event)) => event["etag"] != **wanted,
            (Some(_), None) => true,
            (None, _) => false,
        };
        if stale {
            return wrong(412, "conditionNotMet");
        }
        match asked.method.as_str() {
            "GET" if id.is_empty() => {
                let since = asked.query.get("syncToken").map_or(0, |token| token.parse().unwrap());
                let is_new = |event: &&Value| event["sequence"].as_u64().unwrap() > since;
                let items: Vec<Value> = self.events.values().filter(is_new).cloned().collect();
                Told::json(&json!({"items": items, "nextSyncToken": self.changes.to_string()}))
            }
            "GET" => self.events.get(id).map_or(wrong(404, "notFound"), Told::json),
            "POST" => {
                let id = body["id"].as_str().unwrap();
                if self.events.contains_key(id) {
                    return wrong(409, "duplicate");
                }
                Told::json(&self.store(id, &body))
            }
            "PUT" | "PATCH" if !self.events.contains_key(id) => wrong(404, "notFound"),
            "PUT" => {
                self.events.remove(id);
                Told::json(&self.store(id, &body))
            }
            "PATCH" => Told::json(&self.store(id, &body)),
            _ => {
                self.store(id, &json!({"status": "cancelled"}));
                Told::status(204)
            }
        }
    }
}
