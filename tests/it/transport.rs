//! Every row of the transport table: what a connection that fails comes to.

use std::sync::Arc;
use std::time::Duration;

use hms_sync::adapter::http::{Options, Proxy};
use hms_sync::adapter::rest::{Delete, RestAdapter, RestSpec};
use hms_sync::adapter::tls::{TlsFiles, client_config};
use hms_sync::adapter::{Adapter, Delivery, Lane, Parcel, Request};
use hms_sync::event::Op;
use hms_sync::rules::outcome::Outcome;
use hms_sync::rules::template::Template;

use crate::support::ca::{Ca, Leaf};
use crate::support::proxy::ConnectProxy;
use crate::support::receiver::{Blackhole, Door, Receiver, refusing};
use crate::support::scenario::Scenario;

/// Long enough for a busy machine, short enough for a test that waits it out.
pub const LIMIT: Duration = Duration::from_millis(400);

/// Client settings that trust the authority.
pub fn options(ca: &Ca) -> Options {
    let files = TlsFiles { ca: vec![ca.file()], client: None };
    Options { plain: true, ..Options::new(client_config(&files).unwrap()) }
}

/// An adapter for a URL.
pub fn adapter(url: &str, http: Options) -> RestAdapter {
    let url = Template::parse(url).unwrap();
    RestAdapter::new(RestSpec {
        delete: Delete::default_for(&url),
        url,
        method: "POST".into(),
        headers: Vec::new(),
        idem_key: None,
        retry_on: Vec::new(),
        http,
        credential: None,
    })
    .unwrap()
}

/// A parcel as it stands on the wire.
pub fn parcel(url: &str, key: &str, body: &[u8]) -> Parcel {
    let request = Request {
        method: "POST".into(),
        url: url.into(),
        headers: vec![("Content-Type".into(), "application/json".into()), ("Idempotency-Key".into(), key.into())],
        body: body.to_vec(),
    };
    Parcel::frozen(key.into(), Op::Update, "slots", request)
}

#[test]
fn a_first_call_over_tls_is_delivered() {
    let target = Receiver::start();
    let url = target.url("/slots");
    let delivery = adapter(&url, options(&target.ca)).lane().deliver(&parcel(&url, "k-1", br#"{"a":1}"#));
    assert_eq!(delivery.outcome, Outcome::Success, "{delivery:?}");
    let journal = target.journal();
    assert_eq!(journal.len(), 1);
    assert_eq!(journal[0].body, br#"{"a":1}"#);
    assert!(journal[0].committed);
}
