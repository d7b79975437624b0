//! From a checked description to what is pulled: the source, the way back, and who decides.

use super::source::source_of;
use super::{Credentials, problem};
use crate::config::conflict::{ConflictRules, policy_of};
use crate::config::connector::{ConnectorSpec, Way, When};
use crate::config::problem::Problems;
use crate::config::settings::Settings;
use crate::engine::pull::{Inlet, Tempo};
use crate::rules::governance::Gate;

/// Makes what a connector reads ready to be pulled; none = the connector only sends.
pub fn inlet(
    spec: &ConnectorSpec,
    settings: &Settings,
    credentials: &Credentials,
    conflicts: &[ConflictRules],
) -> Result<Option<Inlet>, Problems> {
    let (Some(reading), Some(source)) = (&spec.pull, source_of(spec, settings, credentials)?) else { return Ok(None) };
    let back = spec.mapping.reverse().map_err(|lost| {
        let told =
            lost.into_iter().map(|lost| problem(&spec.file, "mapping", format!("`{}` {}", lost.target, lost.why)));
        Problems::new(told.collect())
    })?;
    let watched = settings.watch.iter().find(|watch| watch.kind == reading.table || watch.table == reading.table);
    let (table, kind) = watched.map_or((&reading.table, &reading.table), |watch| (&watch.table, &watch.kind));
    let mut names = vec![spec.name.to_string()];
    if let Way::Spec(described) = &spec.way {
        names.push(described.spec.name.to_string());
    }
    Ok(Some(Inlet {
        name: spec.name.clone(),
        source,
        table: kind.as_str().into(),
        back,
        gate: Gate::of_entrance(settings.governance.as_ref()),
        policy: policy_of(conflicts, table, kind),
        names,
        office: settings.office.clone(),
        both_ways: spec.strategy.pushes(),
        strict_order: reading.strict_order,
        clock: reading.clock,
        max_delete: reading.max_delete,
        full: reading.full,
        tempo: match &reading.when {
            When::Every(pause) => Tempo::Every(*pause),
            When::Schedule(schedule) => Tempo::Schedule(schedule.clone()),
        },
        retry: spec.retry.clone(),
    }))
}
