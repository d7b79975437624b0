//! Delimited files are what others read: Python's csv module finds in them the values that were written, and iconv the
//! text of an EBCDIC file.

use std::io::Write as _;
use std::process::{Command, Stdio};

use hms_sync::event::{Record, Value};
use hms_sync::format::csv::{Column, Dialect, Eol, Escape, Header, Kind, Misfit, Quote, Unmappable, Writer};

/// Prints each field of each line in hexadecimal UTF-8, a line for each record.
const READ: &str = r#"
import csv, io, sys
delimiter, quote, escape, encoding = sys.argv[1:5]
text = sys.stdin.buffer.read().decode(encoding)
form = dict(delimiter=delimiter, quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE, strict=True)
if quote:
    form.update(quotechar=quote, doublequote=escape == 'double', escapechar='\\' if escape == 'backslash' else None)
for row in csv.reader(io.StringIO(text, newline=''), **form):
    print(','.join('x' + field.encode('utf-8').hex() for field in row))
"#;

/// What is hard to write and to read back.
const TEXTS: [&str; 24] = [
    "plain",
    "",
    " ",
    " spaces ",
    ",",
    ";",
    "|",
    "\t",
    "a,b;c|d\te",
    "\"",
    "\"\"",
    "a \"quoted\" word",
    "'",
    "it's",
    "\\",
    "ends in \\",
    "\\\"",
    "two\nlines",
    "two\r\nlines",
    "two\rlines",
    "NULL",
    "0123",
    "Pérez",
    "=1+1",
];

/// Runs a program with some bytes as its input.
fn piped(program: &str, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("this test needs {program}: {error}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// The fields that Python's csv module reads.
fn python(file: &[u8], dialect: &Dialect, encoding: &str) -> Vec<Vec<String>> {
    let delimiter = dialect.delimiter.unwrap().to_string();
    let quote = if dialect.quote == Quote::Never { String::new() } else { dialect.quote_char.to_string() };
    let escape = if dialect.escape == Escape::Backslash { "backslash" } else { "double" };
    let printed = piped("python3", &["-c", READ, &delimiter, &quote, escape, encoding], file).unwrap();
    let field = |hex: &str| {
        let digits = hex.strip_prefix('x').unwrap();
        let bytes = (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap());
        String::from_utf8(bytes.collect()).unwrap()
    };
    String::from_utf8(printed).unwrap().lines().map(|line| line.split(',').map(field).collect()).collect()
}

fn columns() -> Vec<Column> {
    vec![Column::new("first", Kind::Any), Column::new("number", Kind::Any), Column::new("second", Kind::Text)]
}

/// Each of the texts in a row of its own, beside another one and a number of 18 digits.
fn rows() -> Vec<[String; 3]> {
    let number = |nth: usize| (900_000_000_000_000_001 - 2 * i64::try_from(nth).unwrap()).to_string();
    (0..TEXTS.len())
        .map(|nth| [TEXTS[nth].to_owned(), number(nth), TEXTS[(nth + 5) % TEXTS.len()].to_owned()])
        .collect()
}

fn utf8(text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

fn latin1(text: &str, out: &mut Vec<u8>) -> Result<(), Unmappable> {
    text.chars().try_for_each(|char| u8::try_from(char).map(|byte| out.push(byte)).map_err(|_| Unmappable))
}

/// A file of the rows, and the rows that fit.
fn written(
    dialect: &Dialect,
    encode: impl Fn(&str, &mut Vec<u8>) -> Result<(), Unmappable>,
) -> (Vec<u8>, Vec<Vec<String>>, Vec<Misfit>) {
    let columns = columns();
    let mut writer = Writer::new(dialect, &columns, encode).unwrap();
    let (mut out, mut fits, mut misfits) = (Vec::new(), Vec::new(), Vec::new());
    if dialect.header != Header::Off {
        fits.push(columns.iter().map(|column| column.name.clone()).collect());
    }
    writer.start(&[], &mut out).unwrap();
    for [first, number, second] in rows() {
        let record = Record::from_iter([
            ("first", Value::from(first.as_str())),
            ("number", Value::Integer(number.parse().unwrap())),
            ("second", Value::from(second.as_str())),
        ]);
        match writer.row(&record, &mut out, |_, _| ()) {
            Ok(()) => fits.push(vec![first, number, second]),
            Err(misfit) => misfits.push(misfit),
        }
    }
    writer.end(&[], &mut out).unwrap();
    (out, fits, misfits)
}

#[test]
fn python_reads_the_values_that_were_written_in_every_dialect_that_it_knows() {
    let base = Dialect::default;
    let dialects = [
        (base(), "utf-8"),
        (Dialect { quote: Quote::Always, eol: Eol::Lf, ..base() }, "latin-1"),
        (Dialect { quote: Quote::TextOnly, header: Header::Quoted, ..base() }, "latin-1"),
        (Dialect { delimiter: Some(';'), bom: true, null: "NULL".to_owned(), ..base() }, "utf-8-sig"),
        (Dialect { delimiter: Some('\t'), eol: Eol::Cr, quote_char: '\'', ..base() }, "utf-8"),
        (Dialect { delimiter: Some('|'), escape: Escape::Backslash, final_eol: false, ..base() }, "utf-8"),
        (Dialect { delimiter: Some('\u{1f}'), header: Header::Off, ..base() }, "utf-8"),
    ];
    for (dialect, encoding) in dialects {
        let (file, fits, misfits) = written(&dialect, if encoding == "latin-1" { latin1 } else { utf8 });
        assert_eq!(misfits, [], "{dialect:?}");
        assert_eq!(python(&file, &dialect, encoding), fits, "{dialect:?}");
    }
}

#[test]
fn python_reads_what_fits_without_quotes_and_the_rest_is_held() {
    let dialect = Dialect { delimiter: Some('|'), quote: Quote::Never, header: Header::Off, ..Dialect::default() };
    let (file, fits, misfits) = written(&dialect, utf8);
    assert_eq!(python(&file, &dialect, "utf-8"), fits);
    let unfit = |text: &str| text.contains(['|', '\n', '\r']);
    let held = rows().into_iter().filter(|[first, _, second]| unfit(first) || unfit(second)).count();
    assert_eq!((misfits.len(), fits.len()), (held, TEXTS.len() - held));
    assert!(
        held > 0 && misfits.iter().all(|misfit| ["delimiter_in_text", "line_break"].contains(&misfit.code.as_str()))
    );
}

#[test]
fn python_reads_an_ebcdic_file_that_iconv_has_made_text_of() {
    // iconv is the code page in both directions; NL is NEL for it.
    let encode = |text: &str, out: &mut Vec<u8>| {
        let bytes = piped("iconv", &["-f", "UTF-8", "-t", "IBM1047"], text.as_bytes()).map_err(|_| Unmappable)?;
        out.extend(bytes);
        Ok(())
    };
    let dialect = Dialect { eol: Eol::Nl, ..Dialect::default() };
    let (file, fits, misfits) = written(&dialect, encode);
    assert_eq!(misfits, []);
    assert_eq!(file.last(), Some(&0x15));
    let text = piped("iconv", &["-f", "IBM1047", "-t", "UTF-8"], &file).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert_eq!(text.matches('\u{85}').count(), fits.len());
    assert_eq!(python(text.replace('\u{85}', "\n").as_bytes(), &dialect, "utf-8"), fits);
}
