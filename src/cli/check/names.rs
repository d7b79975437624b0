//! `check` of the names that a connector's `where` and its adapter's file look for: does a table that it hears have them?

use super::tables::{Columns, Keys, problem};
use crate::config::connector::{ConnectorSpec, Way};
use crate::config::problem::Place;
use crate::config::{Problem, Severity};
use crate::event::Op;
use crate::rules::nearest::hint;

/// Notes names that a table does not have. What a mapping gives is compared where that is read.
pub fn look(spec: &ConnectorSpec, columns: &Columns, keys: &Keys, problems: &mut Vec<Problem>) {
    let hears = |kind: &str| [Op::Insert, Op::Update, Op::Delete].into_iter().any(|op| spec.listen.hears(kind, op));
    for (kind, columns) in columns.iter().filter(|(kind, _)| spec.strategy.pushes() && hears(kind)) {
        let mut note = |key: &str, at: Place, message: String| {
            problems.push(problem(Severity::Warning, &spec.file, at, key.to_owned(), message));
        };
        let lacks = |name: &&str| !columns.iter().any(|column| column == name);
        for name in spec.filter.iter().flat_map(|filter| filter.columns()).filter(lacks) {
            let near = hint(name, columns.iter().map(String::as_str));
            let message = format!("names `{name}`, which `{kind}` does not have{near}: its events are held");
            note("where", spec.filter_place, message);
        }
        let Way::Spec(described) = &spec.way else { continue };
        let (adapter, wanted) = (&described.spec.name, described.spec.wanted());
        if spec.mapping.is_whole() {
            for name in wanted.fields.iter().map(String::as_str).filter(lacks) {
                let near = hint(name, columns.iter().map(String::as_str));
                let message =
                    format!("{adapter} needs `{name}`, which `{kind}` does not have{near}: its events are held");
                note("adapter", spec.mapping_place, message);
            }
        }
        let Some((key, _)) = keys.get(kind) else { continue };
        for name in wanted.keys.iter().filter(|name| !key.contains(name)) {
            let near = hint(name, key.iter().map(String::as_str));
            let message =
                format!("{adapter} needs `key.{name}`, and the key of `{kind}` has none{near}: its events are held");
            note("adapter", spec.mapping_place, message);
        }
    }
}
