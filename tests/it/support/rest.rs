//! Parts of a REST connector, as tests need them.

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use hms_sync::adapter::http::Options;
use hms_sync::adapter::rest::{Delete, RestAdapter, RestSpec};
use hms_sync::adapter::secret::{SecretRef, SecretSource};
use hms_sync::adapter::tls::{TlsFiles, client_config};
use hms_sync::adapter::{Adapter, Delivery, Fleet, Parcel, Request};
use hms_sync::clock::Timestamp;
use hms_sync::event::{Event, EventId, Op, Record, Value};
use hms_sync::rules::governance::Gate;
use hms_sync::rules::mapping::Mapping;
use hms_sync::rules::template::Template;

use super::ca::Ca;

/// Client settings that trust the authority.
pub fn options(ca: &Ca) -> Options {
    let files = TlsFiles { ca: vec![ca.file()], ..TlsFiles::default() };
    Options { plain: true, ..Options::new(client_config(&files).unwrap()) }
}

/// An adapter for a URL.
pub fn adapter(url: &str, http: Options) -> RestAdapter {
    RestAdapter::new(spec(url, http)).unwrap()
}

/// A parcel as it stands on the wire.
pub fn parcel(url: &str, key: &str, body: &[u8]) -> Parcel {
    let request = Request {
        method: "POST".into(),
        url: url.into(),
        headers: vec![
            ("Content-Type".into(), "application/json".into()),
            ("Idempotency-Key".into(), key.to_owned().into()),
        ],
        body: body.to_vec(),
    };
    Parcel::frozen(key.into(), Op::Update, "slots", request)
}

/// One record of the office.
pub fn event(op: Op, id: i64) -> Event {
    let image: Record = [("id", Value::Integer(id)), ("name", "Röntgen / 3".into())].into_iter().collect();
    Event {
        id: EventId { epoch: 1, seq: id, nonce: 2 },
        log: "office".into(),
        kind: "slots".into(),
        op,
        key: [("id", Value::Integer(id))].into_iter().collect(),
        old_key: None,
        before: (op == Op::Delete).then(|| image.clone()),
        after: (op != Op::Delete).then_some(image),
        changed: Vec::new(),
        at: Timestamp(0),
        origin: None,
        dest: None,
        push: None,
        lane: id as u64,
        old_lane: None,
        synthetic: false,
    }
}

/// It, cleared for an adapter.
pub fn cleared(adapter: &RestAdapter, op: Op, id: i64) -> Parcel {
    let event = event(op, id);
    let record = Gate::open().clear(&event, &Mapping::whole(), adapter.fields()).unwrap();
    Parcel::new(event.id.to_string(), op, event.kind.clone(), record)
}

/// What a plain POST adapter is made of.
pub fn spec(url: &str, http: Options) -> RestSpec {
    let url = Template::parse(url).unwrap();
    RestSpec {
        delete: Delete::default_for(&url),
        url,
        method: "POST".into(),
        headers: Vec::new(),
        idem_key: None,
        conditional: false,
        retry_on: Vec::new(),
        http,
        credential: None,
    }
}

/// A secret in a file of its own.
pub fn secret(folder: &Path, text: &str) -> SecretSource {
    let path = folder.join(format!("secret-{:016x}", fastrand::u64(..)));
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
    SecretSource::new(SecretRef::File(path))
}

/// One delivery at a time, waited for.
pub struct Lane(Box<dyn Fleet>);

impl Lane {
    /// What came of a parcel.
    pub fn deliver(&mut self, parcel: &Parcel) -> Delivery {
        let mut ended = Vec::new();
        self.0.begin(7, [parcel.clone()].into());
        while ended.is_empty() {
            self.0.wait(None, &mut ended).unwrap();
        }
        assert_eq!((ended.len(), ended[0].ticket), (1, 7));
        ended.remove(0).deliveries.remove(0)
    }
}

/// An adapter with one lane.
pub trait OneLane {
    fn lane(&self) -> Lane;
}

impl OneLane for RestAdapter {
    fn lane(&self) -> Lane {
        Lane(self.fleet(1).unwrap())
    }
}
