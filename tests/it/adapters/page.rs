//! The page about writing an adapter in ten minutes, typed as it stands there.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

#[test]
fn the_page_typed_from_its_top_in_an_empty_folder_ends_with_a_record_that_arrived() {
    let page = include_str!("../../../docs/ADAPTERS.md");
    let steps = page.split("## The file").next().unwrap();
    let blocks: Vec<&str> = steps.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 4, "{steps}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let typed = blocks.concat().replace("8099", &port.to_string());
    let folder = tempfile::tempdir().unwrap();
    let binary = Path::new(env!("CARGO_BIN_EXE_hms-sync")).parent().unwrap().to_str().unwrap();
    let path = format!("{binary}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    // However it ends, what plays the outside system ends with it.
    let script = format!("set -eu\ntrap 'kill ${{MOCK:-}} 2>/dev/null || true' EXIT\n{typed}");
    shell.args(["-c", &script]).current_dir(folder.path()).env("PATH", path).env("HOME", folder.path());
    let output = shell.output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    let calls = std::fs::read_to_string(folder.path().join("calls.txt")).unwrap();
    let arrived: Vec<&str> = calls.lines().skip(1).collect();
    assert_eq!(arrived.len(), 1, "{calls}\n{said}");
    assert!(arrived[0].starts_with(r#"PUT /api/visits/1 {"id":1,"title":"Checkup","changedAt":""#), "{calls}");
    assert!(said.contains("3 passed, 0 failed") && said.contains("delivered 1,") && said.contains("\nok\n"), "{said}");
}
