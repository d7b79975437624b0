//! What each kind of credential fills in, and what it never shows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::os::unix::fs::OpenOptionsExt;

use super::*;
use crate::adapter::secret::SecretRef;

fn held(text: &str) -> (tempfile::TempDir, SecretSource) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    (folder, SecretSource::new(SecretRef::File(path)))
}

fn request() -> Request {
    let headers = vec![("Content-Type".into(), "application/json".into())];
    Request { method: "POST".into(), url: "https://a.example/x".into(), headers, body: b"{}".to_vec() }
}

fn header(credential: &Credential) -> (String, String) {
    let sealed = credential.seal(&request()).unwrap();
    let (name, value) = sealed.envelope.fields().next().unwrap();
    assert!(value.is_sensitive());
    (name.to_string(), value.to_str().unwrap().to_owned())
}

#[test]
fn each_scheme_fills_its_own_place() {
    let (_a, token) = held("t0ken");
    let bearer = Credential::new("c", Scheme::Bearer(token)).unwrap();
    assert_eq!(header(&bearer), ("authorization".to_owned(), "Bearer t0ken".to_owned()));
    let (_b, password) = held("open sesame");
    let basic = Credential::new("c", Scheme::Basic { user: "Aladdin".into(), password }).unwrap();
    assert_eq!(header(&basic).1, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    let (_c, key) = held("k");
    let header_key = Credential::new("c", Scheme::HeaderKey { name: "X-Api-Key".into(), key }).unwrap();
    assert_eq!(header(&header_key), ("x-api-key".to_owned(), "k".to_owned()));
    let (_d, key) = held("a&b=c");
    let query = Credential::new("c", Scheme::QueryKey { name: "key".into(), key }).unwrap();
    assert_eq!(query.seal(&request()).unwrap().envelope.query().unwrap(), "key=a%26b%3Dc");
}

#[test]
fn nothing_that_can_be_shown_holds_the_secret() {
    let (_folder, token) = held("t0ken");
    let credential = Credential::new("cdc", Scheme::Bearer(token)).unwrap();
    let sealed = credential.seal(&request()).unwrap();
    assert!(!format!("{credential:?} {sealed:?} {:?}", credential.masked()).contains("t0ken"));
    assert_eq!(credential.masked(), vec![("Authorization".to_owned(), "Bearer ***".to_owned())]);
    let (_folder, key) = held("t0ken");
    let query = Credential::new("cdc", Scheme::QueryKey { name: "key".into(), key }).unwrap();
    assert!(!format!("{:?}", query.seal(&request()).unwrap()).contains("t0ken"));
}

#[test]
fn a_refused_secret_is_tried_again_only_when_it_was_replaced() {
    let (folder, token) = held("one");
    let credential = Credential::new("cdc", Scheme::Bearer(token)).unwrap();
    let sealed = credential.seal(&request()).unwrap();
    assert!(!credential.refused(&sealed, Refused::ALL).unwrap());
    std::fs::write(folder.path().join("secret"), "two").unwrap();
    assert!(credential.refused(&sealed, Refused::ALL).unwrap());
}

#[test]
fn a_secret_that_cannot_be_read_halts_and_names_the_credential() {
    let missing = SecretSource::new(SecretRef::Env("HMS_NO_SUCH_VARIABLE".into()));
    let credential = Credential::new("cdc", Scheme::Bearer(missing)).unwrap();
    let Err(Outcome::Halt(reason)) = credential.seal(&request()) else { panic!("no halt") };
    assert!(reason.text.contains("credential cdc") && reason.text.contains("is not set"), "{reason}");
    let (_folder, odd) = held("t\u{7f}oken");
    let credential = Credential::new("cdc", Scheme::Bearer(odd)).unwrap();
    let Err(Outcome::Halt(reason)) = credential.seal(&request()) else { panic!("no halt") };
    assert!(!reason.text.contains("oken"), "{reason}");
}
