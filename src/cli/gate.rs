//! `gate explain`: what of a record would leave by a connector, field by field, and why.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::cli::check::tables::{self, Columns};
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};
use crate::config::{Config, Settings, build};
use crate::engine::subscription::Subscription;
use crate::event::Op;
use crate::rules::governance::Redact;
use crate::rules::governance::explain::{Line, Verdict};
use crate::rules::mapping::path::Path;
use crate::rules::nearest::hint;

/// Shows what leaves by which connector, and why
#[derive(Debug, clap::Args)]
pub struct Gate {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Explain(Explain),
}

/// Shows field by field what of a type would leave by a connector, and which rule decides
///
/// Without a type: every type that the connector hears. Without a connector: all of them at a glance. Nothing is sent and
/// nobody is asked; a hook's word is not known before there is a payload. Ends with 77 when a field is refused, so that
/// events would be held, else with 0.
#[derive(Debug, clap::Args)]
struct Explain {
    /// A connector
    connector: Option<String>,
    /// An event type or table
    #[arg(value_name = "TYPE")]
    kind: Option<String>,
}

/// What of a type leaves by a connector.
#[derive(Serialize)]
struct Sheet {
    connector: String,
    #[serde(rename = "type")]
    kind: String,
    /// Without a governance section nothing is classified.
    governance: bool,
    /// Classes that may leave here; without a governance section none are looked at.
    allow: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hook: Option<String>,
    /// Events of the type would be held.
    refused: bool,
    fields: Vec<Field>,
}

#[derive(Serialize)]
struct Field {
    field: String,
    class: Option<String>,
    verdict: &'static str,
    rule: String,
    to: Vec<String>,
}

/// What stands for the fields of a posted record that nobody has named.
const OTHERS: &str = "(any other field)";

/// Runs `gate`.
pub fn gate(place: &Place, gate: Gate) -> Outcome {
    let Verb::Explain(Explain { connector, kind }) = gate.verb;
    let config = place.config()?;
    // What cannot be captured is `check`'s to say.
    let (columns, _) = tables::look(&config.settings, &mut Vec::new());
    let sheets = sheets(config, &columns, connector.as_deref(), kind.as_deref())?;
    let refused = sheets.iter().any(|sheet| sheet.refused);
    match (place.json(), &connector) {
        (true, _) => output::json(&sheets)?,
        (false, None) => glance(&sheets)?,
        (false, Some(_)) => {
            for (at, sheet) in sheets.iter().enumerate() {
                if at > 0 {
                    output::line("")?;
                }
                page(sheet)?;
            }
        }
    }
    Ok(if refused { Code::Refused } else { Code::Ok })
}

fn sheets(config: Config, columns: &Columns, only: Option<&str>, kind: Option<&str>) -> Result<Vec<Sheet>, Failure> {
    let Config { settings, connectors, drops, .. } = config;
    let names: Vec<_> = connectors.iter().chain(&drops).map(|spec| spec.name.clone()).collect();
    if let Some(name) = only.filter(|name| !names.iter().any(|known| **known == **name)) {
        return Err(order::unknown(name, &names));
    }
    let meant = |name: &str| only.is_none_or(|only| only == name);
    let credentials = build::credentials(&settings)?;
    let mut sheets = Vec::new();
    for spec in connectors.into_iter().filter(|spec| meant(&spec.name) && spec.strategy.pushes()) {
        let allow = spec.allow.clone();
        let connector = build::connector(spec, &settings, &credentials, [0; 32])?;
        let hook = connector.hook.as_ref().map(|hook| hook.shown());
        let reads = connector.adapter.fields().to_vec();
        explain(&settings, &connector.subscription, (allow, hook, &reads), columns, kind, &mut sheets)?;
    }
    for spec in drops.into_iter().filter(|spec| meant(&spec.name)) {
        let allow = spec.allow.clone();
        let drop = build::drop(spec, &settings, [0; 32])?;
        let hook = drop.hook.as_ref().map(|hook| hook.shown());
        explain(&settings, &drop.subscription, (allow, hook, &[]), columns, kind, &mut sheets)?;
    }
    Ok(sheets)
}

/// The sheets of one connector; `named` = the type that is asked for, by its own name or its table's.
fn explain(
    settings: &Settings,
    subscription: &Subscription,
    (allow, hook, reads): (Option<Vec<String>>, Option<String>, &[String]),
    columns: &Columns,
    named: Option<&str>,
    sheets: &mut Vec<Sheet>,
) -> Result<(), Failure> {
    let heard = heard(settings, subscription, columns);
    let kinds = match named {
        None => heard.into_iter().collect(),
        Some(named) => {
            let table = settings.watch.iter().find(|watch| watch.table == named).map(|watch| watch.kind.as_str());
            let kind = if heard.contains(named) { named } else { table.unwrap_or(named) };
            if !hears(subscription, kind) {
                let near = hint(named, heard.iter().map(String::as_str));
                let text = format!("{} does not listen to `{named}`{near}", subscription.name);
                return Err(Failure::new(Code::Data, text));
            }
            vec![kind.to_owned()]
        }
    };
    for kind in kinds {
        let known = columns.get(&kind).cloned().unwrap_or_else(|| posted(settings, subscription, &kind));
        let lines = subscription.gate.explain(&kind, &known, &subscription.mapping, reads);
        sheets.push(Sheet {
            connector: subscription.name.to_string(),
            kind,
            governance: settings.governance.is_some(),
            allow: allow.clone().unwrap_or_else(|| vec!["public".to_owned()]),
            hook: hook.clone(),
            refused: lines.iter().any(|line| line.verdict == Verdict::Refused),
            fields: lines.into_iter().map(Field::of).collect(),
        });
    }
    Ok(())
}

fn hears(subscription: &Subscription, kind: &str) -> bool {
    [Op::Insert, Op::Update, Op::Delete, Op::Event].into_iter().any(|op| subscription.listen.hears(kind, op))
}

/// The types that a connector hears, as far as the configuration names any.
fn heard(settings: &Settings, subscription: &Subscription, columns: &Columns) -> BTreeSet<String> {
    let watched = settings.watch.iter().map(|watch| watch.kind.clone());
    let classified = settings.governance.iter().flat_map(|classes| classes.classify.keys().cloned());
    let posted = settings.events.iter().flat_map(|source| source.listen.iter().cloned());
    let asked = subscription.listen.patterns().iter().map(|pattern| {
        let op = [".insert", ".update", ".delete"].into_iter().find_map(|op| pattern.strip_suffix(op));
        op.unwrap_or(pattern).to_owned()
    });
    let all = columns.keys().cloned().chain(watched).chain(classified).chain(posted).chain(asked);
    all.filter(|kind| !kind.contains('*') && hears(subscription, kind)).collect()
}

/// The fields of a type that no table has, as far as classes and mapping name any.
fn posted(settings: &Settings, subscription: &Subscription, kind: &str) -> Vec<String> {
    let first = |path: &str| path.split('.').next().unwrap_or_default().to_owned();
    let listed = settings.governance.iter().filter_map(|classes| classes.classify.get(kind));
    let read = subscription.mapping.reads().iter().filter(|path: &&Path<'_>| path.is_of_row());
    let listed = listed.flat_map(|columns| columns.keys()).map(|name| first(name));
    let mut names: Vec<String> = Vec::new();
    for name in listed.chain(read.map(|path| first(&path.rest))).chain([OTHERS.to_owned()]) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

impl Field {
    fn of(line: Line) -> Field {
        let Line { field, class, verdict, rule, to } = line;
        Field { field, class, verdict: verdict.word(), rule, to }
    }
}

fn page(sheet: &Sheet) -> Result<(), Failure> {
    let Sheet { connector, kind, governance, allow, hook, refused, fields } = sheet;
    let by = match governance {
        true => format!("classes that may leave: {}", allow.join(", ")),
        false => "no `governance:` section: nothing is classified, every column may leave".to_owned(),
    };
    output::line(&format!("{connector}, {kind}: {by}"))?;
    let dash = || "-".to_owned();
    let row = |field: &Field| {
        let to = if field.to.is_empty() { dash() } else { field.to.join(", ") };
        let class = field.class.clone().unwrap_or_else(dash);
        vec![field.field.clone(), class, field.verdict.to_owned(), to, field.rule.clone()]
    };
    output::table(&["FIELD", "CLASS", "VERDICT", "TO", "RULE"], fields.iter().map(row).collect())?;
    if let Some(hook) = hook {
        output::line(&format!("then the hook {hook} is asked about each payload"))?;
    }
    if *refused {
        output::line(
            "-> events that have a refused field are held: allow its class here, redact it, or map without it",
        )?;
    }
    Ok(())
}

/// One line for each type at each connector.
fn glance(sheets: &[Sheet]) -> Result<(), Failure> {
    if sheets.is_empty() {
        return output::line("no connector hears a type that is known: `hms-sync check` says what there is");
    }
    let words = [
        Verdict::Leaves,
        Verdict::Redacted(Redact::Hash),
        Verdict::Redacted(Redact::Mask),
        Verdict::Redacted(Redact::Drop),
        Verdict::Refused,
        Verdict::NotMapped,
    ]
    .map(Verdict::word);
    let row = |sheet: &Sheet| {
        let count = |word: &&str| sheet.fields.iter().filter(|field| field.verdict == *word).count().to_string();
        let mut row = vec![sheet.connector.clone(), sheet.kind.clone()];
        row.extend(words.iter().map(count));
        row.push(sheet.hook.clone().unwrap_or_else(|| "-".to_owned()));
        row
    };
    let upper = words.map(str::to_uppercase);
    let mut header = vec!["CONNECTOR", "TYPE"];
    header.extend(upper.iter().map(String::as_str));
    header.push("HOOK");
    output::table(&header, sheets.iter().map(row).collect())
}
