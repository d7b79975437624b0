//! Random rows, encoded by two encoders.

use fastrand::Rng;
use hms_sync::event::Value;
use hms_sync::format::codepage::named;
use hms_sync::format::copybook::{Format, Reading, read};
use hms_sync::format::fixed::{Options, Overpunch, Record, Unbound};

use super::independent::{Form, Held, How, Page, World};

/// The characters of texts here: all are in 037, 1047, Latin 1.
pub const CHARACTERS: &str =
    " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_abcdefghijklmnopqrstuvwxyz{|}~éÄñ¢";

fn form(rng: &mut Rng) -> Form {
    if rng.u8(..3) == 0 {
        return Form::Text(rng.usize(1..20));
    }
    let digits = rng.usize(1..=18);
    let places = rng.usize(0..=digits.min(4));
    let how = [How::Zoned, How::Leading, How::SeparateLeading, How::SeparateTrailing, How::Packed, How::Binary]
        [rng.usize(..6)];
    let signed = rng.bool() || !matches!(how, How::Zoned | How::Packed | How::Binary);
    Form::Number { digits, places, signed, how }
}

fn held(rng: &mut Rng, form: &Form) -> Held {
    match form {
        Form::Text(length) => {
            let all: Vec<char> = CHARACTERS.chars().collect();
            let text: String = (0..rng.usize(0..=*length)).map(|_| all[rng.usize(..all.len())]).collect();
            Held::Text(text.trim_end().to_owned())
        }
        Form::Number { digits, signed, .. } => {
            let most = 10_u64.pow(*digits as u32);
            let number = match rng.u8(..6) {
                0 => 0,
                1 => most - 1,
                2 => rng.u64(..most.min(100)),
                _ => rng.u64(..most),
            };
            Held::Number(*signed && rng.bool(), number)
        }
    }
}

/// A number as a person writes it, or as SQLite would have it.
fn value(rng: &mut Rng, form: &Form, held: &Held) -> Value {
    let (Form::Number { places, .. }, Held::Number(negative, number)) = (form, held) else {
        let Held::Text(text) = held else { unreachable!() };
        return Value::from(&**text);
    };
    let sign = if *negative { "-" } else { "" };
    let unit = 10_u64.pow(*places as u32);
    if *places == 0 && rng.bool() {
        return Value::Integer(if *negative { -(*number as i64) } else { *number as i64 });
    }
    let (whole, fraction) = (number / unit, number % unit);
    let text = if *places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction:0places$}") };
    match rng.u8(..3) {
        // Fifteen digits are the same in a double.
        0 if *number < 1_000_000_000_000_000 => Value::Real(text.parse().unwrap()),
        1 => Value::Number(text.into()),
        _ => Value::from(&*text),
    }
}

#[test]
fn an_independent_encoder_writes_the_same_bytes() {
    let mut rng = Rng::with_seed(19_640_407);
    for (page, theirs, world) in [
        ("cp037", "IBM037", World::Ebcdic),
        ("cp1047", "IBM1047", World::Ebcdic),
        ("latin1", "ISO-8859-1", World::Image),
        ("windows-1252", "CP1252", World::MicroFocus),
    ] {
        let characters = Page::of(theirs, CHARACTERS);
        for _ in 0..25 {
            let forms: Vec<Form> = (0..rng.usize(1..15)).map(|_| form(&mut rng)).collect();
            let items = forms.iter().enumerate();
            let items: String = items.map(|(at, form)| format!("05 F{at} {}.\n", form.clause())).collect();
            let reading = Reading { format: Format::Free, ..Reading::default() };
            let layout = read("rows.cpy", &format!("01 R.\n{items}"), &reading).unwrap();
            let overpunch = match world {
                World::Ebcdic => None,
                World::Image => Some(Overpunch::Ebcdic),
                World::MicroFocus => Some(Overpunch::MicroFocus),
            };
            let options = Options { overpunch, unbound: Unbound::Slot, ..Options::new(named(page).unwrap()) };
            let record = Record::compile(&layout.records[0], &options).unwrap();
            for _ in 0..20 {
                let held: Vec<Held> = forms.iter().map(|form| held(&mut rng, form)).collect();
                let both = || forms.iter().zip(&held);
                let values: Vec<Value> = both().map(|(form, held)| value(&mut rng, form, held)).collect();
                let mut ours = Vec::new();
                record.encode(&values, &mut ours).unwrap();
                let theirs: Vec<u8> = both().flat_map(|(form, held)| form.bytes(held, world, &characters)).collect();
                assert_eq!(ours, theirs, "{page} {items} {values:?}");
            }
        }
    }
}
