//! `audit show`.

use std::collections::VecDeque;

use clap::Args;

use super::Where;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output, since};
use crate::clock::{self, Timestamp};
use crate::engine::auditor::Since;
use crate::format::trail::{Line, Sort, lines};
use crate::rules::chain::Row;

/// Lists what was recorded, the newest last
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    place: Where,
    /// Records since then: a time span back from now (1h, 7d) or a time (2026-03-05T18:00:00Z)
    #[arg(long, value_parser = since::parse, value_name = "TIME", default_value = "1d")]
    since: Timestamp,
    /// At this connector only
    #[arg(long, value_name = "NAME")]
    connector: Option<String>,
    /// Of this event only
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// By this user only; `system` for the agent itself
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Acts only, not attempts
    #[arg(long)]
    acts: bool,
    /// At most so many, the newest; 0 = all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

/// Runs `audit show`.
pub fn show(place: &Place, show: &Show) -> Outcome {
    let mut trail = show.place.trail(place)?;
    let mut kept: VecDeque<String> = VecDeque::new();
    let mut table: VecDeque<Vec<String>> = VecDeque::new();
    let (json, limit) = (place.json(), if show.limit == 0 { usize::MAX } else { show.limit });
    trail.each(
        Since::Time(show.since),
        |_, _| true,
        |bytes, hash| {
            let Some(row) = Row::read(bytes).filter(|row| row.at >= show.since) else { return true };
            lines(&row, hash, |line| {
                if !is_meant(show, &line) {
                    return;
                }
                if json {
                    kept.extend(serde_json::to_string(&line).ok());
                } else {
                    table.push_back(cells(&line));
                }
                if kept.len().max(table.len()) > limit {
                    kept.pop_front();
                    table.pop_front();
                }
            });
            true
        },
    )?;
    if json {
        for line in kept {
            if !output::stream(&line)? {
                break;
            }
        }
    } else if table.is_empty() {
        let ago = output::age(clock::now().since(show.since));
        return Err(Failure::new(
            Code::Unavailable,
            format!("nothing of that was recorded in the last {ago}: see --since"),
        ));
    } else {
        output::table(&["ROW", "AT", "WHO", "WHAT", "CONNECTOR", "OF", "DETAIL"], table.into())?;
    }
    Ok(Code::Ok)
}

fn is_meant(show: &Show, line: &Line<'_>) -> bool {
    let is = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_ref().is_none_or(|wanted| found == Some(wanted.as_str()))
    };
    is(&show.connector, line.connector.as_deref())
        && is(&show.event, line.event.as_deref().or(line.subject.as_deref()))
        && is(&show.actor, Some(&line.actor))
        && (!show.acts || line.kind == Sort::Act)
}

fn cells(line: &Line<'_>) -> Vec<String> {
    let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
    let (what, of, detail) = match line.kind {
        Sort::Intent => {
            let number = line.attempt.unwrap_or_default();
            let to = line.origin.as_deref().map(|origin| format!(" to {origin}")).unwrap_or_default();
            let what = format!("{} {}", text(&line.op), text(&line.type_));
            ("attempt".to_owned(), text(&line.event), format!("{}, the {number}.{to}", what.trim()))
        }
        Sort::Outcome => {
            let status = line.status.map(|status| format!("HTTP {status}, ")).unwrap_or_default();
            let class = line.class.as_deref().map(|class| format!("{class}, ")).unwrap_or_default();
            let took = f64::from(line.duration_us.unwrap_or_default()) / 1000.0;
            let bytes = line.bytes_out.unwrap_or_default();
            (text(&line.outcome), text(&line.event), format!("{status}{class}{took:.1} ms, {bytes} bytes out"))
        }
        Sort::Act | Sort::Begin | Sort::End => (text(&line.verb), text(&line.subject), text(&line.reason)),
    };
    vec![line.n.to_string(), line.at.to_string(), line.actor.to_string(), what, text(&line.connector), of, detail]
}
