//! `mapping:` or `map:` of a connector.

use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::config::problem::{Place, Severity};
use crate::config::secrecy;
use crate::event::Value;
use crate::rules::convert::Convert;
use crate::rules::mapping::{Entry, Mapping, Reverse};

/// Reads a mapping: a map of source path to target path, to a section or to a list of those; or a list of sections
/// that name their source. With it comes the place of each entry.
pub(crate) fn mapping(found: &Found<'_>) -> Option<(Mapping, Vec<Place>)> {
    let (places, entries) = entries(found)?;
    match Mapping::compile(entries) {
        Ok(mapping) => Some((mapping, places.iter().map(|found| found.place).collect())),
        Err(errors) => {
            for (at, message) in errors {
                places.get(at).unwrap_or(found).error(message);
            }
            None
        }
    }
}

/// The lines of a mapping, each with its place.
fn entries<'a>(found: &Found<'a>) -> Option<(Vec<Found<'a>>, Vec<Entry>)> {
    let mut lines: Vec<(Found<'a>, Option<Entry>)> = Vec::new();
    if found.is_list() {
        lines.extend(found.items()?.into_iter().map(|item| (item.clone(), entry(&item, None))));
    } else {
        for (source, found) in found.entries()? {
            lines.extend(found.one_or_many().into_iter().map(|item| (item.clone(), entry(&item, Some(source)))));
        }
    }
    if lines.is_empty() {
        found.error_hint("is empty", "leave it out to send the record as it is");
        return None;
    }
    let (places, entries): (Vec<Found<'a>>, Vec<Option<Entry>>) = lines.into_iter().unzip();
    // A line that could not be read would only make the others look wrong.
    Some((places, entries.into_iter().collect::<Option<_>>()?))
}

/// The way back of a mapping that is pulled through. What does not come back is an error at its line.
pub(crate) fn backwards(found: &Found<'_>, mapping: &Mapping, lines: &[Place]) -> Option<Reverse> {
    let lost = match mapping.reverse() {
        Ok(reverse) => return Some(reverse),
        Err(lost) => lost,
    };
    for lost in lost {
        let place = lines.get(lost.entry).copied().unwrap_or(found.node.place);
        let message = format!("`{}` cannot be pulled: it {}", lost.target, lost.why);
        let hint = "write `oneWay: true` with it: it is sent, and what the target has there is not read";
        found.source.note(Severity::Error, place, &found.key, &message, Some(hint.to_owned()));
    }
    None
}

/// One line. `source` is the key it stands under, if it does.
fn entry(found: &Found<'_>, source: Option<&str>) -> Option<Entry> {
    if let Some(source) = source
        && !found.is_section()
    {
        let to = found.text()?.to_owned();
        return Some(Entry { source: source.to_owned(), to: Some(to), ..Entry::default() });
    }
    let fields = found.fields()?;
    let given = fields.take("value");
    let value = given.as_ref().map(Found::constant);
    let expression = fields.take("expression").map(name);
    let each = fields.take("each").map(|found| entries(&found).map(|(_, entries)| entries));
    let source = match source {
        // What stands on the left of an expression only names its line.
        Some(_) if expression.is_some() => Some(String::new()),
        Some(source) => Some(source.to_owned()),
        None if expression.is_some() => fields.take_any(&["from", "source"]).map_or(Some(String::new()), name),
        // A constant needs no source.
        None if value.is_some() => fields.take_any(&["from", "source"]).map_or(Some(String::new()), name),
        None => fields.need_any(&["from", "source"]).and_then(name),
    };
    let to = fields.take("to").map(name);
    if let Some(given) = &given {
        let target = to.as_ref().and_then(Option::as_deref).or(source.as_deref()).unwrap_or_default();
        let last = target.rsplit('.').next().unwrap_or_default();
        secrecy::look(given, last, "use a credential of type apiKey with `body:`");
    }
    if to.is_none() && source.as_deref() == Some("") {
        let what = if value.is_some() { "a constant" } else { "an expression" };
        found.error_hint(format!("is {what} without a place to go"), "say which field it fills with `to:`");
    }
    let convert = fields.take("convert").map_or(Some(Vec::new()), |found| converts(&found));
    let default = constant(&fields, "default");
    let lookup = fields.take("lookup").map(|found| table(&found));
    let one_way = fields.take("oneWay").map_or(Some(false), |found| found.flag());
    fields.done();
    // A key that is there but could not be read makes the line unusable.
    let whole = |part: Option<Option<Value>>| part.map_or(Some(None), |value| value.map(Some));
    Some(Entry {
        expression: expression.map_or(Some(None), |expression| expression.map(Some))?,
        each: each.map_or(Some(None), |each| each.map(Some))?,
        source: source?,
        to: to.map_or(Some(None), |to| to.map(Some))?,
        convert: convert?,
        default: whole(default)?,
        value: whole(value)?,
        lookup: lookup.map_or(Some(None), |table| table.map(Some))?,
        one_way: one_way?,
    })
}

fn name(found: Found<'_>) -> Option<String> {
    found.text().map(str::to_owned)
}

fn constant(fields: &Fields<'_>, key: &'static str) -> Option<Option<Value>> {
    fields.take(key).map(|found| found.constant())
}

/// `convert:`, one step or a list of them.
fn converts(found: &Found<'_>) -> Option<Vec<Convert>> {
    let steps = found.one_or_many();
    let count = steps.len();
    let steps: Vec<Convert> = steps.iter().filter_map(convert).collect();
    (steps.len() == count).then_some(steps)
}

/// One step: a text, or `{from, to, zone}`.
fn convert(found: &Found<'_>) -> Option<Convert> {
    let parsed = if found.is_section() {
        let fields = found.fields()?;
        let from = fields.need("from").and_then(name);
        let to = fields.need("to").and_then(name);
        let zone = fields.text("zone");
        fields.done();
        Convert::parse(&format!("{} -> {}", from?, to?), zone.as_deref())
    } else {
        Convert::parse(found.text()?, None)
    };
    parsed.map_err(|message| found.error(message)).ok()
}

fn table(found: &Found<'_>) -> Option<Vec<(String, Value)>> {
    let entries = found.entries()?;
    if entries.is_empty() {
        found.error("is an empty code table");
        return None;
    }
    entries.into_iter().map(|(code, value)| Some((code.to_owned(), value.constant()?))).collect()
}
