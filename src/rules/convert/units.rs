//! Units of time, length, mass, volume and temperature, with exact factors.

use super::unknown;
use crate::event::Value;
use crate::rules::decimal::Decimal;
use crate::rules::nearest::hint;

/// A unit: `base = value × factor + offset / 100`, in the smallest measure that makes all factors of its kind whole.
struct Unit {
    measures: &'static str,
    names: &'static [&'static str],
    factor: i128,
    offset: i128,
}

const fn unit(measures: &'static str, names: &'static [&'static str], factor: i128) -> Unit {
    Unit { measures, names, factor, offset: 0 }
}

/// The first name of each is its own; the base is a millisecond, a tenth of a millimetre, an eighth of a microgram, a
/// sixteenth of a millionth of a millilitre, and a ninth of a kelvin. Pound and inch are the international ones,
/// gallon and fluid ounce those of the US (NIST Handbook 44, appendix C).
const UNITS: &[Unit] = &[
    unit("time", &["milliseconds", "millisecond", "msec", "ms"], 1),
    unit("time", &["seconds", "second", "sec", "s"], 1_000),
    unit("time", &["minutes", "minute", "min"], 60_000),
    unit("time", &["hours", "hour", "hr", "h"], 3_600_000),
    unit("time", &["days", "day", "d"], 86_400_000),
    unit("time", &["weeks", "week", "wk", "w"], 604_800_000),
    unit("length", &["millimetres", "millimetre", "millimeters", "millimeter", "mm"], 10),
    unit("length", &["centimetres", "centimetre", "centimeters", "centimeter", "cm"], 100),
    unit("length", &["metres", "metre", "meters", "meter", "m"], 10_000),
    unit("length", &["kilometres", "kilometre", "kilometers", "kilometer", "km"], 10_000_000),
    unit("length", &["inches", "inch", "in"], 254),
    unit("length", &["feet", "foot", "ft"], 3_048),
    unit("length", &["yards", "yard", "yd"], 9_144),
    unit("length", &["miles", "mile", "mi"], 16_093_440),
    unit("mass", &["micrograms", "microgram", "mcg", "ug", "µg"], 8),
    unit("mass", &["milligrams", "milligram", "mg"], 8_000),
    unit("mass", &["grams", "gram", "g"], 8_000_000),
    unit("mass", &["kilograms", "kilogram", "kg"], 8_000_000_000),
    unit("mass", &["tonnes", "tonne", "t"], 8_000_000_000_000),
    unit("mass", &["ounces", "ounce", "oz"], 226_796_185),
    unit("mass", &["pounds", "pound", "lbs", "lb"], 3_628_738_960),
    unit("volume", &["millilitres", "millilitre", "milliliters", "milliliter", "ml", "cc"], 16_000_000),
    unit("volume", &["centilitres", "centilitre", "centiliters", "centiliter", "cl"], 160_000_000),
    unit("volume", &["litres", "litre", "liters", "liter", "l"], 16_000_000_000),
    unit("volume", &["fluid_ounces", "fluid_ounce", "floz"], 473_176_473),
    unit("volume", &["gallons", "gallon", "gal"], 60_566_588_544),
    Unit { measures: "temperature", names: &["celsius", "°c"], factor: 9, offset: 245_835 },
    Unit { measures: "temperature", names: &["fahrenheit", "°f"], factor: 5, offset: 229_835 },
    Unit { measures: "temperature", names: &["kelvin"], factor: 9, offset: 0 },
];

/// The denominator of offsets.
const PARTS: i128 = 100;

/// Multiplication from one unit to another.
#[derive(Clone, Debug)]
pub struct Scale {
    up: i128,
    down: i128,
    offset: (i128, i128),
}

/// Whether this is the name of a unit; letter case does not count.
pub fn find(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    UNITS.iter().position(|unit| unit.names.contains(&&*name))
}

/// The full names of all units.
pub fn names() -> impl Iterator<Item = &'static str> {
    UNITS.iter().filter_map(|unit| unit.names.first().copied())
}

/// Each unit with its other names, for the documentation.
pub fn catalog() -> impl Iterator<Item = (String, String)> {
    UNITS.iter().filter_map(|unit| {
        let (name, others) = unit.names.split_first()?;
        let also = if others.is_empty() { String::new() } else { format!("; also {}", others.join(", ")) };
        Some((format!("{name} -> …"), format!("unit of {}{also}", unit.measures)))
    })
}

impl Scale {
    /// From unit to unit of the same kind.
    pub fn parse(from: &str, to: &str) -> Result<Scale, String> {
        let unit = |name: &str, other: &str| {
            let measures = find(other).and_then(|at| UNITS.get(at)).map(|unit| unit.measures);
            find(name).and_then(|at| UNITS.get(at)).ok_or_else(|| match measures {
                Some(measures) => {
                    let known = UNITS.iter().filter(|unit| unit.measures == measures).flat_map(|unit| unit.names);
                    format!("`{name}` is not a unit of {measures}{}", hint(name, known.copied()))
                }
                None => unknown(name),
            })
        };
        let (source, target) = (unit(from, to)?, unit(to, from)?);
        if source.measures != target.measures {
            return Err(format!("`{from}` measures {}, `{to}` {}", source.measures, target.measures));
        }
        // value × factor + offset is the same in both.
        let offset = (source.offset - target.offset, PARTS * target.factor);
        Ok(Scale { up: source.factor, down: target.factor, offset: if offset.0 == 0 { (0, 1) } else { offset } })
    }

    /// From the second unit to the first.
    pub fn inverse(&self) -> Scale {
        // (value − offset) × down / up.
        let (top, bottom) = self.offset;
        let offset = if top == 0 { (0, 1) } else { (-top * self.down, bottom * self.up) };
        Scale { up: self.down, down: self.up, offset }
    }

    /// An integer stays one where the result is exact; a result that has no end in decimals is the nearest double.
    pub fn apply(&self, value: &Value) -> Result<Value, &'static str> {
        const WANTS: &str = "a number, or a text that is one";
        let number = Decimal::of(value).ok_or(WANTS)?;
        if let Some(exact) = number.times(self.up, self.down, self.offset) {
            return Ok(exact.to_value(!matches!(value, Value::Real(_))));
        }
        let rough =
            number.nearest_double() * (self.up as f64 / self.down as f64) + self.offset.0 as f64 / self.offset.1 as f64;
        if rough.is_finite() { Ok(Value::Real(rough)) } else { Err(WANTS) }
    }
}
