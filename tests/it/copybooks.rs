//! Copybooks and records against two other witnesses: GnuCOBOL, and an encoder that shares no code with ours.

mod cobol;
mod edited;
mod generate;
mod independent;
mod reading;
mod rows;

use std::collections::BTreeMap;

use fastrand::Rng;
use hms_sync::format::copybook::{Reading, read};
use hms_sync::format::layout::Item;

use cobol::Cobol;
use generate::Copybook;

/// Copybooks that are made; `HMS_COPYBOOKS` sets another number.
const COPYBOOKS: usize = 200;

/// Copybooks in one program, so that compiling does not take minutes.
const TOGETHER: usize = 40;

/// Items that have names, with the tables around each.
fn named(item: &Item, tables: usize, found: &mut Vec<(String, usize, usize, usize)>) {
    let tables = tables + usize::from(item.occurs.is_some());
    if let Some(name) = &item.name {
        found.push((name.to_string(), tables, item.offset, item.length));
    }
    for below in item.items() {
        named(below, tables, found);
    }
}

/// A program that prints offset and length of each item.
fn program(copybooks: &[Copybook], items: &[Vec<(String, usize, usize, usize)>]) -> String {
    let mut text = String::from(
        "       IDENTIFICATION DIVISION.
       PROGRAM-ID. LAYOUTS.
       DATA DIVISION.
       WORKING-STORAGE SECTION.
       01  PTR USAGE POINTER.
       01  PTR-N REDEFINES PTR PIC S9(18) COMP-5.
       01  BASE-N PIC S9(18) COMP-5.
       01  OFF-N PIC 9(9).
       01  LEN-N PIC 9(9).
",
    );
    for copybook in copybooks {
        text.push_str(&copybook.text);
    }
    text.push_str("       PROCEDURE DIVISION.\n");
    for (copybook, items) in copybooks.iter().zip(items) {
        if let Some((count, most)) = &copybook.count {
            text.push_str(&format!("           MOVE {most} TO {count}.\n"));
        }
        text.push_str(&format!(
            "           SET PTR TO ADDRESS OF {}\n           MOVE PTR-N TO BASE-N.\n",
            copybook.record
        ));
        for (name, tables, _, _) in items {
            let first = if *tables > 0 { format!(" ({})", vec!["1"; *tables].join(" ")) } else { String::new() };
            text.push_str(&format!(
                "           SET PTR TO ADDRESS OF {name}{first}
           COMPUTE OFF-N = PTR-N - BASE-N
           MOVE LENGTH OF {name}{first} TO LEN-N
           DISPLAY \"{name} \" OFF-N \" \" LEN-N.
"
            ));
        }
    }
    text.push_str("           STOP RUN.\n");
    text
}

#[test]
fn every_offset_and_length_is_that_of_a_cobol_compiler() {
    let copybooks = std::env::var("HMS_COPYBOOKS").map_or(COPYBOOKS, |number| number.parse().unwrap());
    let mut rng = Rng::with_seed(19_590_528);
    let mut compared = 0;
    for start in (0..copybooks).step_by(TOGETHER) {
        let cobol = Cobol::new();
        let together: Vec<Copybook> =
            (start..copybooks.min(start + TOGETHER)).map(|number| generate::copybook(&mut rng, number)).collect();
        let mut items = Vec::new();
        for copybook in &together {
            let library =
                |name: &str| copybook.copied.as_ref().filter(|(own, _)| own == name).map(|(_, text)| text.clone());
            let reading = Reading { library: &library, ..Reading::default() };
            let layout = read("made.cpy", &copybook.text, &reading).unwrap_or_else(|problems| {
                panic!("{problems}\n{}{:?}", copybook.text, copybook.copied);
            });
            let mut found = Vec::new();
            named(&layout.records[0], 0, &mut found);
            items.push(found);
            if let Some((name, text)) = &copybook.copied {
                cobol.write(&format!("{name}.cpy"), text);
            }
        }
        let printed = cobol.run("layouts", &program(&together, &items), false);
        let theirs: BTreeMap<&str, (usize, usize)> = printed
            .iter()
            .map(|line| {
                let words: Vec<&str> = line.split_whitespace().collect();
                (words[0], (words[1].parse().unwrap(), words[2].parse().unwrap()))
            })
            .collect();
        for (copybook, items) in together.iter().zip(&items) {
            for (name, _, offset, length) in items {
                // GnuCOBOL 3.1 counts a longer redefinition twice in a record whose length depends on a count: there the
                // record ends with its table.
                if let (Some((_, most)), true) = (&copybook.count, *name == copybook.record) {
                    if let Some((start, each)) =
                        items.last().and_then(|(last, ..)| theirs.get(&**last)).filter(|_| copybook.ends)
                    {
                        assert_eq!(start + each * most, *length, "{name} of\n{}", copybook.text);
                    }
                    continue;
                }
                assert_eq!(
                    theirs.get(&**name),
                    Some(&(*offset, *length)),
                    "{name} of\n{}{:?}",
                    copybook.text,
                    copybook.copied
                );
                compared += 1;
            }
        }
    }
    assert!(compared > copybooks * 5, "the copybooks have few items: {compared}");
}
