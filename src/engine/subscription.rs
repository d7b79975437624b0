//! What a connector hears, and what of it may leave: the same for every way out.

use std::borrow::Cow;
use std::sync::Arc;

use crate::adapter::hook::Hook;
use crate::event::{Event, Op};
use crate::rules::filter::{Filter, Route};
use crate::rules::governance::{Cleared, Gate};
use crate::rules::listen::Listen;
use crate::rules::mapping::Mapping;
use crate::rules::outcome::Reason;

/// A connector's side towards the logs.
#[derive(Debug)]
pub struct Subscription {
    /// The connector's name.
    pub name: Arc<str>,
    /// Event types it hears.
    pub listen: Listen,
    /// `where`.
    pub filter: Option<Filter>,
    /// Source to target.
    pub mapping: Mapping,
    /// What may leave.
    pub gate: Gate,
    /// `onLeave: ignore` = a record that leaves the `where` is not deleted at the target.
    pub ignore_leave: bool,
    /// `unchanged: skip` = an update that changes no column is not delivered.
    pub skip_unchanged: bool,
}

/// What an event does to one record. A change of a record's key does two things.
#[derive(Debug)]
pub struct Part<'e> {
    /// What is put behind the event's id: nothing, or `-a` and `-b`.
    pub letter: &'static str,
    /// The event as it does this.
    pub event: Cow<'e, Event>,
}

impl Subscription {
    /// What an event means here, in order; nothing = it is not for this connector. Reasons are those of `where`.
    pub fn parts<'e>(&self, event: &'e Event) -> Result<Vec<Part<'e>>, Reason> {
        if self.shut_out(event).is_some() {
            return Ok(Vec::new());
        }
        let part = |letter, event| Part { letter, event };
        if event.push.is_some() {
            return Ok(vec![part("", Cow::Borrowed(event))]);
        }
        Ok(match (self.route(event)?, &event.old_key) {
            (Route::Skip, _) => Vec::new(),
            (Route::Leave, _) if self.ignore_leave => Vec::new(),
            (Route::Leave, _) => vec![part("", Cow::Owned(departure(event)))],
            // A key change is the end of one record and the beginning of another.
            (Route::Send, Some(_)) => {
                vec![part("-a", Cow::Owned(departure(event))), part("-b", Cow::Owned(arrival(event)))]
            }
            (Route::Send, None) => vec![part("", Cow::Borrowed(event))],
        })
    }

    /// Maps and clears a part; `fields` are what templates name.
    pub fn clear(&self, event: &Event, fields: &[String]) -> Result<Cleared, Reason> {
        if event.push.is_some() {
            // The handler has mapped it; the gate is not the handler's.
            return self.gate.clear(event, &Mapping::whole(), fields);
        }
        self.gate.clear(event, &self.mapping, fields)
    }

    /// The class of each field that goes into what leaves of an event, as a hook is told.
    pub fn classes(&self, event: &Event, fields: &[String]) -> Vec<(String, String)> {
        let columns: Vec<String> = event.image().iter().map(|(column, _)| column.to_string()).collect();
        let lines = self.gate.explain(&event.kind, &columns, &self.mapping, fields).into_iter();
        lines.filter(|line| !line.to.is_empty()).filter_map(|line| Some((line.field, line.class?))).collect()
    }

    /// What decides of what may leave, as a text that changes when that does.
    pub fn policy(&self, hook: Option<&Hook>) -> String {
        format!("{} {}", self.gate.policy(), hook.map(Hook::shown).unwrap_or_default())
    }

    /// Why an event that has no parts has none, in plain words.
    pub fn why_skipped(&self, event: &Event) -> &'static str {
        self.shut_out(event).unwrap_or_else(|| match self.route(event) {
            Ok(Route::Skip) => "the record does not match `where`",
            Ok(Route::Leave) if self.ignore_leave => "the record left `where`, and `onLeave` is ignore",
            _ => "the connector does not send deletes",
        })
    }

    fn route(&self, event: &Event) -> Result<Route, Reason> {
        self.filter.as_ref().map_or(Ok(Route::Send), |filter| filter.route(event))
    }

    /// Why a connector is not to see an event at all, before its content is looked at.
    fn shut_out(&self, event: &Event) -> Option<&'static str> {
        if event.push.is_some() {
            // The handler has decided who gets it.
            (event.dest.as_deref() != Some(&*self.name)).then_some("it was pushed to another connector")
        } else if !self.listen.hears(&event.kind, event.op) {
            Some("the connector does not listen to it")
        } else if event.origin.as_deref() == Some(&*self.name) {
            Some("the change came from this connector")
        } else if event.dest.as_deref().is_some_and(|dest| dest != &*self.name) {
            Some("it is meant for another connector")
        } else if self.skip_unchanged && event.op == Op::Update && event.changed.is_empty() && !event.synthetic {
            Some("no column changed, and `unchanged` is skip")
        } else {
            None
        }
    }
}

/// The event as the target sees the record go: a delete under its old key, with its last image.
fn departure(event: &Event) -> Event {
    let mut gone = event.clone();
    gone.op = Op::Delete;
    if let Some(old) = gone.old_key.take() {
        gone.key = old;
    }
    gone.after = None;
    gone
}

/// The event as the target sees the record come under its new key.
fn arrival(event: &Event) -> Event {
    let mut come = event.clone();
    come.old_key = None;
    come
}
