//! Delimited text.

use super::*;
use crate::format::csv::{Column, Dialect, Eol, Header, Kind, Numbers, Point, Quote};

fn column(field: &str, kind: Kind) -> CsvColumn {
    CsvColumn { column: Column::new(field, kind), set: None }
}

fn made(name: &str, set: Set) -> CsvColumn {
    CsvColumn { column: Column::new(name, Kind::Any), set: Some(set) }
}

fn spec(dialect: Dialect, columns: Vec<CsvColumn>) -> CsvFeed {
    CsvFeed {
        dialect,
        page: page("utf8"),
        columns,
        headers: Vec::new(),
        trailers: Vec::new(),
        fields: None,
        sample: stamp(),
    }
}

fn visit(id: i64, name: &str, amount: &str) -> Record {
    record([("id", Value::Integer(id)), ("name", Value::from(name)), ("amount", Value::from(amount))])
}

fn pipe() -> CsvFeed {
    let dialect = Dialect {
        delimiter: Some('|'),
        quote: Quote::Never,
        eol: Eol::Lf,
        header: Header::Off,
        numbers: Numbers { point: Point::Implied(2), ..Numbers::default() },
        ..Dialect::default()
    };
    let columns = vec![
        made("type", pattern("D")),
        made("line", Set::Ordinal),
        column("id", Kind::Text),
        column("name", Kind::Text),
        column("amount", Kind::Number(Numbers { point: Point::Implied(2), ..Numbers::default() })),
        made("op", Set::Action(vec![("add".to_owned(), Value::from("A"))])),
        made("date", pattern("{bus_date:%m/%d/%Y}")),
    ];
    CsvFeed {
        headers: vec!["H|{office}|{seq:06}|{file}".to_owned()],
        trailers: vec!["T|{count():05}|{sum(amount):010}|{count(*)}".to_owned(), "hash(id, 4)".to_owned()],
        ..spec(dialect, columns)
    }
}

#[test]
fn a_plain_file_is_that_of_rfc_4180() {
    let columns = vec![column("id", Kind::Any), column("name", Kind::Any), column("amount", Kind::Any)];
    let feed = Feed::csv(spec(Dialect::default(), columns)).unwrap();
    let rows = [visit(1, "a \"b\", c", "1.50"), visit(2, "", "2")];
    let (bytes, finished) = file(&feed, &rows).unwrap();
    assert_eq!(
        String::from_utf8(bytes.clone()).unwrap(),
        "id,name,amount\r\n1,\"a \"\"b\"\", c\",1.50\r\n2,\"\",2\r\n"
    );
    assert_eq!((finished.details, finished.records), (2, 2));
    assert_eq!(feed.read(&bytes).unwrap().details[1].get("name"), Some(&Value::from("")));
}

#[test]
fn a_pipe_file_has_its_lines_and_their_totals() {
    let feed = Feed::csv(pipe()).unwrap();
    assert!(!feed.sums_first());
    let (bytes, finished) = file(&feed, &[visit(70_001, "Ann", "12.5"), visit(60_002, "Bo", "-0.75")]).unwrap();
    assert_eq!(
        String::from_utf8(bytes.clone()).unwrap(),
        "H|OF042|000017|F.DAT\nD|1|70001|Ann|1250|A|03/05/2026\nD|2|60002|Bo|-75|A|03/05/2026\nT|00002|0000001175|5\n3\n"
    );
    assert_eq!((finished.details, finished.records), (2, 5));
    let parsed = feed.read(&bytes).unwrap();
    assert_eq!(parsed.header[0].get("seq"), Some(&Value::from("000017")));
    assert_eq!(parsed.trailer[0].get("count()"), Some(&Value::from("00002")));
    assert_eq!(parsed.details[0].get("amount"), Some(&Value::Real(12.5)));

    let said = |from: &str, to: &str| {
        let other = String::from_utf8(bytes.clone()).unwrap().replace(from, to);
        feed.read(other.as_bytes()).unwrap_err().to_string()
    };
    assert_eq!(
        said("1175", "1176"),
        "decoding: trailer line 1: `sum(amount)` is not what the records come to: wrong_total"
    );
    assert_eq!(said("D|2|60002|Bo|-75|A|03/05/2026\n", "").split(": ").last(), Some("wrong_total"));
    assert!(said("H|", "X|").contains("header line 1"));
}

#[test]
fn a_row_that_does_not_fit_is_held() {
    let feed = Feed::csv(pipe()).unwrap();
    let held = |record: &Record, action| {
        feed.gauge().unwrap().row(&Row { record, action, ordinal: 1 }).err().map(|reason| reason.to_string())
    };
    assert_eq!(held(&visit(1, "A", "1"), "add"), None);
    assert_eq!(held(&visit(1, "A|B", "1"), "add").as_deref(), Some("encoding: name: delimiter_in_text"));
    assert_eq!(held(&visit(1, "A", "1"), "change").as_deref(), Some("encoding: op: unknown_action"));
    assert_eq!(held(&record([("id", Value::Integer(1))]), "add").as_deref(), Some("encoding: name: no_such_field"));
    let word = record([("id", Value::from("x1")), ("name", Value::Null), ("amount", Value::Null)]);
    let not = "encoding: field `id` is in a total and is not a number: not-a-number";
    assert_eq!(held(&word, "add").as_deref(), Some(not));
}

#[test]
fn what_is_wrong_with_the_configuration_is_said_at_once() {
    let mut wrong = pipe();
    wrong.fields = Some(vec!["id".to_owned(), "nam".to_owned(), "amount".to_owned()]);
    wrong.headers.push("H|{sq}".to_owned());
    wrong.columns.push(made("n", pattern("{count()}")));
    let said = Feed::csv(wrong).unwrap_err().join("\n");
    for part in [
        "column `name`: there is no field `name`: did you mean `nam`?",
        "header line 2: the placeholder at character 3: `sq` is not known",
        "column `n`: it shows a total",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    let mut wrong = pipe();
    wrong.trailers.push("{bytes()}|{sum(amuont)}".to_owned());
    let said = Feed::csv(wrong).unwrap_err().join("\n");
    assert!(said.contains("there is no column of `amuont`: did you mean `amount`?"), "{said}");
    assert!(said.contains("`bytes()` is not known in a line of the file"), "{said}");
}

#[test]
fn a_header_line_with_totals_is_written_after_the_rows_were_gone_through() {
    let mut early = pipe();
    early.headers = vec!["H|{count()}|{sum(amount):v0}".to_owned()];
    let feed = Feed::csv(early).unwrap();
    assert!(feed.sums_first());
    let (bytes, _) = file(&feed, &[visit(1, "A", "1.00"), visit(2, "B", "2.00")]).unwrap();
    assert!(bytes.starts_with(b"H|2|300\n"));
    feed.read(&bytes).unwrap();
}
