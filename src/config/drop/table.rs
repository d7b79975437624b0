//! `fields:` of a record that is described without a copybook.

use crate::config::found::Found;
use crate::config::tree::Value;
use crate::format::layout::{Field, Form, Number, Occurs, Shape, Sign};

/// What a field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Type {
    Text,
    Zoned,
    Packed,
    Binary,
    Native,
}

/// Reads a list of fields.
pub(super) fn table(found: &Found<'_>) -> Option<Vec<Field>> {
    let items = found.items()?;
    if items.is_empty() {
        found.error("names no field");
        return None;
    }
    let read: Vec<Field> = items.iter().filter_map(field).collect();
    (read.len() == items.len()).then_some(read)
}

/// One field: `{name, type, length}`, `{name, type, digits, places, signed}`, or a group `{name, fields}`.
fn field(found: &Found<'_>) -> Option<Field> {
    const TYPES: [(&str, Type); 5] = [
        ("text", Type::Text),
        ("zoned", Type::Zoned),
        ("packed", Type::Packed),
        ("binary", Type::Binary),
        ("native", Type::Native),
    ];
    const SIGNS: [(&str, Sign); 4] = [
        ("trailing", Sign { leading: false, separate: false }),
        ("leading", Sign { leading: true, separate: false }),
        ("trailing_separate", Sign { leading: false, separate: true }),
        ("leading_separate", Sign { leading: true, separate: true }),
    ];
    let fields = found.fields()?;
    let name = fields.take("name").map_or(Some(None), |found| found.word().map(Some));
    let occurs = fields.take("occurs").map_or(Some(None), |found| occurs(&found).map(Some));
    if let Some(below) = fields.take("fields") {
        let group = table(&below);
        fields.done();
        return Some(Field { name: name?, shape: Shape::Group(group?), occurs: occurs? });
    }
    let kind = fields.take("type").map_or(Some(Type::Text), |found| found.choice("type of field", &TYPES));
    let count = |key, most| match key {
        Some(found) => Found::integer(&found, 1..=most),
        None => None,
    };
    let shape = match kind? {
        Type::Text => {
            count(fields.need("length"), 32_760).and_then(|length| usize::try_from(length).ok()).map(Shape::Text)
        }
        kind => {
            let digits = count(fields.need("digits"), 31).and_then(|digits| u8::try_from(digits).ok());
            let places = fields
                .take("places")
                .map_or(Some(0), |found| found.integer(-18..=31).and_then(|places| i8::try_from(places).ok()));
            let signed = fields.take("signed").map_or(Some(false), |found| found.flag());
            let place = fields.take("sign");
            let sign = place.as_ref().map_or(Some(Sign::default()), |found| found.choice("place of a sign", &SIGNS));
            let blank = fields.take("blankWhenZero").map_or(Some(false), |found| found.flag());
            let (digits, scale, sign, blank) = (digits?, places?, sign?, blank?);
            // A place of the sign says that there is one.
            let signed = signed? || place.is_some();
            if let Some(place) = place.filter(|_| kind != Type::Zoned) {
                place.error_hint("is for zoned numbers", "others have their sign in a place of their own");
            }
            let form = match kind {
                Type::Packed => Form::Packed,
                Type::Binary => Form::Binary,
                Type::Native => Form::Native,
                Type::Zoned | Type::Text => Form::Zoned(sign),
            };
            Some(Shape::Number(Number { digits, scale, signed, form, blank_when_zero: blank }))
        }
    };
    fields.done();
    Some(Field { name: name?, shape: shape?, occurs: occurs? })
}

/// `occurs: 3`, or `{min, max, depending}`.
fn occurs(found: &Found<'_>) -> Option<Occurs> {
    let size = |found: &Found<'_>, least| found.integer(least..=32_760).and_then(|times| usize::try_from(times).ok());
    if matches!(found.node.value, Value::Integer(_)) {
        let times = size(found, 1)?;
        return Some(Occurs { min: times, max: times, depending: None });
    }
    let fields = found.fields()?;
    let max = fields.need("max").and_then(|found| size(&found, 1));
    let min = fields.take("min").map_or(Some(0), |found| size(&found, 0));
    let depending = fields.need("depending").and_then(|found| found.word());
    fields.done();
    Some(Occurs { min: min?, max: max?, depending: Some(depending?.to_uppercase().into()) })
}
