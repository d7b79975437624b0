//! The adapters in the program, by their own fixtures; and an adapter that a person begins.

use std::collections::BTreeMap;

use crate::support::office::Office;

const NAMED: [&str; 14] = [
    "arcgis",
    "cdc_immunization",
    "exec",
    "fhir_immunization",
    "google_calendar",
    "lotus_notes",
    "mllp",
    "s3",
    "salesforce",
    "sap_odata",
    "sharepoint",
    "soap",
    "vista",
    "webdav",
];

#[test]
fn every_preset_does_what_its_fixtures_say_and_has_at_least_eight() {
    let office = Office::visits();
    let ended = office.run(&["--json", "adapter", "test"]);
    let result: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let wrong: Vec<_> = result["cases"].as_array().unwrap().iter().filter(|case| case["ok"] != true).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(ended.code, Some(0));
    let mut cases: BTreeMap<String, usize> = BTreeMap::new();
    for case in result["cases"].as_array().unwrap() {
        *cases.entry(case["of"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    for name in NAMED {
        let n = cases.get(&format!("adapter {name}")).copied().unwrap_or_default();
        assert!(n >= 8, "{name} has {n}");
        let shown = office.run(&["adapter", "show", name]);
        assert!(shown.stdout.contains(&format!("adapter: {name}")), "{name}: {shown:?}");
    }
    // Plain REST has no file to show.
    assert!(cases["adapter rest"] >= 8, "{cases:?}");
    let files = office.run(&["adapter", "test", "sftp"]);
    assert!(files.code == Some(65) && files.stderr.contains("drop preview"), "{files:?}");
    let list = office.run(&["adapter", "list"]).stdout;
    assert!(NAMED.iter().all(|name| list.contains(name)), "{list}");
    let search = office.run(&["adapter", "search", "calendar"]).stdout;
    assert!(search.contains("google_calendar") && search.contains("lotus_notes") && !search.contains("salesforce"));
    let search = office.run(&["adapter", "search", "telex"]);
    assert!(search.code == Some(1) && search.stderr.contains("no adapter has to do with `telex`"), "{search:?}");
}

#[test]
fn a_fixture_that_does_not_hold_says_what_is_and_what_was_expected() {
    let office = Office::visits();
    std::fs::create_dir_all(office.config().join("adapters")).unwrap();
    let file = "adapter: mine\npush: {upsert: {request: {method: PUT, url: \"{base}/{id}\", json: {a: \"{id}\"}}}}\nclassify: [{default: standard}]\n";
    std::fs::write(office.config().join("adapters/mine.yaml"), file).unwrap();
    let cases = "adapter: mine\ncases:\n  - name: one\n    record: {id: 1}\n    exchanges: [{request: {method: PUT, url: https://target.example/2, json: {a: 2}}, answer: {status: 500}}]\n    outcome: success\n";
    std::fs::write(office.config().join("adapters/mine.fixtures.yaml"), cases).unwrap();
    let ended = office.run(&["adapter", "test", "mine"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for said in [
        "https://target.example/2, it is PUT https://target.example/1",
        "expected {\"a\":2}, it is {\"a\":1}",
        "expected success, it is retry",
    ] {
        assert!(ended.stdout.contains(said), "{said}: {}", ended.stdout);
    }
    assert_eq!(office.run(&["adapter", "test", "mien"]).code, Some(65));
}

#[test]
fn an_adapter_that_is_begun_passes_check_and_its_own_fixtures_as_written() {
    let office = Office::visits();
    let written = office.run(&["scaffold", "adapter", "clinic"]);
    assert_eq!(written.code, Some(0), "{written:?}");
    let file = office.config().join("adapters/clinic.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!((30..=60).contains(&text.lines().count()), "{}", text.lines().count());
    assert!(text.matches("TODO").count() >= 2, "{text}");
    let tested = office.run(&["adapter", "test", "clinic"]);
    assert!(tested.code == Some(0) && tested.stdout.contains("ok      adapter clinic"), "{tested:?}");
    let checked = office.run(&["check", file.to_str().unwrap()]);
    assert_eq!(checked.code, Some(0), "{checked:?}");
    assert_eq!(office.run(&["scaffold", "adapter", "clinic"]).code, Some(73), "never overwritten");
}

#[test]
fn fixtures_of_a_connector_go_through_its_own_mapping() {
    let office = Office::visits();
    office.connector("legacy", "listen: visits\ntarget: {url: \"https://x.example/v/{id}\", method: PUT}\nmapping: {id: id, minutes: {to: seconds, convert: minutes -> seconds}}\n");
    std::fs::create_dir_all(office.config().join("fixtures")).unwrap();
    let cases = "connector: legacy\ncases:\n  - name: minutes become seconds\n    type: visits\n    record: {id: 7, name: Ada, minutes: 20}\n    exchanges: [{request: {method: PUT, url: https://x.example/v/7, body: '{\"id\":7,\"seconds\":1200}'}, answer: {status: 200}}]\n    outcome: success\n";
    std::fs::write(office.config().join("fixtures/legacy.yaml"), cases).unwrap();
    let ended = office.run(&["test"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("ok      connector legacy: minutes become seconds"), "{}", ended.stdout);
}
