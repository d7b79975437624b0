//! Records: rows to fixed records of 200 bytes in EBCDIC, zoned, packed, binary and text, on one core, and back (F1). The floor
//! is a loop that takes each byte that comes out through a table of 256, which a translation cannot do without.

use std::hint::black_box;
use std::time::Instant;

use hms_sync::event::Value as Field;
use hms_sync::format::codepage::named;
use hms_sync::format::copybook::{Format, Reading, read};
use hms_sync::format::fixed::{Options, Record, Unbound};
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, paired, print};

const COPYBOOK: &str = "01 WIC-DETAIL. 05 TYPE PIC X(2). 05 ID PIC 9(10). 05 NAME PIC X(30). 05 STREET PIC X(40).
    05 BALANCE PIC S9(7)V99 COMP-3. 05 PAID PIC S9(9)V99 COMP-3. 05 FEE PIC S9(7)V99. 05 CHANGE PIC S9(5). 05 DAY PIC 9(8).
    05 JULIAN PIC 9(7) COMP-3. 05 SERIAL PIC S9(9) COMP. 05 PLACE PIC X(20). 05 CLERK PIC X(10). 05 PHONE PIC 9(12).
    05 TOTAL PIC S9(13)V99 COMP-3. 05 FILLER PIC X(27).";

/// Rows of one pass: 200 of them are a million.
const ROWS: i64 = 5000;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 1000 } else { 200 });
    let layout = read("bench.cpy", COPYBOOK, &Reading { format: Format::Free, ..Reading::default() }).unwrap();
    let options = Options { unbound: Unbound::Slot, ..Options::new(named("cp037").unwrap()) };
    let record = Record::compile(&layout.records[0], &options).unwrap();
    let rows: Vec<Vec<Field>> = (0..ROWS).map(row).collect();
    let mut out = Vec::new();
    let table: [u8; 256] = std::array::from_fn(|at| black_box(at as u8).rotate_left(3) ^ 0x5a);
    let mut copied = Vec::new();
    let (mut encode, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        out.clear();
        let started = Instant::now();
        for row in &rows {
            record.encode(row, &mut out).unwrap();
        }
        encode.push(rate(black_box(&out), started));
        copied.clear();
        copied.reserve(out.len());
        let started = Instant::now();
        for bytes in out.chunks(record.longest()) {
            copied.extend(black_box(bytes).iter().map(|byte| table[usize::from(*byte)]));
        }
        floor.push(rate(black_box(&copied), started));
    }
    let decode: Vec<f64> = (0..rounds.div_ceil(4))
        .map(|_| {
            let started = Instant::now();
            for bytes in out.chunks(record.longest()) {
                black_box(record.decode(bytes).unwrap());
            }
            rate(&out, started)
        })
        .collect();
    let ratio = paired(&encode, &floor);
    let figures = [("encode", &encode), ("decode", &decode), ("floor: each byte through a table", &floor)];
    let mut shown: Vec<_> =
        figures.iter().map(|(name, rates)| vec![(*name).to_owned(), format!("{:.0} MB/s", median(rates))]).collect();
    shown.push(vec!["encode / floor, median of the rounds".to_owned(), format!("{ratio:.2}")]);
    let records = ROWS * rounds as i64;
    let title = format!("{records} records of {} bytes (F1: encode at least 250 MB/s)", record.longest());
    print(&title, &["", ""], &shown);
    json!({
        "records": records, "bytes": record.longest(), "encode MB/s": median(&encode), "decode MB/s": median(&decode),
        "table MB/s": median(&floor), "of table": ratio,
    })
}

/// Megabytes a second since `started`.
fn rate(bytes: &[u8], started: Instant) -> f64 {
    bytes.len() as f64 / 1e6 / started.elapsed().as_secs_f64()
}

/// A row as SQLite has it: integers, reals, decimals in texts, a null.
fn row(at: i64) -> Vec<Field> {
    let text = |text: String| Field::from(&*text);
    vec![
        Field::from("DT"),
        Field::Integer(1_000_000 + at),
        text(format!("Person Number {at}")),
        text(format!("{at} Some Street, Ápt 4")),
        text(format!("{}.{:02}", at * 7, at % 100)),
        Field::Real(-(at as f64) / 4.0),
        text(format!("-{at}.5")),
        Field::Integer(-at),
        Field::Integer(20_261_120),
        Field::Integer(2_026_324),
        Field::Integer(at * 1000),
        Field::from("MAIN OFFICE"),
        Field::Null,
        Field::Integer(at * 1_000_000),
        Field::Integer(at),
    ]
}
