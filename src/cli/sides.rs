//! `reconcile --connector` and `simulate CONNECTOR`: both sides of a connector that reads, compared.

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, order, output};
use crate::config::{Config, build};
use crate::engine::operate::Operation;
use crate::engine::pull::{Forecast, Inlet, PullError, rehearse};
use crate::store::capture::{Access, CapturedLog};
use crate::store::state::pull::First;
use crate::store::state::{StateError, StateReader};

/// Which sides, and what is done.
#[derive(Debug, clap::Args)]
pub struct Sides {
    /// Compares both sides of a connector that reads: what is only here, only there, different. Writes nothing unless --apply
    /// or --delete-missing is given
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// Only shows it; the same as neither --apply nor --delete-missing
    #[arg(long, requires = "connector", conflicts_with_all = ["apply", "delete_missing"])]
    dry_run: bool,
    /// Has the agent do it: what is only on one side goes to the other, and where both differ these values count
    #[arg(long, value_name = "WHOSE", requires = "connector", value_enum)]
    apply: Option<Whose>,
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

/// Runs `reconcile --connector`. 69 when the other side cannot be read.
pub fn compare(place: &Place, sides: Sides) -> Outcome {
    let config = place.config()?;
    let name = sides.connector.unwrap_or_default();
    let operation = match sides.apply {
        Some(whose) => Operation::Meet { connector: name.clone(), how: whose.into() },
        None if sides.delete_missing => Operation::DeleteMissing { connector: name.clone() },
        None => return show(place, &config, &name, true),
    };
    // What is no connector that reads is refused before anything is noted.
    inlet(&config, &name)?;
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

/// Shows what a pull would change; `whole` = of everything, not only of what has changed there.
pub fn show(place: &Place, config: &Config, name: &str, whole: bool) -> Outcome {
    let inlet = inlet(config, name)?;
    let mut state = match StateReader::open(&config.settings.state) {
        Ok(state) => Some(state),
        Err(StateError::Absent(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut log = find(place, config, &inlet)?;
    let forecast = rehearse(&inlet, &mut log, state.as_mut(), whole, None).map_err(failure)?;
    if place.json() {
        output::json(&forecast)?;
    } else {
        print(name, &inlet, &forecast, whole)?;
    }
    Ok(if forecast.left_off.is_some() { Code::Unavailable } else { Code::Ok })
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

fn print(name: &str, inlet: &Inlet, forecast: &Forecast, whole: bool) -> Result<(), Failure> {
    let Forecast {
        read,
        inserts,
        updates,
        deletes,
        sends,
        held,
        bad,
        same,
        different,
        only_there,
        only_here,
        left_off,
    } = forecast;
    if whole {
        let here = only_here.map_or("?".to_owned(), |n| n.to_string());
        output::line(&format!(
            "{}: {same} the same, {different} different, {only_there} only there, {here} only here",
            inlet.table
        ))?;
    }
    output::line(&format!(
        "{read} read; {inserts} rows would be new, {updates} changed, {deletes} deleted, {sends} records sent there, {held} held \
         for a person, {bad} not readable; nothing was written"
    ))?;
    if let Some(why) = left_off {
        output::line(&format!("{name} could not be read to its end: {why}"))?;
    } else if whole {
        output::line(&format!("to do it: `hms-sync reconcile --connector {name} --apply local|remote|rules`"))?;
    }
    Ok(())
}
