//! What is wrong with an adapter's file is said at once, with its place.

use super::office;
use crate::support::receiver::Receiver;

#[test]
fn what_is_wrong_with_a_file_is_said_with_its_place_and_a_way_out() {
    let target = Receiver::start();
    for (file, says) in [
        ("adapter: site\npsh: {}\n", "config/adapters/site.yaml:2:1: error: psh: is no known key"),
        ("adapter: site\npush: {}\nclassify: [{default: standard}]\n", "describe at least one of create"),
        (
            "adapter: site\npush: {upsert: {request: {url: \"{base}/{id\"}}}\nclassify: [{default: standard}]\n",
            "is not closed",
        ),
        (
            "adapter: site\npush: {upsert: {request: {url: \"https://{host}/x\"}}}\nclassify: [{default: standard}]\n",
            "does not begin with a host",
        ),
        (
            "adapter: site\npush: {upsert: {request: {url: \"{base}/{id | raw}\"}}}\nclassify: [{default: standard}]\n",
            "into an address as it is",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {a: \"{vars.object}\"}}}}\nclassify: [{default: standard}]\n",
            "there is no variable `object`",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {a: \"{name | uper}\"}}}}\nclassify: [{default: standard}]\n",
            "did you mean `upper`?",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {}, form: {}}}}\nclassify: [{default: standard}]\n",
            "a request has one body",
        ),
        (
            "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{status: 200, is: success}]\n",
            "does not say what all other answers mean",
        ),
        (
            "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{status: 2xx, is: success}, {status: 204, is: reject}, {default: retry}]\n",
            "is never reached: rule 1",
        ),
        (
            "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{default: retry}, {status: 204, is: reject}]\n",
            "the `default` above takes every answer",
        ),
        (
            "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{status: 200, is: sucess}, {default: retry}]\n",
            "did you mean `success`?",
        ),
        (
            "adapter: site\npush: {upsert: {request: {headers: {Authorization: x}}}}\nclassify: [{default: standard}]\n",
            "credentials belong into `credentials:`",
        ),
        (
            "adapter: site\npush:\n  upsert:\n    steps:\n      - {id: a, request: {}}\n      - {id: b, request: {}, on: {retry: goto a}}\nclassify: [{default: standard}]\n",
            "steps would run in a circle",
        ),
        (
            "adapter: site\npush:\n  upsert:\n    steps:\n      - {id: a, request: {}, on: {success: goto c}}\nclassify: [{default: standard}]\n",
            "there is no step `c`",
        ),
        (
            "adapter: site\nvars: {object: }\npush: {upsert: {request: {json: {a: \"{vars.object}\"}}}}\nclassify: [{default: standard}]\n",
            "the adapter needs the variable `object`",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {a: \"{link.etag}\"}}}}\nclassify: [{default: standard}]\n",
            "no step captures `etag`",
        ),
        (
            "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{body: \"(a\", is: success}, {default: retry}]\n",
            "is no pattern",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {a: \"{secret.token}\"}}}}\nclassify: [{default: standard}]\n",
            "`secret` names what a credential puts into the XML",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {a: \"{minutes | convert('minutes -> metres')}\"}}}}\nclassify: [{default: standard}]\n",
            "`minutes` measures time, `metres` length",
        ),
        (
            "adapter: site\npush: {upsert: {request: {json: {a: \"{name | convert('rfc3339 -> hl7', 'Amerika/X')}\"}}}}\nclassify: [{default: standard}]\n",
            "Amerika/X",
        ),
        (
            "adapter: site\npush: {upsert: {request: {}}}\nprobe: {request: {method: GET, url: \"{base}/{id}\"}, expect: [{default: success}]}\nclassify: [{default: standard}]\n",
            "a probe is about no record and has no `id`",
        ),
        ("adapter: [\n", "adapters/site.yaml"),
    ] {
        let office = super::unchecked(&target, file, "");
        let check = office.run(&["check"]);
        assert_eq!(check.code, Some(78), "{file}: {check:?}");
        let said = check.stdout + &check.stderr;
        assert!(said.contains(says), "{file}\nsays: {said}");
    }
}

#[test]
fn an_unknown_adapter_is_told_with_the_nearest_one() {
    let target = Receiver::start();
    let office = super::unchecked(
        &target,
        "adapter: site\npush: {upsert: {request: {}}}\nclassify: [{default: standard}]\n",
        "",
    );
    let connector = office.config().join("connectors/legacy.yaml");
    let text = std::fs::read_to_string(&connector).unwrap().replace("adapter: site", "adapter: sitte");
    std::fs::write(&connector, text).unwrap();
    let check = office.run(&["check"]);
    let said = check.stdout + &check.stderr;
    assert!(check.code == Some(78) && said.contains("there is no adapter `sitte`") && said.contains("site"), "{said}");
}

#[test]
fn simulate_shows_every_call_without_making_one() {
    let target = Receiver::start();
    let adapter = "adapter: site\npush:\n  upsert:\n    steps:\n      - {id: create, request: {url: \"{base}/new\", json: {a: \"{name}\"}}, capture: {number: \"json:/n\"}}\n      - {id: tag, request: {url: \"{base}/{steps.create.number}/tag\"}}\nclassify: [{default: standard}]\n";
    let office = office(&target, adapter, "");
    office.sql("INSERT INTO visits VALUES (1, 'Ada', NULL)");
    let shown = office.run(&["simulate", "--since", "1h"]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("/srv/new") && shown.stdout.contains("{\"a\":\"Ada\"}"), "{}", shown.stdout);
    assert!(shown.stdout.contains("steps.create.number"), "{}", shown.stdout);
    assert!(target.journal().is_empty());
}

#[test]
fn the_documents_name_every_filter_as_the_code_does() {
    use hms_sync::rules::expression::{FILTERS, MORE, ROOTS};
    let document = include_str!("../../../docs/ADAPTERS.md");
    for (name, what) in FILTERS.iter().chain(&MORE) {
        assert!(document.contains(&format!("| `{name}` | {what} |")), "{name}");
    }
    for (name, _) in ROOTS {
        assert!(document.contains(&format!("`{name}")), "{name}");
    }
    for (name, text) in hms_sync::config::adapter::PRESETS {
        let spec = hms_sync::config::adapter::parse(text, name).unwrap();
        assert!(document.contains(&format!("| `{name}` | {} |", spec.about)), "{name}");
    }
    // Each stands in one table, once, and a table has a blank line before what follows.
    assert!(document.contains("| `rest` | ") && !document.contains("|\n#") && !document.contains("also  |"));
    assert_eq!(document.matches("\n| `outcome` | ").count(), 1);
    for (name, _) in hms_sync::rules::transport::Transport::WORDS {
        assert!(document.contains(&format!("| `{name}` |")), "{name}");
    }
}

#[test]
fn what_is_likely_to_be_a_mistake_is_said_too() {
    let target = Receiver::start();
    let whole = "classify: [{default: standard}]\n";
    for (file, says) in [
        ("push: {upsert: {request: {xml: \"<a>{name | raw}</a>\"}}}\n", "puts a value into XML as it is"),
        ("push: {upsert: {request: {hl7: \"PID|{name | raw}\"}}}\n", "puts a value into HL7 as it is"),
        ("push: {upsert: {request: {headers: {X-Api-Key: abc}, json: {}}}}\n", "seems to hold a secret"),
        ("vars: {password: hunter2}\npush: {upsert: {request: {}}}\n", "seems to hold a secret"),
    ] {
        let office = super::unchecked(&target, &format!("adapter: site\n{file}{whole}"), "");
        let check = office.run(&["check"]);
        let said = check.stdout + &check.stderr;
        assert!(check.code == Some(0) && said.contains(says), "{said}");
        assert!(said.contains("adapters/site.yaml:") && !said.contains("hunter2"), "{said}");
    }
    let file =
        format!("adapter: site\npush: {{upsert: {{request: {{xml: \"<a>{{secret.password}}</a>\"}}}}}}\n{whole}");
    let office = super::unchecked(&target, &file, "");
    office.add_settings("credentials: {iis: {type: apiKey, body: pass, key: {env: IIS_KEY}}}");
    let connector = office.config().join("connectors/legacy.yaml");
    let text = std::fs::read_to_string(&connector).unwrap().replace("endpoint: {", "endpoint: {credentialsId: iis, ");
    std::fs::write(&connector, text).unwrap();
    let check = office.run(&["check"]);
    let said = check.stdout + &check.stderr;
    let says =
        "goes into the body as `pass`, and the adapter's place for it is `{secret.password}` (write `body: password`";
    assert!(check.code == Some(78) && said.contains(says), "{said}");
}

#[test]
fn the_documents_name_what_requests_that_read_know() {
    let document = include_str!("../../../docs/ADAPTERS.md");
    for (name, what) in hms_sync::config::adapter::READING_ROOTS {
        assert!(document.contains(&format!("| `{name}` | {what} |")), "{name}");
    }
}

/// At least four cases that read for every system that can be read: what is asked for at first and later, what cannot be
/// read, and what ends a run.
#[test]
fn every_adapter_that_reads_has_fixtures_that_read() {
    use hms_sync::config::{adapter, fixture};
    let mut readers = 0;
    for (name, text) in adapter::PRESETS {
        if adapter::parse(text, name).unwrap().pull.is_none() {
            continue;
        }
        readers += 1;
        let fixtures = fixture::of_preset(name).unwrap().unwrap();
        let cases: Vec<_> = fixtures.cases.iter().filter_map(|case| case.read.as_ref()).collect();
        assert!(cases.len() >= 4, "{name}: {}", cases.len());
        assert!(cases.iter().any(|case| case.bad.is_some_and(|bad| bad > 0)), "{name}: no item that cannot be read");
        assert!(
            cases.iter().any(|case| case.one.is_some()) || ["s3", "arcgis"].contains(name),
            "{name}: no single record"
        );
    }
    assert_eq!(readers, 10);
}

/// A mistake in the adapter's file does not hide those of the connector that uses it.
#[test]
fn an_unknown_credential_is_said_beside_what_is_wrong_with_the_adapters_file() {
    let target = Receiver::start();
    let office = super::unchecked(&target, "adapter: site\npsh: {}\n", "");
    office.add_settings("credentials: {legacy: {type: bearer, token: {env: NOTHING}}}");
    let path = office.config().join("connectors/legacy.yaml");
    let file = std::fs::read_to_string(&path).unwrap().replace("endpoint: {", "endpoint: {credentialsId: legcy, ");
    std::fs::write(&path, file).unwrap();
    let check = office.run(&["check"]);
    let said = check.stdout + &check.stderr;
    assert!(check.code == Some(78) && said.contains("psh: is no known key"), "{said}");
    assert!(said.contains("connectors/legacy.yaml:2:") && said.contains("did you mean `legacy`"), "{said}");
}
