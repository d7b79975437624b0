//! Records: rows to fixed records of some 200 bytes in EBCDIC, zoned, packed, binary and text, on one core, and back. The
//! floor is copying the bytes that come out.

use std::hint::black_box;
use std::time::Instant;

use hms_sync::event::Value as Field;
use hms_sync::format::codepage::named;
use hms_sync::format::copybook::{Format, Reading, read};
use hms_sync::format::fixed::{Options, Record, Unbound};
use serde_json::{Value, json};

use crate::Arguments;
use crate::support::figures::{median, print};

const COPYBOOK: &str = "01 WIC-DETAIL. 05 TYPE PIC X(2). 05 ID PIC 9(10). 05 NAME PIC X(30). 05 STREET PIC X(40).
    05 BALANCE PIC S9(7)V99 COMP-3. 05 PAID PIC S9(9)V99 COMP-3. 05 FEE PIC S9(7)V99. 05 CHANGE PIC S9(5). 05 DAY PIC 9(8).
    05 JULIAN PIC 9(7) COMP-3. 05 SERIAL PIC S9(9) COMP. 05 PLACE PIC X(20). 05 CLERK PIC X(10). 05 PHONE PIC 9(12).
    05 TOTAL PIC S9(13)V99 COMP-3. 05 FILLER PIC X(27).";

/// Rows of one pass.
const ROWS: i64 = 5000;

/// Measures and prints.
pub fn run(arguments: &Arguments) -> Value {
    let rounds = arguments.rounds.unwrap_or(if arguments.long { 200 } else { 60 });
    let layout = read("bench.cpy", COPYBOOK, &Reading { format: Format::Free, ..Reading::default() }).unwrap();
    let options = Options { unbound: Unbound::Slot, ..Options::new(named("cp037").unwrap()) };
    let record = Record::compile(&layout.records[0], &options).unwrap();
    let rows: Vec<Vec<Field>> = (0..ROWS).map(row).collect();
    let mut out = Vec::new();
    let encode: Vec<f64> = (0..rounds)
        .map(|_| {
            out.clear();
            let started = Instant::now();
            for row in &rows {
                record.encode(row, &mut out).unwrap();
            }
            rate(black_box(&out), started)
        })
        .collect();
    let decode: Vec<f64> = (0..rounds.div_ceil(4))
        .map(|_| {
            let started = Instant::now();
            for bytes in out.chunks(record.longest()) {
                black_box(record.decode(bytes).unwrap());
            }
            rate(&out, started)
        })
        .collect();
    let mut copied = Vec::with_capacity(out.len());
    let floor: Vec<f64> = (0..rounds)
        .map(|_| {
            copied.clear();
            let started = Instant::now();
            for bytes in out.chunks(record.longest()) {
                copied.extend_from_slice(black_box(bytes));
            }
            rate(black_box(&copied), started)
        })
        .collect();
    let figures = [("encode", &encode), ("decode", &decode), ("floor: copying the bytes", &floor)];
    let table: Vec<_> =
        figures.iter().map(|(name, rates)| vec![(*name).to_owned(), format!("{:.0} MB/s", median(rates))]).collect();
    let title = format!("records of {} bytes: median of {rounds} (target: encode 250 MB/s)", record.longest());
    print(&title, &["", ""], &table);
    json!({ "encode MB/s": median(&encode), "decode MB/s": median(&decode), "copy MB/s": median(&floor) })
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
