//! `check` of what a connector reads: can its items be matched to rows?

use super::tables::{Keys, problem};
use crate::config::connector::{ConnectorSpec, Origin, Way};
use crate::config::{Problem, Settings, Severity};
use crate::event::Record;
use crate::rules::pull::item::Shape;

/// Notes key columns that what is read does not have.
pub fn look(spec: &ConnectorSpec, settings: &Settings, keys: &Keys, problems: &mut Vec<Problem>) {
    let Some(reading) = &spec.pull else { return };
    let watched = settings.watch.iter().find(|watch| watch.kind == reading.table || watch.table == reading.table);
    let kind = watched.map_or(&reading.table, |watch| &watch.kind);
    let (Some((key, gives_key)), Ok(back)) = (keys.get(kind), spec.mapping.reverse()) else { return };
    let nothing = Record::new();
    let (from, vars) = match &spec.way {
        Way::Spec(described) => (format!("the adapter {}", described.spec.name), &described.vars),
        Way::Rest(_) | Way::Inbox | Way::Drop(_) => ("`pull`".to_owned(), &nothing),
    };
    let shape = match &reading.from {
        Origin::Requests { pull, .. } => pull.feeds.last().map(|feed| &feed.item),
        Origin::Files(_) => None,
    };
    let roots: Record = [("vars", crate::event::Value::Map(vars.clone()))].into_iter().collect();
    let gives = |shape: &Shape, target: &str| {
        let first = target.split('.').next().unwrap_or_default();
        shape.gives(first, &roots) != Some(false)
    };
    for column in key {
        // Where it comes from, and why it does not.
        let target = match (back.columns(), back.targets()) {
            (Some(columns), Some(targets)) => {
                let found = columns.iter().position(|name| name == column).and_then(|at| targets.get(at).cloned());
                match found {
                    Some(target) => target,
                    None => {
                        note(spec, kind, column, "the mapping has no entry for it", *gives_key, problems);
                        continue;
                    }
                }
            }
            _ => column.clone(),
        };
        if shape.is_some_and(|shape| !gives(shape, &target)) {
            let why = format!("{from} reads no `{target}`");
            note(spec, kind, column, &why, *gives_key, problems);
        }
    }
}

fn note(spec: &ConnectorSpec, kind: &str, column: &str, why: &str, gives_key: bool, problems: &mut Vec<Problem>) {
    let then = match (gives_key, spec.strategy.pushes()) {
        // What comes in is known again by its name there.
        (true, false) => return,
        (true, true) => "what was sent and is read again becomes a second row",
        (false, _) => "what is read stands aside (`no-key`)",
    };
    let message = format!("`{column}` is the key of `{kind}`, and {why}: {then}");
    problems.push(problem(Severity::Warning, &spec.file, spec.mapping_place, "pull".to_owned(), message));
}
