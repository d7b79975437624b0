//! `--since 1h` and `--from SEQ`: places in a log.

use jiff::{Span, SpanRelativeTo};

use crate::cli::failure::{Code, Failure};
use crate::clock::{self, Timestamp};
use crate::store::capture::CapturedLog;

/// A moment from a command line: a time span back from now (`1h`, `30m`, `7d`) or an RFC 3339 time.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(Timestamp::from_jiff(time));
    }
    let span: Span = text
        .parse()
        .map_err(|_| format!("`{text}` is neither a time span (1h, 30m, 7d) nor a time (2026-03-05T18:00:00Z)"))?;
    let back = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|error| format!("`{text}` is no time span that can be counted back: {error}"))?;
    let back = std::time::Duration::try_from(back).map_err(|_| format!("`{text}` lies in the future"))?;
    Ok(clock::now().minus(back))
}

/// The position before the first event at or after a moment; the end of the log when there is none.
///
/// # Errors
/// The log cannot be read; 65 when it no longer reaches back that far.
pub fn position(log: &mut CapturedLog, since: Timestamp) -> Result<i64, Failure> {
    let lowest = log.lowest_seq()?;
    let Some(first) = log.first_since(since)? else { return Ok(log.highest_seq()?) };
    if first == lowest && lowest > 1 {
        let at = log.event_at(lowest)?.map_or(since, |event| event.at);
        return Err(pruned(log.name(), lowest, at));
    }
    Ok(first - 1)
}

/// The error for a place that the log no longer reaches back to.
pub fn pruned(log: &str, lowest: i64, at: Timestamp) -> Failure {
    let text = format!(
        "{log}: the log does not reach back that far: its oldest event is {lowest}, of {at}; use --from {lowest}, or `hms-sync backfill`"
    );
    Failure::new(Code::Data, text)
}
