//! `init`, `scaffold`, `completions`: what a newcomer types first.

use crate::support::desk::Desk;

const SCHEMA: &str = "
    CREATE TABLE appointments(id INTEGER PRIMARY KEY, start TEXT);
    CREATE TABLE patients(mrn TEXT NOT NULL, dob TEXT NOT NULL, name TEXT, PRIMARY KEY(mrn, dob));
    CREATE TABLE notes(text TEXT);
    CREATE VIEW today AS SELECT 1";

#[test]
fn after_init_check_passes_and_nothing_can_be_delivered() {
    let desk = Desk::new(SCHEMA);
    let said = desk.ends(0, &["init", "--database", "office.db"]);
    assert!(said.out.contains("config/sync.yaml") && said.out.contains("appointments, patients"), "{said:?}");
    let written = std::fs::read_to_string(desk.path("config/sync.yaml")).unwrap();
    assert!(written.contains("  appointments: {}\n") && written.contains("  patients: {}\n"), "{written}");
    assert!(written.contains("# notes cannot be captured: it has no primary key"), "{written}");
    assert!(written.contains("# today cannot be captured: it is a view"), "{written}");
    let said = desk.ends(0, &["check"]);
    assert!(said.out.contains("warning: has no connector yet") && said.out.ends_with("\nok\n"), "{said:?}");
    let said = desk.ends(78, &["run", "--once"]);
    assert!(said.err.contains("no connector"), "{said:?}");
    // The example is fit to be used as it is, once it is given its name.
    std::fs::rename(desk.path("config/connectors/example.yaml.off"), desk.path("config/connectors/example.yaml"))
        .unwrap();
    desk.ends(0, &["check"]);
}

#[test]
fn init_never_overwrites_a_file_and_names_it() {
    let desk = Desk::new(SCHEMA);
    for (config, file) in [("a", "a/sync.yml"), ("b", "b/sync.json"), ("c.yaml", "c.yaml")] {
        desk.write(file, "mine");
        let said = desk.ends(73, &["-c", config, "init", "-d", "office.db"]);
        assert!(said.err.contains(file) && said.out.is_empty(), "{said:?}");
        assert_eq!(std::fs::read_to_string(desk.path(file)).unwrap(), "mine");
    }
    desk.ends(0, &["-c", "d.yaml", "init"]);
    desk.ends(0, &["-c", "d.yaml", "check"]);
    assert!(!desk.path("connectors").exists());
    desk.ends(2, &["-c", "e.json", "init"]);
}

#[test]
fn init_with_a_file_that_is_no_database_writes_nothing() {
    let desk = Desk::new(SCHEMA);
    desk.write("letter.txt", &"not a database, but long enough to be looked at as one. ".repeat(40));
    let said = desk.ends(78, &["init", "-d", "letter.txt"]);
    assert!(said.err.contains("letter.txt: not an SQLite database"), "{said:?}");
    let said = desk.ends(69, &["init", "-d", "nowhere.db"]);
    assert!(said.err.contains("nowhere.db: no such file"), "{said:?}");
    assert!(!desk.path("config").exists());
}

#[test]
fn init_says_in_json_what_it_wrote_and_what_it_refuses() {
    let desk = Desk::new(SCHEMA);
    let said = desk.ends(0, &["--json", "init", "-d", "office.db"]).json();
    assert_eq!(said["watch"], serde_json::json!(["appointments", "patients"]));
    assert_eq!(said["refused"][0]["table"], "notes");
    assert_eq!(said["written"].as_array().unwrap().len(), 2);
}

#[test]
fn a_scaffolded_connector_passes_check_and_is_never_overwritten() {
    let desk = Desk::new(SCHEMA);
    desk.settings("watch: {patients: {}}");
    let said = desk.ends(0, &["scaffold", "connector", "registry"]);
    assert!(said.out.contains("config/connectors/registry.yaml"), "{said:?}");
    let written = std::fs::read_to_string(desk.path("config/connectors/registry.yaml")).unwrap();
    assert!(written.contains("listen: patients\n") && written.contains("/records/{mrn}/{dob}\n"), "{written}");
    let said = desk.ends(0, &["check"]);
    assert!(!said.out.contains("error") && !said.out.contains("registry.yaml"), "{said:?}");
    let said = desk.ends(73, &["scaffold", "connector", "registry"]);
    assert!(said.err.contains("registry.yaml"), "{said:?}");
    // Also under another extension: the name is taken.
    std::fs::rename(desk.path("config/connectors/registry.yaml"), desk.path("config/connectors/registry.yml")).unwrap();
    desk.ends(73, &["scaffold", "connector", "registry"]);
    assert_eq!(std::fs::read_to_string(desk.path("config/connectors/registry.yml")).unwrap(), written);
    desk.ends(2, &["scaffold", "connector", "../x"]);
    desk.write("one.yaml", "connectors: []\n");
    desk.ends(73, &["-c", "one.yaml", "scaffold", "connector", "x"]);
}

#[test]
fn completions_are_written_for_every_shell() {
    let desk = Desk::new("");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(desk.ends(0, &["completions", shell]).out.contains("scaffold"), "{shell}");
    }
    desk.ends(2, &["completions", "cmd"]);
}

#[test]
fn the_written_path_of_the_database_does_not_step_back() {
    let desk = Desk::new(SCHEMA);
    std::fs::create_dir(desk.path("my-sync")).unwrap();
    desk.ends(0, &["init", "--database", "my-sync/../office.db"]);
    let written = std::fs::read_to_string(desk.path("config/sync.yaml")).unwrap();
    let line = written.lines().find(|line| line.starts_with("database:")).unwrap();
    assert!(line.ends_with("/office.db") && !line.contains(".."), "{line}");
}

#[test]
fn help_names_every_character_of_a_name() {
    let said = Desk::new(SCHEMA).ends(0, &["help", "scaffold", "connector"]);
    assert!(said.out.contains("digits, `-`, `_` and `.` only"), "{said:?}");
}
