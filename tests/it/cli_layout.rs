//! `layout show`: where the items of a copybook stand.

use crate::support::desk::Desk;

const COPYBOOK: &str = "\
000100* VISITS OF ONE PERSON
       01  WIC-DETAIL.
           05  WD-REC-TYPE       PIC X(02).
           05  WD-APPT-ID        PIC 9(10).
           05  WD-COUNT          PIC 9(02).
           COPY MONEY REPLACING ==:TAG:== BY ==WD==.
           05  WD-VISIT OCCURS 1 TO 3 TIMES DEPENDING ON WD-COUNT.
               10  WD-DATE       PIC 9(8).
               10  WD-JULIAN REDEFINES WD-DATE PIC 9(7) COMP-3.
           05  WD-END            PIC X.
       01  WIC-TRAILER.
           05  WT-COUNT          PIC 9(9).
";

fn desk() -> Desk {
    let desk = Desk::new("");
    desk.write("WIC.cpy", COPYBOOK);
    desk.write("MONEY.CPY", "           05  :TAG:-BALANCE     PIC S9(7)V99 COMP-3.\n");
    desk
}

#[test]
fn the_table_has_every_item_with_its_place_and_the_totals() {
    let said = desk().ends(0, &["layout", "show", "WIC.cpy"]);
    let lines: Vec<Vec<&str>> = said.out.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        lines,
        [
            vec!["LEVEL", "NAME", "TYPE", "OFFSET", "COLUMN", "LENGTH", "OCCURS", "REDEFINES"],
            vec!["01", "WIC-DETAIL", "GROUP", "0", "1", "44"],
            vec!["05", "WD-REC-TYPE", "X(02)", "0", "1", "2"],
            vec!["05", "WD-APPT-ID", "9(10)", "2", "3", "10"],
            vec!["05", "WD-COUNT", "9(02)", "12", "13", "2"],
            vec!["05", "WD-BALANCE", "S9(7)V99", "COMP-3", "14", "15", "5"],
            vec!["05", "WD-VISIT", "GROUP", "19", "20", "8", "1", "to", "3", "by", "WD-COUNT"],
            vec!["10", "WD-DATE", "9(8)", "19", "20", "8"],
            vec!["10", "WD-JULIAN", "9(7)", "COMP-3", "19", "20", "4", "WD-DATE"],
            vec!["05", "WD-END", "X", "<=43", "<=44", "1"],
            vec!["01", "WIC-TRAILER", "GROUP", "0", "1", "9"],
            vec!["05", "WT-COUNT", "9(9)", "0", "1", "9"],
            vec![],
            vec!["WIC-DETAIL:", "28", "to", "44", "bytes"],
            vec!["WIC-TRAILER:", "9", "bytes"],
        ]
    );
}

#[test]
fn scripts_get_the_same_as_one_document() {
    let said = desk().ends(0, &["--json", "layout", "show", "WIC.cpy", "--record", "wic-detail"]).json();
    let [record] = &said["records"].as_array().unwrap()[..] else { panic!("one record is expected") };
    assert_eq!((record["length"].as_u64(), record["shortest"].as_u64()), (Some(44), Some(28)));
    let visit = &record["items"].as_array().unwrap()[5];
    assert_eq!(visit["name"], "WD-VISIT");
    assert_eq!(visit["occurs"], serde_json::json!({"min": 1, "max": 3, "depending": "WD-COUNT"}));
    assert_eq!(
        (visit["offset"].as_u64(), visit["column"].as_u64(), visit["line"].as_u64()),
        (Some(19), Some(20), Some(7))
    );
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let desk = desk();
    desk.write("BAD.cpy", "       01  R.\n           05  A PIC S9(4) COMP-1.\n           05  B PIC N(3).\n");
    let said = desk.ends(65, &["layout", "show", "BAD.cpy"]);
    assert!(
        said.err.contains("BAD.cpy:2: A: USAGE COMP-1") && said.err.contains("BAD.cpy:3: B: PICTURE N"),
        "{said:?}"
    );
    let said = desk.ends(69, &["layout", "show", "NONE.cpy"]);
    assert!(said.err.contains("NONE.cpy cannot be read"), "{said:?}");
    let said = desk.ends(2, &["layout", "show", "WIC.cpy", "--record", "WIC-DETALE"]);
    assert!(said.err.contains("did you mean `WIC-DETAIL`?"), "{said:?}");
    // Copied from another folder only when that is named, and never from outside of it.
    desk.write("lib/PART", "       05 P PIC X.\n");
    desk.write("MAIN.cpy", "       01 R. COPY PART.\n");
    desk.write("OUT.cpy", "       01 R. COPY '../lib/PART'.\n");
    assert!(desk.ends(65, &["layout", "show", "MAIN.cpy"]).err.contains("COPY PART: there is no such copybook"));
    desk.ends(0, &["layout", "show", "MAIN.cpy", "--copy-dir", "lib"]);
    desk.ends(65, &["layout", "show", "OUT.cpy", "--copy-dir", "lib"]);
}

#[test]
fn the_record_length_is_checked_with_its_arithmetic() {
    let desk = desk();
    let show = |more: &[&str], code| {
        let line = [&["layout", "show", "WIC.cpy", "--record"][..], more].concat();
        desk.ends(code, &line).err
    };
    show(&["WIC-TRAILER", "--recfm", "FB", "--lrecl", "9"], 0);
    let said = show(&["WIC-TRAILER", "--recfm", "FB", "--lrecl", "10"], 78);
    assert!(said.contains("LRECL is 10, but WIC-TRAILER has 9 bytes, 1 too few: WT-COUNT 9 = 9"), "{said}");
    show(&["WIC-DETAIL", "--recfm", "vb", "--lrecl", "48", "--blksize", "52"], 0);
    let said = show(&["WIC-DETAIL", "--recfm", "VB", "--lrecl", "47"], 78);
    let sum = "WD-REC-TYPE 2 + WD-APPT-ID 10 + WD-COUNT 2 + WD-BALANCE 5 + WD-VISIT (3 x 8) 24 + WD-END 1 = 44";
    assert!(said.contains(&format!("44 bytes and 4 of its descriptor = 48: {sum}")), "{said}");
    assert!(show(&["WIC-DETAIL", "--recfm", "FB", "--lrecl", "44"], 78).contains("28 to 44 bytes"));
}

#[test]
fn words_are_replaced_and_free_format_is_read_when_asked_for() {
    let desk = Desk::new("");
    desk.write("F.cpy", "01 :TAG:-REC.\n05 :TAG:-LONG PIC S9(31) COMP-3. *> thirty-one\n");
    let said = desk.ends(0, &["layout", "show", "F.cpy", "--free", "--extended", "--replacing", "==:TAG:== = ==X=="]);
    assert!(said.out.contains("X-REC: 16 bytes"), "{said:?}");
    let said = desk.ends(65, &["layout", "show", "F.cpy"]);
    assert!(said.err.contains("is the file in free format?"), "{said:?}");
}

/// A file that the system answers with an input/output error, as a failing disk does.
const FAILING: &str = "/proc/self/mem";

#[test]
fn a_disk_that_fails_is_no_mistake_in_a_copybook() {
    let desk = desk();
    std::fs::create_dir(desk.path("FOLDER")).unwrap();
    let said = desk.ends(65, &["layout", "show", "FOLDER"]);
    assert!(said.err.contains("FOLDER cannot be read: it is a folder"), "{said:?}");
    let said = desk.ends(65, &["layout", "show", "/dev/zero"]);
    assert!(said.err.contains("more than 16777216 bytes are no copybook"), "{said:?}");
    let said = desk.ends(74, &["layout", "show", FAILING]);
    assert!(said.err.contains("/proc/self/mem cannot be read: Input/output error"), "{said:?}");
    // One that is copied is not missing when it is there and cannot be read.
    desk.write("MAIN.cpy", "       01 R. COPY PART.\n");
    std::os::unix::fs::symlink(FAILING, desk.path("PART.cpy")).unwrap();
    let said = desk.ends(74, &["layout", "show", "MAIN.cpy"]);
    assert!(said.err.contains("PART.cpy cannot be read: Input/output error"), "{said:?}");
}

#[test]
fn a_disk_that_fails_is_no_mistake_in_a_configuration() {
    let desk = desk();
    desk.settings("");
    let drop = |copybook: &str| {
        let text = format!(
            "adapter: directory\nlisten: visits\ndrop:\n  schedule: {{cut_off: '18:00', zone: UTC}}\n  format: {{copybook: \
             {copybook}, codepage: cp037, detail: {{record: R}}}}\n  name: 'V{{seq:06}}'\n  deliver: {{directory: /tmp}}\n"
        );
        desk.connector("nightly", &text);
    };
    // The service manager starts the agent again after 74, never after 78.
    drop(FAILING);
    for verb in ["check", "run"] {
        let said = desk.ends(74, &[verb]);
        let all = format!("{}{}", said.out, said.err);
        assert!(
            all.contains("drop.format.copybook: /proc/self/mem cannot be read: Input/output error"),
            "{verb}: {all}"
        );
    }
    drop("../..");
    let said = desk.ends(78, &["check"]);
    assert!(said.out.contains("cannot be read: it is a folder"), "{said:?}");
    desk.write("config/copybooks/MAIN.cpy", "       01 R. COPY PART.\n");
    std::os::unix::fs::symlink(FAILING, desk.path("config/copybooks/PART")).unwrap();
    drop("MAIN.cpy");
    let said = desk.ends(74, &["check"]);
    assert!(said.out.contains("copybooks/PART cannot be read: Input/output error"), "{said:?}");
    std::fs::remove_file(desk.path("config/sync.yaml")).unwrap();
    std::os::unix::fs::symlink(FAILING, desk.path("config/sync.yaml")).unwrap();
    let said = desk.ends(74, &["run"]);
    assert!(said.err.contains("sync.yaml: error: cannot be read: Input/output error"), "{said:?}");
}
