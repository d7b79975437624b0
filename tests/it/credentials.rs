//! Credentials: shared, renewed once, never shown.

pub mod assertions;
mod fresh_files;
mod proxies;
mod reading;
mod refreshing;
mod secrecy;
mod sessions;
pub mod signing;

use std::sync::Arc;
use std::time::Duration;

use hms_sync::adapter::auth::{Credential, Scheme};
use hms_sync::adapter::http::{Caller, Client, Next, Reply};
use hms_sync::adapter::oauth::{Grant, OAuth2, OAuth2Spec, Proof};
use hms_sync::adapter::rest::RestAdapter;
use hms_sync::adapter::secret::{SecretRef, SecretSource};
use hms_sync::adapter::{Adapter, Fleet as _, Parcel, Request};
use hms_sync::event::Op;
use hms_sync::rules::outcome::{Outcome, Reason};

use crate::support::receiver::Receiver;
use crate::support::rest::{OneLane, cleared, options, parcel, secret, spec};
use crate::support::scenario::{End, Scenario, json};

fn oauth(target: &Receiver) -> Arc<Credential> {
    let spec = OAuth2Spec {
        token_url: target.url("/token"),
        client_id: Some("hms".into()),
        proof: Proof::Secret { secret: secret(target.ca.folder(), "c4nary&secret"), how: None },
        grant: Grant::ClientCredentials,
        scope: Some("write all".into()),
        audience: None,
        base: None,
    };
    let oauth = OAuth2::new(spec, Client::new(options(&target.ca)));
    Arc::new(Credential::new("cdc", Scheme::OAuth2(Box::new(oauth))).unwrap())
}

fn with(target: &Receiver, credential: &Arc<Credential>) -> RestAdapter {
    let mut spec = spec(&target.url("/slots"), options(&target.ca));
    spec.credential = Some(Arc::clone(credential));
    RestAdapter::new(spec).unwrap()
}

#[test]
fn one_token_serves_all_lanes_of_all_connectors() {
    let target = Receiver::start();
    let credential = oauth(&target);
    let adapters = [with(&target, &credential), with(&target, &credential)];
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let adapter = &adapters[lane % 2];
            scope.spawn(move || {
                let parcel = cleared(adapter, Op::Insert, lane as i64);
                assert_eq!(adapter.lane().deliver(&parcel).outcome, Outcome::Success);
            });
        }
    });
    assert_eq!(target.tokens().len(), 1);
    assert!(target.journal().iter().all(|entry| entry.header("authorization") == Some("Bearer token-1")));
    let asked = &target.tokens()[0];
    assert_eq!(asked.body, b"grant_type=client_credentials&scope=write%20all");
    // hms:c4nary%26secret
    assert_eq!(asked.header("authorization"), Some("Basic aG1zOmM0bmFyeSUyNnNlY3JldA=="));
}

#[test]
fn a_401_renews_the_token_once_and_tries_once_more() {
    let target = Receiver::start();
    let rest = with(&target, &oauth(&target));
    target.admit(|entry| entry.header("authorization") == Some("Bearer token-2"));
    let delivery = rest.lane().deliver(&cleared(&rest, Op::Insert, 1));
    assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    assert_eq!((target.tokens().len(), target.journal().len()), (2, 2));
}

#[test]
fn a_token_that_has_ended_is_renewed_once_for_all_that_is_under_way() {
    let target = Receiver::start();
    let rest = with(&target, &oauth(&target));
    target.admit(|entry| entry.header("authorization") == Some("Bearer token-2"));
    let mut fleet = rest.fleet(16).unwrap();
    for id in 0..16 {
        fleet.begin(id, [cleared(&rest, Op::Insert, id as i64)].into());
    }
    let mut ended = Vec::new();
    while ended.len() < 16 {
        fleet.wait(None, &mut ended).unwrap();
    }
    assert!(ended.iter().all(|ended| ended.deliveries[0].outcome == Outcome::Success), "{ended:?}");
    assert_eq!(target.tokens().len(), 2);
}

#[test]
fn a_command_that_takes_long_for_its_secret_does_not_stop_the_deliveries() {
    let target = Receiver::start();
    let url = target.url("/slots");
    let [asked, may_answer] = ["asked", "may-answer"].map(|name| target.ca.folder().join(name));
    let script = r#"echo > "$0"; while [ ! -e "$1" ]; do sleep 0.01; done; echo open-sesame"#;
    let command = ["/bin/sh", "-c", script, asked.to_str().unwrap(), may_answer.to_str().unwrap()];
    let source = SecretSource::new(SecretRef::Exec(command.map(str::to_owned).to_vec()));
    let mut spec = spec(&url, options(&target.ca));
    spec.credential = Some(Arc::new(Credential::new("slow", Scheme::Bearer(source)).unwrap()));
    let rest = RestAdapter::new(spec).unwrap();
    let mut fleet = rest.fleet(2).unwrap();
    let mut ended = Vec::new();
    fleet.begin(1, [cleared(&rest, Op::Insert, 1)].into());
    crate::support::office::wait("the command runs", || asked.exists());
    // Neither this nor a wait may last until the command has answered: it does so only after them.
    fleet.begin(2, [cleared(&rest, Op::Insert, 2)].into());
    fleet.wait(Some(Duration::ZERO), &mut ended).unwrap();
    assert!(ended.is_empty(), "{ended:?}");
    std::fs::write(may_answer, "").unwrap();
    while ended.len() < 2 {
        fleet.wait(None, &mut ended).unwrap();
    }
    assert!(ended.iter().all(|ended| ended.deliveries[0].outcome == Outcome::Success), "{ended:?}");
    assert!(target.journal().iter().all(|entry| entry.header("authorization") == Some("Bearer open-sesame")));
}

#[test]
fn credentials_that_stay_refused_are_reauth_without_a_storm_of_tokens() {
    let target = Receiver::start();
    let credential = oauth(&target);
    let rest = with(&target, &credential);
    target.admit(|_| false);
    std::thread::scope(|scope| {
        for lane in 0..8 {
            let rest = &rest;
            scope.spawn(move || {
                let mut line = rest.lane();
                for round in 0..3 {
                    let delivery = line.deliver(&cleared(rest, Op::Insert, lane * 10 + round));
                    assert!(matches!(delivery.outcome, Outcome::Reauth(_)), "{delivery:?}");
                    assert_eq!(delivery.status, Some(401));
                }
            });
        }
    });
    assert_eq!((target.tokens().len(), target.journal().len()), (2, 48));
}

#[test]
fn a_token_endpoint_that_fails_costs_no_attempt_and_one_that_refuses_halts() {
    let target = Receiver::start();
    for (scenario, word) in [
        (Scenario::named("status_503"), "retry"),
        (Scenario::named("status_429"), "retry"),
        (Scenario::named("commit_close"), "retry"),
        (Scenario::named("html"), "retry"),
        (Scenario::named("garbage"), "retry"),
        (Scenario::answer("empty", true, json(200, "", "{}"), End::Keep), "retry"),
        (Scenario::answer("scope", true, json(400, "", r#"{"error":"invalid_scope"}"#), End::Keep), "halt"),
        (Scenario::named("status_403"), "halt"),
        (Scenario::named("status_404"), "halt"),
        (Scenario::status(302, "Location: https://evil.test/\r\n"), "halt"),
        (Scenario::answer("mac", true, json(200, "", r#"{"access_token":"x","token_type":"mac"}"#), End::Keep), "halt"),
    ] {
        let name = scenario.name.clone();
        target.next_token(scenario);
        let rest = with(&target, &oauth(&target));
        let delivery = rest.lane().deliver(&cleared(&rest, Op::Insert, 1));
        assert_eq!(delivery.outcome.word(), word, "{name}: {delivery:?}");
        if let Outcome::Retry { transport, .. } = delivery.outcome {
            assert!(transport, "{name}");
        }
        assert_eq!(delivery.bytes, (0, 0));
    }
    assert!(target.journal().is_empty());
}

#[test]
fn a_client_that_is_refused_one_way_shows_its_secret_the_other_way() {
    let target = Receiver::start();
    let refused = || Scenario::answer("invalid", true, json(401, "", r#"{"error":"invalid_client"}"#), End::Keep);
    target.next_token(refused());
    let rest = with(&target, &oauth(&target));
    assert_eq!(rest.lane().deliver(&cleared(&rest, Op::Insert, 1)).outcome, Outcome::Success);
    let asked = target.tokens();
    assert!(asked[1].header("authorization").is_none());
    assert!(String::from_utf8_lossy(&asked[1].body).ends_with("&client_id=hms&client_secret=c4nary%26secret"));
    target.next_token(refused());
    target.next_token(refused());
    let rest = with(&target, &oauth(&target));
    let delivery = rest.lane().deliver(&cleared(&rest, Op::Insert, 2));
    let Outcome::Halt(reason) = &delivery.outcome else { panic!("{delivery:?}") };
    assert!(reason.text.contains("credential cdc") && reason.text.contains("invalid_client"), "{reason}");
    assert!(!reason.text.contains("c4nary"));
}

#[test]
fn a_missing_or_odd_lifetime_still_gives_a_token_that_is_kept() {
    for life in [None, Some("3600"), Some("\"3600\""), Some("0"), Some("-5"), Some("1e12"), Some("null")] {
        let target = Receiver::start();
        target.token_life(life);
        let rest = with(&target, &oauth(&target));
        let mut lane = rest.lane();
        for id in 0..3 {
            assert_eq!(lane.deliver(&cleared(&rest, Op::Insert, id)).outcome, Outcome::Success, "{life:?}");
        }
        assert_eq!(target.tokens().len(), 1, "{life:?}");
    }
}

#[test]
fn a_secret_shows_in_no_delivery_request_or_debug_output() {
    let target = Receiver::start();
    let credential = Arc::new(Credential::new("cdc", Scheme::Bearer(secret(target.ca.folder(), "c4nary"))).unwrap());
    let rest = with(&target, &credential);
    let parcel = cleared(&rest, Op::Insert, 1);
    let mut shown = format!("{:?} {rest:?} {parcel:?} {:?}", rest.render(&parcel), rest.masked_headers());
    for name in ["ok", "status_401", "status_403", "commit_rst", "html"] {
        target.next(Scenario::named(name));
        shown.push_str(&format!("{:?}", rest.lane().deliver(&parcel)));
    }
    assert!(!shown.contains("c4nary"));
    assert_eq!(rest.masked_headers(), [("Authorization".to_owned(), "Bearer ***".to_owned())]);
    assert_eq!(target.journal()[0].header("authorization"), Some("Bearer c4nary"));
}

#[test]
fn a_key_in_the_query_is_added_when_sending_and_nowhere_else() {
    let target = Receiver::start();
    let key = secret(target.ca.folder(), "c4nary");
    let credential = Arc::new(Credential::new("cdc", Scheme::QueryKey { name: "api_key".into(), key }).unwrap());
    let rest = with(&target, &credential);
    let parcel = cleared(&rest, Op::Insert, 1);
    let delivery = rest.lane().deliver(&parcel);
    assert_eq!(delivery.outcome, Outcome::Success);
    assert_eq!(target.journal()[0].path, "/slots?api_key=c4nary");
    assert_eq!(delivery.request_hash, rest.render(&parcel).unwrap().unwrap().hash());
}

/// A target that says 200 to everything, and in the body that the token does not do.
struct Polite(Arc<Credential>);

impl Caller for Polite {
    type Course = ();

    fn render(&self, _: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(None)
    }

    fn judge(&self, _: &Parcel, _: &Request, reply: &Reply, _: Option<&mut ()>) -> Next {
        Next::End(match reply.body.windows(3).any(|window| window == b"498") {
            true => Outcome::Reauth(Reason::new("498", "the token does not do")),
            false => Outcome::Success,
        })
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        Some(&self.0)
    }
}

#[test]
fn an_adapter_that_knows_a_refusal_by_other_signs_has_the_token_renewed_once() {
    let target = Receiver::start();
    target.meet(|entry| {
        let refused = entry.path != "/token" && entry.header("authorization") == Some("Bearer token-1");
        refused.then(|| Scenario::answer("498", false, json(200, "", r#"{"error":{"code":498}}"#), End::Keep))
    });
    let caller = Arc::new(Polite(oauth(&target)));
    let mut fleet = Client::new(options(&target.ca)).fleet(caller, 1).unwrap();
    let mut deliver = |key: &str| {
        let mut ended = Vec::new();
        fleet.begin(1, [parcel(&target.url("/edits"), key, b"{}")].into());
        while ended.is_empty() {
            fleet.wait(None, &mut ended).unwrap();
        }
        ended.remove(0).deliveries.remove(0)
    };
    assert_eq!(deliver("one").outcome, Outcome::Success);
    let sent: Vec<_> = target.journal().iter().map(|entry| (entry.key.clone(), entry.body.clone())).collect();
    assert_eq!((sent.len(), &sent[0], target.tokens().len()), (2, &sent[1], 2));
    // What stays refused is said, and asks for nothing more.
    target.meet(|_| Some(Scenario::answer("498", false, json(200, "", r#"{"error":{"code":498}}"#), End::Keep)));
    assert!(matches!(deliver("two").outcome, Outcome::Reauth(_)));
    assert_eq!((target.journal().len(), target.tokens().len()), (4, 2));
}
