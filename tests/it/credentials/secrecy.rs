//! A secret is on the wire and in its file, and nowhere else.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::KeyPair;

use super::assertions::secret;
use crate::support::doorman::{Doorman, answer};
use crate::support::office::{Office, RETRY, THREE, files_beneath, wait};

/// Every kind of credential. `$URL` = the target, `$CA` = its authority.
const KINDS: [(&str, &str); 13] = [
    ("bearer", "{type: bearer, token: {file: s}}"),
    ("basic", "{type: basic, username: u, password: {file: s}}"),
    ("header", "{type: apiKey, header: X-Key, key: {file: s}}"),
    ("query", "{type: apiKey, query: key, key: {file: s}}"),
    ("body", "{type: apiKey, body: key, key: {file: s}}"),
    ("client", "{type: oauth2, tokenUrl: $URL/token, clientId: c, clientSecret: {file: s}, tls: {ca: $CA}}"),
    (
        "refresh",
        "{type: oauth2, grant: refreshToken, tokenUrl: $URL/token, clientId: c, clientAuth: none, refreshToken: {file: s}, tls: {ca: $CA}}",
    ),
    (
        "assertion",
        "{type: oauth2, grant: jwtBearer, tokenUrl: $URL/token, assertion: {issuer: i, key: {file: pem}}, tls: {ca: $CA}}",
    ),
    ("session", "{type: session, login: {url: $URL/login, json: {user: u, password: {file: s}}}, tls: {ca: $CA}}"),
    (
        "csrf",
        "[{type: basic, username: u, password: {file: s}}, {type: csrf, fetch: {url: $URL/csrf}, tls: {ca: $CA}}]",
    ),
    ("soap", "{type: wsSecurity, username: u, password: {file: s}}"),
    (
        "sigv4",
        "{type: sigV4, accessKeyId: AKID, secretAccessKey: {file: s}, sessionToken: {file: s}, region: r, service: s3}",
    ),
    ("webhook", "{type: webhook, secrets: {file: w}}"),
];

const CANARY: &str = "c4nary-Zz9-secret";

fn office(target: &Doorman) -> (Office, Vec<String>) {
    let office = Office::visits();
    let fill =
        |text: &str| text.replace("$URL", &target.url("")).replace("$CA", &target.ca.file().display().to_string());
    let mut credentials = "credentials:\n".to_owned();
    for (name, text) in KINDS {
        credentials += &format!("  {name}: {}\n", fill(text));
        office.connector(
            name,
            &fill(&format!("listen: visits.insert\ntarget: {{url: $URL/visits/{name}, credentialsId: {name}, tls: {{ca: $CA}}}}\nstart: beginning\n{RETRY}\n")),
        );
    }
    office.add_settings(&credentials);
    let pem = KeyPair::generate().unwrap().serialize_pem();
    let webhook = format!("whsec_{}", STANDARD.encode(format!("{CANARY}-and-more-bytes")));
    secret(&office, "s", CANARY);
    secret(&office, "pem", &pem);
    secret(&office, "w", &webhook);
    // What was given for a secret is one too.
    let mut secrets: Vec<String> = [CANARY, "given-t0ken", "g1ven-cookie", "giv3n-csrf"].map(str::to_owned).to_vec();
    secrets.push(pem.lines().nth(1).unwrap().to_owned());
    secrets.extend([webhook, STANDARD.encode(CANARY), STANDARD.encode(format!("u:{CANARY}"))]);
    (office, secrets)
}

/// A target that says back all it was shown, in the worst places.
fn parrot(visits: u16) -> Doorman {
    Doorman::start(move |entry| {
        let echo = format!("{:?} {}", entry.headers, String::from_utf8_lossy(&entry.body)).replace('"', "'");
        let body = format!("{{\"error\":\"{}\"}}", echo.replace('\\', "/"));
        match entry.path.split('?').next().unwrap() {
            "/token" => {
                answer(200, "", "application/json", r#"{"access_token":"given-t0ken","refresh_token":"given-t0ken"}"#)
            }
            "/login" => answer(200, "Set-Cookie: s=g1ven-cookie\r\n", "application/json", &body),
            "/csrf" => {
                answer(200, "X-CSRF-Token: giv3n-csrf\r\nSet-Cookie: s=g1ven-cookie\r\n", "application/json", &body)
            }
            _ => answer(visits, "Location: https://x.test/?given-t0ken\r\n", "application/json", &body),
        }
    })
}

#[track_caller]
fn clean(what: &str, text: &[u8], secrets: &[String]) {
    for secret in secrets {
        let found = text.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!found, "{what} shows {secret}");
    }
}

fn look_through(folder: &Path, secrets: &[String]) {
    for path in files_beneath(folder) {
        // The one file that is there to keep one.
        if !path.ends_with("credentials/refresh.json") {
            clean(&path.display().to_string(), &std::fs::read(&path).unwrap_or_default(), secrets);
        }
    }
}

#[test]
fn no_secret_is_in_a_log_an_error_a_listing_or_a_file_whatever_the_target_does() {
    for status in [201, 400, 401, 403, 500] {
        let target = parrot(status);
        let (office, secrets) = office(&target);
        assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
        office.sql(THREE);
        for arguments in [
            &["check"][..],
            &["check", "--online"],
            &["simulate", "--since", "1h"],
            &["--json", "simulate", "--since", "1h"],
        ] {
            let ended = office.run(arguments);
            clean(&format!("{arguments:?}"), format!("{ended:?}").as_bytes(), &secrets);
            if arguments[0] == "simulate" {
                for masked in [
                    "Bearer ***",
                    "Basic ***",
                    "X-Key: ***",
                    "key=***",
                    "Cookie: ***",
                    "webhook-signature: ***",
                    "x-amz-date: ***",
                ] {
                    assert!(ended.stdout.contains(masked), "{masked} in {}", ended.stdout);
                }
            }
        }
        let mut command = office.command(&["-vvv", "run"]);
        command.env("RUST_LOG", "trace");
        let agent = crate::support::office::Agent::start(command);
        agent.says("running: ");
        // Each kind but the one that needs SOAP has shown itself.
        wait("all have asked", || {
            KINDS.iter().all(|(name, _)| *name == "soap" || target.count(&format!("/visits/{name}")) > 0)
        });
        for arguments in [
            &["status"][..],
            &["--json", "status"],
            &["deliveries", "list"],
            &["--json", "deliveries", "list"],
            &["status", "visits", "1"],
            &["doctor"],
        ] {
            let ended = office.run(arguments);
            clean(&format!("{arguments:?}"), format!("{ended:?}").as_bytes(), &secrets);
        }
        for file in ["cmdline", "environ"] {
            clean(file, &std::fs::read(format!("/proc/{}/{file}", agent.pid())).unwrap(), &secrets);
        }
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
        clean(&format!("the log with {status}"), agent.said().as_bytes(), &secrets);
        agent.kill();
        look_through(&office.folder().join("state"), &secrets);
        look_through(&office.folder().join("app"), &secrets);
    }
}

#[test]
fn a_targets_own_words_show_neither_a_secret_nor_a_value_in_whatever_form_it_says_them_back() {
    const WORDS: &str = "adapter: words\npush:\n  upsert: {request: {method: PUT, url: '{base}/{id}', json: {name: '{name}'}}}\n  \
                         delete: {request: {method: DELETE, url: '{base}/{id}'}}\nclassify:\n  \
                         - {status: 403, is: halt, code: 'json:/code', message: 'json:/text'}\n  \
                         - {status: 422, is: reject, code: 'json:/code', message: 'json:/text'}\n  - default: standard\n";
    for status in [422, 403] {
        let target = Doorman::start(move |_| {
            let text = format!(
                "{CANARY} may not see 123456789 or 123.45.6789, that is MaríaCanaryson, Maria, Canarys, Mar%C3%ADa, \
                 Mar\\\\u00eda, {} and {}",
                STANDARD.encode("María Canaryson 123-45-6789"),
                STANDARD.encode(CANARY),
            );
            let code = if status == 422 { "123456789" } else { CANARY };
            answer(status, "", "application/json", &format!("{{\"code\":\"{code}\",\"text\":\"{text}\"}}"))
        });
        let office = Office::visits();
        std::fs::create_dir_all(office.config().join("adapters")).unwrap();
        std::fs::write(office.config().join("adapters/words.yaml"), WORDS).unwrap();
        office.connector(
            "clinic",
            &format!(
                "adapter: words\nlisten: visits\nendpoint: {{url: \"{}\", credentialsId: s, tls: {{ca: {}}}}}\n",
                target.url("/visits"),
                target.ca.file().display()
            ),
        );
        office.add_settings("credentials: {s: {type: bearer, token: {file: s}}}\n");
        secret(&office, "s", CANARY);
        assert_eq!(office.run(&["watch", "visits"]).code, Some(0));
        office.sql("INSERT INTO visits (id, name) VALUES (1, 'María Canaryson 123-45-6789')");
        let agent = crate::support::office::Agent::start(office.command(&["-vvv", "run"]));
        agent.says("may not see");
        let mut told = vec![agent.said()];
        for arguments in [
            &["status"][..],
            &["--json", "status"],
            &["--json", "deliveries", "list"],
            &["--json", "status", "visits", "1"],
            &["--json", "audit", "show"],
        ] {
            told.push(office.run(arguments).stdout);
        }
        assert!(told.iter().skip(1).any(|told| told.contains("*** may not see ***")), "{told:#?}");
        let shown = [CANARY, "123456789", "123.45.6789", "Canarys", "Maria", "Mar%C3", "u00eda"].map(str::to_owned);
        let mut shown = shown.to_vec();
        shown.extend([STANDARD.encode("María Canaryson 123-45-6789"), STANDARD.encode(CANARY)]);
        told.iter().for_each(|told| clean(&format!("{status}: {told}"), told.as_bytes(), &shown));
    }
}
