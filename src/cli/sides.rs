//! `reconcile --connector` and `simulate CONNECTOR`: both sides of a connector that reads, compared.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::record::key_text;
use crate::cli::{Outcome, order, output};
use crate::config::{Config, build};
use crate::engine::operate::Operation;
use crate::engine::pull::{Becomes, Extent, Forecast, Foreseen, Inlet, PullError, rehearse};
use crate::engine::report::shown;
use crate::rules::governance::Gate;
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::pull::First;
use crate::store::state::{StateError, StateReader};

/// Records that are listed for people, unless they want all.
const SHOWN: usize = 20;

/// How a forecast ends after which a person is asked.
const ASKED: &str = "nothing is written yet";

/// Which sides, and what is done.
#[derive(Debug, clap::Args)]
pub struct Sides {
    /// Compares both sides of a connector that reads: what is only here, only there, different. Writes nothing unless --apply
    /// or --delete-missing is given
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// Only shows what --apply would do; without a word as the rules say
    #[arg(long, requires = "connector", conflicts_with = "delete_missing")]
    dry_run: bool,
    /// Has the agent do it: what is only on one side goes to the other, and where both differ these values count. On a terminal it
    /// shows what that is, and asks
    #[arg(long, value_name = "WHOSE", requires = "connector", value_enum)]
    apply: Option<Whose>,
    /// Does not ask
    #[arg(short, long, requires = "apply")]
    yes: bool,
    /// Agrees that what is missing at the other side is deleted here, however much it is
    #[arg(long, requires = "connector", conflicts_with = "apply")]
    delete_missing: bool,
}

/// Whose values count.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Whose {
    /// The application's
    Local,
    /// The outside system's
    Remote,
    /// As the conflict rules say; what no rule decides waits for a person
    Rules,
}

impl From<Whose> for First {
    fn from(whose: Whose) -> First {
        match whose {
            Whose::Local => First::Local,
            Whose::Remote => First::Remote,
            Whose::Rules => First::Rules,
        }
    }
}

/// Runs `reconcile --connector`. 69 when the other side cannot be read, 1 when a person said no.
pub fn compare(place: &Place, sides: Sides) -> Outcome {
    let config = place.config()?;
    let name = sides.connector.unwrap_or_default();
    let how = sides.apply.map_or(First::Rules, First::from);
    let operation = match sides.apply {
        Some(_) if sides.dry_run => return show(place, &config, &name, Some(how), "nothing was written"),
        Some(_) => Operation::Meet { connector: name.clone(), how },
        None if sides.delete_missing => Operation::DeleteMissing { connector: name.clone() },
        None => return show(place, &config, &name, Some(how), "nothing was written"),
    };
    // What is no connector that reads is refused before anything is noted.
    inlet(&config, &name)?;
    let asks = sides.apply.is_some() && !sides.yes && !place.json() && is_watched();
    if asks {
        let code = show(place, &config, &name, Some(how), ASKED)?;
        if code != Code::Ok {
            return Ok(code);
        }
        if !agrees()? {
            return Err(Failure::new(Code::Failed, "nothing was done"));
        }
    }
    let report = order::order(&config.settings, operation, None)?;
    if let Some(refused) = report.refused.first() {
        return Err(Failure::new(Code::Data, format!("{}: {}", refused.subject, refused.why)));
    }
    let status = match order::sync(config, &name)? {
        None => "started",
        Some(summary) => match summary.left_off {
            None => "done",
            Some(reason) => return Err(Failure::new(Code::Temporary, format!("{name}: {reason}"))),
        },
    };
    output::json_line(&serde_json::json!({ "status": status, "connector": name }))?;
    Ok(Code::Ok)
}

/// Whether a person sits before it: without one the word on the command line has to do.
fn is_watched() -> bool {
    std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
}

/// Asks whether that is to be done.
fn agrees() -> Result<bool, Failure> {
    let cannot = |error: std::io::Error| Failure::new(Code::Failed, format!("the answer cannot be read: {error}"));
    eprint!("do it? [y/N] ");
    std::io::stderr().flush().map_err(cannot)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(cannot)?;
    Ok(["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str()))
}

/// Shows what a pull would change; `how` = of everything, as both sides would meet, not only of what has changed there.
pub fn show(place: &Place, config: &Config, name: &str, how: Option<First>, end: &str) -> Outcome {
    let inlet = inlet(config, name)?;
    let mut state = match StateReader::open(&config.settings.state) {
        Ok(state) => Some(state),
        Err(StateError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut log = find(place, config, &inlet)?;
    let kind = log.kind_of(&inlet.table)?;
    let view = Gate::of_views(config.settings.governance.as_ref());
    let most = if place.json() || place.verbose() { usize::MAX } else { SHOWN };
    let (mut records, mut more) = (Vec::new(), 0_u64);
    let mut tell = |mut foreseen: Foreseen| {
        if records.len() >= most {
            more += 1;
            return;
        }
        foreseen.key = view.veil_record(&kind, &foreseen.key).into_owned();
        records.push(foreseen);
    };
    let extent = how.map_or(Extent::News, Extent::Whole);
    let forecast = rehearse(&inlet, &mut log, state.as_mut(), extent, &mut tell).map_err(failure)?;
    if place.json() {
        output::json(&Shown { forecast: &forecast, records: records.iter().map(Line::of).collect() })?;
    } else {
        records.iter().try_for_each(|record| output::line(&format!("  {}", words(record))))?;
        if more > 0 {
            output::line(&format!("  and {more} more: -v shows all"))?;
        }
        print(name, &inlet, &forecast, end)?;
    }
    Ok(if forecast.left_off.is_some() { Code::Unavailable } else { Code::Ok })
}

/// The forecast with its records, as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'f> {
    #[serde(flatten)]
    forecast: &'f Forecast,
    records: Vec<Line<'f>>,
}

/// A record of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'f> {
    key: Box<RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    here: Option<Becomes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    there: Option<Becomes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bad: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    fields: &'f [Arc<str>],
}

impl Line<'_> {
    fn of(foreseen: &Foreseen) -> Line<'_> {
        Line {
            key: shown(&foreseen.key),
            here: foreseen.here,
            there: foreseen.there,
            held: foreseen.held.as_ref().map(ToString::to_string),
            bad: foreseen.bad.as_ref().map(ToString::to_string),
            fields: &foreseen.fields,
        }
    }
}

/// A record of it, for people.
fn words(foreseen: &Foreseen) -> String {
    let word = |becomes: Becomes| match becomes {
        Becomes::New => "new",
        Becomes::Changed => "changed",
        Becomes::Deleted => "deleted",
    };
    let mut words = Vec::new();
    words.extend(foreseen.here.map(|here| format!("{} here", word(here))));
    words.extend(foreseen.there.map(|there| format!("{} there", word(there))));
    words.extend(foreseen.held.as_ref().map(|held| format!("held for a person: {held}")));
    words.extend(foreseen.bad.as_ref().map(|bad| format!("not readable: {bad}")));
    let fields = match foreseen.fields.as_slice() {
        [] => String::new(),
        fields => format!(" ({})", fields.join(", ")),
    };
    format!("{}: {}{fields}", key_text(&foreseen.key), words.join(", "))
}

fn inlet(config: &Config, name: &str) -> Result<Inlet, Failure> {
    let names: Vec<_> = config.connectors.iter().map(|spec| spec.name.clone()).collect();
    let Some(spec) = config.connectors.iter().find(|spec| *spec.name == *name) else {
        return Err(order::unknown(name, &names));
    };
    let credentials = build::credentials(&config.settings)?;
    build::inlet(spec, &config.settings, &credentials, &config.conflicts)?.ok_or_else(|| {
        let text = format!("`{name}` only sends: `strategy: pull` or `strategy: bidirectional` makes it read");
        Failure::new(Code::Usage, text)
    })
}

fn find(place: &Place, config: &Config, inlet: &Inlet) -> Result<CapturedLog, Failure> {
    let mut why = None;
    for mut log in place.logs(&config.settings, Access::Read)? {
        match log.kind_of(&inlet.table) {
            Ok(_) => return Ok(log),
            Err(error) => why = Some(error),
        }
    }
    Err(why.map_or_else(|| Failure::new(Code::Config, "no database is configured"), Failure::from))
}

fn failure(error: PullError) -> Failure {
    match error {
        PullError::Capture(error) => error.into(),
        PullError::State(error) => error.into(),
        PullError::Ledger(error) => error.into(),
        PullError::Plan => Failure::new(Code::Failed, error.to_string()),
    }
}

fn print(name: &str, inlet: &Inlet, forecast: &Forecast, end: &str) -> Result<(), Failure> {
    let Forecast { read, inserts, updates, deletes, held, missing, bad, same, different, only_there, .. } = forecast;
    let Forecast { sends, sends_new, sends_changed, sends_deleted, .. } = forecast;
    if forecast.first_contact {
        output::line(
            "both sides wait to be compared, and nothing comes in before a person says how they meet: this is what would be done",
        )?;
    }
    if forecast.how.is_some() {
        let here = forecast.only_here.map_or("?".to_owned(), |n| n.to_string());
        output::line(&format!(
            "{}: {same} the same, {different} different, {only_there} only there, {here} only here",
            inlet.table
        ))?;
    }
    let there = match sends {
        0 => String::new(),
        _ => format!(" ({sends_new} new, {sends_changed} changed, {sends_deleted} deleted there)"),
    };
    let how = forecast.how.map(|how| format!("with `{how}` ")).unwrap_or_default();
    output::line(&format!(
        "{read} read; {how}{inserts} rows would be new, {updates} changed, {deletes} deleted, {sends} records sent there{there}, \
         {held} held for a person, {bad} not readable; {end}"
    ))?;
    if *missing > 0 {
        output::line(&format!(
            "{missing} records are missing there, more than are deleted here unasked: they would wait for \
             `hms-sync reconcile --connector {name} --delete-missing`"
        ))?;
    }
    if let Some(why) = &forecast.left_off {
        output::line(&format!("{name} could not be read to its end: {why}"))?;
    } else if forecast.how.is_some() && end != ASKED {
        output::line(&format!(
            "to do it: `hms-sync reconcile --connector {name} --apply local|remote|rules`; with --dry-run before it is done"
        ))?;
    }
    Ok(())
}
