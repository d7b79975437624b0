//! How the files of a drop are called and counted, and which stand beside them.

use jiff::tz::TimeZone;

use crate::config::drop::Whole;
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::engine::drop::{Beside, Timing};
use crate::rules::naming::{Pattern, Place, Rerun, Samples, Sequence, Target, lint};

/// Names and numbers.
pub(super) struct Names {
    pub(super) name: Pattern,
    pub(super) rerun: Rerun,
    pub(super) sequence: Sequence,
    pub(super) controls: Vec<Beside>,
}

/// Reads `name`, `name_rules`, `rerun`, `sequence` and `control`; `extension` is what stands behind each name.
pub(super) fn names(fields: &Fields<'_>, whole: &Whole<'_>, timing: Option<&Timing>, extension: &str) -> Option<Names> {
    let place = fields.need("name");
    let name = place.as_ref().and_then(|found| found.parsed(|text| Pattern::parse(text, Place::Name)));
    let rules = fields.take("nameRules");
    let targets: Vec<Target> =
        rules.iter().flat_map(|found| found.one_or_many()).filter_map(|item| item.parsed(Target::parse)).collect();
    let sequence = fields.take("sequence").map_or(Some(Sequence::from(1)), |found| sequence(&found));
    let rerun = fields.take("rerun");
    let rerun = match (&name, &rerun) {
        (_, None) => Some(Rerun::default()),
        (Some(name), Some(found)) => found.parsed(|text| Rerun::parse(text, name)),
        (None, Some(_)) => None,
    };
    // Without the settings the name of this installation is not known.
    if let (Some(place), Some(name), Some(sequence), Some(office)) = (&place, &name, sequence, &whole.scope.office) {
        let samples = Samples {
            office: office.clone(),
            drop: whole.name.to_owned(),
            sequence,
            per_date: timing.map_or(1, |timing| timing.cut_offs.per_date()),
            zone: timing.map_or(TimeZone::UTC, |timing| timing.cut_offs.zone().clone()),
        };
        let extended = Pattern::parse(&format!("{name}{extension}"), Place::Name);
        for wrong in lint(extended.as_ref().unwrap_or(name), None, &targets, &samples) {
            match rules.is_some() {
                true => place.error(wrong),
                false => place.warn(wrong, None),
            }
        }
    }
    let controls = fields.take("control").map_or(Some(Vec::new()), |found| {
        let items = found.one_or_many();
        let controls: Vec<Beside> =
            items.iter().filter_map(|item| beside(item, Place::Control, "{file}.ctl", name.as_ref())).collect();
        (controls.len() == items.len()).then_some(controls)
    });
    Some(Names { name: name?, rerun: rerun?, sequence: sequence?, controls: controls? })
}

/// Reads `{name, content}` of a control or trigger file, which `what` says. Without `content` it is empty.
/// `data` is the name of the data file.
pub(super) fn beside(found: &Found<'_>, what: Place, name: &str, data: Option<&Pattern>) -> Option<Beside> {
    let fields = found.fields()?;
    let parse = |place: Place| move |text: &str| Pattern::parse(text, place);
    let name = match fields.take("name") {
        Some(found) => found.parsed(parse(Place::Beside)),
        None => Pattern::parse(name, Place::Beside).ok(),
    };
    if let (Some(name), Some(data)) = (&name, data) {
        once_each(found, name, data);
    }
    let text = fields.take("content").map_or_else(
        || Pattern::parse("", what).ok(),
        |found| {
            let text = found.text_or_nothing()?;
            parse(what)(text).map_err(|message| found.error(message)).ok()
        },
    );
    fields.done();
    Some(Beside { name: name?, text: text? })
}

/// Warns of a name beside data files that comes twice although theirs do not.
pub(super) fn once_each(found: &Found<'_>, name: &Pattern, data: &Pattern) {
    let samples = Samples {
        office: "OFFICE".to_owned(),
        drop: "DROP".to_owned(),
        sequence: Sequence::from(1),
        per_date: 1,
        zone: TimeZone::UTC,
    };
    if lint(data, None, &[], &samples).is_empty() {
        for wrong in lint(name, Some(data), &[], &samples) {
            found.warn(wrong, Some("use `{file}`, which is the name of the data file"));
        }
    }
}

/// Reads `sequence: {start, wrap}`.
fn sequence(found: &Found<'_>) -> Option<Sequence> {
    let fields = found.fields()?;
    let start = fields.take("start").map_or(Some(1), |found| found.integer(0..=i64::MAX));
    let wrap = fields.take("wrap");
    let text = wrap.as_ref().map_or(Some(None), |found| found.text().map(Some));
    fields.done();
    let start = u64::try_from(start?).ok()?;
    Sequence::parse(start, text?).map_err(|message| wrap.as_ref().unwrap_or(found).error(message)).ok()
}
