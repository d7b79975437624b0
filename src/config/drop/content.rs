//! What goes into a file: `source`, and what becomes of empty files and of rows that cannot be encoded.

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::engine::drop::{Content, Extract, RowError, WhenEmpty};
use crate::rules::coalesce::Coalesce;

/// `source:`.
#[derive(Default)]
pub(super) struct From {
    pub(super) tables: Option<Vec<String>>,
    pub(super) key: Vec<String>,
    extract: Option<Extract>,
    coalesce: Option<Coalesce>,
}

/// Reads `source: {tables, extract, coalesce, key}`.
pub(super) fn source(fields: &Fields<'_>) -> From {
    const EXTRACT: [(&str, Extract); 2] = [("changes", Extract::Changes), ("snapshot", Extract::Snapshot)];
    let Some(found) = fields.take("source") else {
        return From { extract: Some(Extract::default()), coalesce: Some(Coalesce::default()), ..From::default() };
    };
    let Some(source) = found.fields() else { return From::default() };
    let coalesce = source.take("coalesce");
    let from = From {
        tables: source.texts("tables"),
        key: source.texts("key").unwrap_or_default(),
        extract: source.take("extract").map_or(Some(Extract::default()), |found| found.choice("extract", &EXTRACT)),
        coalesce: match &coalesce {
            Some(found) => found.parsed(Coalesce::parse),
            None => Some(Coalesce::default()),
        },
    };
    if let (Some(found), Some(Extract::Snapshot)) = (coalesce, from.extract) {
        found.warn("has no effect: a snapshot has one line for each record", Some("leave it out"));
    }
    source.done();
    from
}

/// Reads what stands beside `source`. `when_empty` may stand in `format` as well.
pub(super) fn content(fields: &Fields<'_>, form: Option<&Found<'_>>, source: &From) -> Option<Content> {
    const EMPTY: [(&str, WhenEmpty); 3] =
        [("send", WhenEmpty::Send), ("skip", WhenEmpty::Skip), ("send_once_per_day", WhenEmpty::SendOncePerDay)];
    const ERRORS: [(&str, RowError); 2] = [("hold", RowError::Hold), ("fail_file", RowError::FailFile)];
    let inside = form.filter(|form| form.is_section()).and_then(|form| form.fields());
    let also = inside.as_ref().and_then(|form| form.take("whenEmpty"));
    let empty = fields.take("whenEmpty");
    if let (Some(_), Some(also)) = (&empty, &also) {
        also.error_hint("stands beside `when_empty` of the drop", "leave one of the two out");
    }
    let when_empty =
        empty.or(also).map_or(Some(WhenEmpty::default()), |found| found.choice("rule for empty files", &EMPTY));
    let count = |key| match fields.take(key) {
        Some(found) => found.integer(1..=i64::MAX).and_then(|count| u64::try_from(count).ok()).map(Some),
        None => Some(None),
    };
    let on_row_error =
        fields.take("onRowError").map_or(Some(RowError::default()), |found| found.choice("rule for rows", &ERRORS));
    let max_row_errors = match fields.take("maxRowErrors") {
        Some(found) => found.integer(0..=i64::MAX).and_then(|count| u64::try_from(count).ok()).map(Some),
        None => Some(None),
    };
    let max_records = count("maxRecords");
    let max_bytes = match fields.take("maxBytes") {
        Some(found) => found.bytes().map(Some),
        None => Some(None),
    };
    let skipped = fields.take("skippedTakesNumber").map_or(Some(false), |found| found.flag());
    // This reads one key of it; whoever reads the rest says what is unknown.
    if let Some(inside) = inside {
        inside.leave();
    }
    Some(Content {
        extract: source.extract?,
        coalesce: source.coalesce?,
        when_empty: when_empty?,
        skipped_takes_number: skipped?,
        on_row_error: on_row_error?,
        max_row_errors: max_row_errors?,
        max_records: max_records?,
        max_bytes: max_bytes?,
    })
}
