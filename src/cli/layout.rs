//! `layout show`: where the items of a copybook stand.

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::config::library::{self, Library};
use crate::config::source;
use crate::format::copybook::{self, Format, Reading};
use crate::format::frame::{Framing, Lengths};
use crate::format::layout::{Item, Layout as Records};
use crate::rules::nearest;

/// Shows the layouts of fixed records
#[derive(Debug, clap::Args)]
pub struct Layout {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Show(Show),
}

/// Shows where each item of a COBOL copybook stands
///
/// OFFSET counts bytes from 0, COLUMN from 1; LENGTH is that of one occurrence, with each table in it at its longest.
/// What is no copybook is named with its line, and the command ends with 65; a record that does not fit --lrecl ends it
/// with 78. A file that is not there: 69, that may not be read: 77, that the disk does not give: 74.
#[derive(Debug, clap::Args)]
struct Show {
    /// The copybook
    file: PathBuf,
    /// Only this record (level 01 or 77)
    #[arg(long, value_name = "NAME")]
    record: Option<String>,
    /// Where COPY looks for other copybooks, in this order [default: the folder of the file]
    #[arg(long, value_name = "DIR")]
    copy_dir: Vec<PathBuf>,
    /// Words that become others, as COPY REPLACING has them: `:TAG:=CUST`
    #[arg(long, value_name = "FROM=TO", value_parser = replacing)]
    replacing: Vec<(String, String)>,
    /// Free format: every column counts, instead of 8 to 72
    #[arg(long)]
    free: bool,
    /// Numbers of up to 31 digits, as ARITH(EXTEND) allows, instead of 18
    #[arg(long)]
    extended: bool,
    /// Checks that the records fit into files of this format
    #[arg(long, value_name = "F|FB|V|VB", requires = "lrecl", value_parser = ["F", "FB", "V", "VB"], ignore_case = true)]
    recfm: Option<String>,
    /// Record length of the file; for V and VB with the 4 bytes of the descriptor
    #[arg(long, value_name = "BYTES", requires = "recfm")]
    lrecl: Option<usize>,
    /// Block length of a VB file
    #[arg(long, value_name = "BYTES", requires = "lrecl")]
    blksize: Option<usize>,
}

fn replacing(text: &str) -> Result<(String, String), String> {
    let plain = |part: &str| {
        let part = part.trim();
        part.strip_prefix("==").and_then(|part| part.strip_suffix("==")).unwrap_or(part).to_owned()
    };
    let parts = match text.split_once("==") {
        // ==FROM=TO== has a sign of its own in it.
        Some(("", rest)) => {
            rest.split_once("==").and_then(|(from, to)| Some((from, to.trim_start().strip_prefix('=')?)))
        }
        _ => text.split_once('='),
    };
    match parts {
        Some((from, to)) if !plain(from).is_empty() => Ok((plain(from), plain(to))),
        _ => Err("expected FROM=TO, for example :TAG:=CUST".to_owned()),
    }
}

/// Runs `layout`.
pub fn layout(place: &Place, layout: Layout) -> Outcome {
    match layout.verb {
        Verb::Show(verb) => show(place, &verb),
    }
}

fn show(place: &Place, show: &Show) -> Outcome {
    let name = show.file.display().to_string();
    let text = library::read(&show.file).map_err(|error| unread(&name, &error))?;
    let folders = match (&*show.copy_dir, show.file.parent()) {
        ([], Some(folder)) => vec![folder.to_owned()],
        (given, _) => given.to_vec(),
    };
    let library = Library::new(folders);
    // One that is there and cannot be read is not the same as none.
    let copied: RefCell<Option<Failure>> = RefCell::default();
    let reading = Reading {
        format: if show.free { Format::Free } else { Format::Fixed },
        extended: show.extended,
        replacing: show.replacing.clone(),
        library: &|name| {
            library.find(name).unwrap_or_else(|(file, error)| {
                copied.borrow_mut().get_or_insert_with(|| unread(&file, &error));
                None
            })
        },
    };
    let layout = copybook::read(&name, &text, &reading);
    if let Some(failure) = copied.take() {
        return Err(failure);
    }
    let layout = layout.map_err(|problems| Failure::new(Code::Data, problems.to_string()))?;
    let records = chosen(&layout, show)?;
    if place.json() {
        let documents: Vec<Value> = records.iter().map(|record| document(record)).collect();
        output::json(&json!({ "records": documents }))?;
    } else {
        table(&records)?;
    }
    let wrong = framing(show).map_or(Vec::new(), |framing| {
        framing.check(&records.iter().map(|record| Lengths::of(record)).collect::<Vec<_>>())
    });
    if wrong.is_empty() { Ok(Code::Ok) } else { Err(Failure::new(Code::Config, wrong.join("\n"))) }
}

/// A copybook that cannot be read: the disk's fault (74), a matter of permissions (77), no file at all (65), or none there.
fn unread(name: &str, error: &io::Error) -> Failure {
    let code = match error.kind() {
        _ if source::is_disk(error) => Code::Disk,
        io::ErrorKind::PermissionDenied => Code::Refused,
        io::ErrorKind::IsADirectory | io::ErrorKind::FileTooLarge => Code::Data,
        _ => Code::Unavailable,
    };
    Failure::new(code, format!("{name} cannot be read: {}", source::reason(error)))
}

fn chosen<'l>(layout: &'l Records, show: &Show) -> Result<Vec<&'l Item>, Failure> {
    let Some(name) = &show.record else { return Ok(layout.records.iter().collect()) };
    layout.record(name).map(|record| vec![record]).ok_or_else(|| {
        let known: Vec<&str> = layout.records.iter().map(Item::title).collect();
        let hint = nearest::hint(name, known.iter().copied());
        Failure::new(Code::Usage, format!("there is no record `{name}`{hint}; there are {}", known.join(", ")))
    })
}

fn framing(show: &Show) -> Option<Framing> {
    let (recfm, lrecl) = (show.recfm.as_deref()?, show.lrecl?);
    Some(if recfm.eq_ignore_ascii_case("F") || recfm.eq_ignore_ascii_case("FB") {
        Framing::Fixed { lrecl, terminator: Vec::new() }
    } else {
        Framing::Variable { lrecl, blksize: show.blksize }
    })
}

/// One row for each item, and the totals.
fn table(records: &[&Item]) -> Result<(), Failure> {
    let header = ["LEVEL", "NAME", "TYPE", "OFFSET", "COLUMN", "LENGTH", "OCCURS", "REDEFINES"];
    let mut rows = Vec::new();
    for record in records {
        row(record, 0, &mut rows);
    }
    output::table(&header, rows)?;
    output::line("")?;
    for record in records {
        let (name, longest, shortest) = (record.title(), record.length, record.shortest);
        output::line(&if longest == shortest {
            format!("{name}: {longest} bytes")
        } else {
            format!("{name}: {shortest} to {longest} bytes")
        })?;
    }
    Ok(())
}

fn row(item: &Item, depth: usize, rows: &mut Vec<Vec<String>>) {
    // Behind a table that varies it is the furthest place.
    let most = if item.moves { "<=" } else { "" };
    let occurs = item.occurs.as_ref().map_or(String::new(), |occurs| match &occurs.depending {
        Some(count) => format!("{} to {} by {count}", occurs.min, occurs.max),
        None => occurs.max.to_string(),
    });
    rows.push(vec![
        format!("{:02}", item.level),
        format!("{}{}", "  ".repeat(depth), item.title()),
        item.description(),
        format!("{most}{}", item.offset),
        format!("{most}{}", item.offset + 1),
        item.length.to_string(),
        occurs,
        item.redefines.as_deref().unwrap_or_default().to_owned(),
    ]);
    for below in item.items() {
        row(below, depth + 1, rows);
    }
}

fn document(record: &Item) -> Value {
    let mut items = Vec::new();
    entries(record, &mut items);
    json!({ "name": record.title(), "length": record.length, "shortest": record.shortest, "items": items })
}

fn entries(item: &Item, items: &mut Vec<Value>) {
    let occurs = item
        .occurs
        .as_ref()
        .map(|occurs| json!({ "min": occurs.min, "max": occurs.max, "depending": occurs.depending.as_deref() }));
    items.push(json!({
        "level": item.level,
        "name": item.name.as_deref(),
        "type": item.description(),
        "offset": item.offset,
        "column": item.offset + 1,
        "moves": item.moves,
        "length": item.length,
        "shortest": item.shortest,
        "occurs": occurs,
        "redefines": item.redefines.as_deref(),
        "line": item.line,
    }));
    for below in item.items() {
        entries(below, items);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_written_with_or_without_its_marks() {
        let pair = |from: &str, to: &str| Ok((from.to_owned(), to.to_owned()));
        assert_eq!(replacing(":TAG:=CUST"), pair(":TAG:", "CUST"));
        assert_eq!(replacing("==:TAG:== = ==CUST=="), pair(":TAG:", "CUST"));
        assert_eq!(replacing("==PIC X==="), pair("PIC X", ""));
        assert_eq!(replacing("A="), pair("A", ""));
        assert!(replacing("A").is_err() && replacing("=B").is_err() && replacing("==A==").is_err());
    }
}
