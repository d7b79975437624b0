//! The bytes of an attempt whose outcome is unknown, kept so that the same bytes are sent again.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::adapter::{Parcel, Request, Text};
use crate::event::Op;

#[derive(Serialize, Deserialize)]
struct Frozen {
    origin: String,
    parts: Vec<Part>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    key: String,
    op: String,
    kind: String,
    method: Text,
    url: Arc<str>,
    headers: Vec<(Text, Text)>,
    body: String,
}

/// Freezes rendered parcels of the endpoint at `origin`; none when one of them was never rendered.
pub fn freeze(origin: &str, parts: &[Parcel]) -> Option<Vec<u8>> {
    let parts: Option<Vec<Part>> = parts
        .iter()
        .map(|parcel| {
            let request = parcel.request(|_| Ok(None)).ok().flatten()?;
            Some(Part {
                key: parcel.key().to_owned(),
                op: parcel.op().as_str().to_owned(),
                kind: parcel.kind().to_owned(),
                method: request.method.clone(),
                url: request.url.clone(),
                headers: request.headers.clone(),
                body: BASE64_STANDARD.encode(&request.body),
            })
        })
        .collect();
    serde_json::to_vec(&Frozen { origin: origin.to_owned(), parts: parts? }).ok()
}

/// Thaws what [`freeze`] made for the endpoint at `origin`; none when it cannot be read, or was made for another one:
/// that one may have it, this one has not, and today's credentials are not for yesterday's host.
pub fn thaw(origin: &str, bytes: &[u8]) -> Option<Vec<Parcel>> {
    let frozen: Frozen = serde_json::from_slice(bytes).ok().filter(|frozen: &Frozen| frozen.origin == origin)?;
    frozen
        .parts
        .into_iter()
        .map(|part| {
            let op = [Op::Insert, Op::Update, Op::Delete, Op::Event].into_iter().find(|op| op.as_str() == part.op)?;
            let body = BASE64_STANDARD.decode(part.body).ok()?;
            let request = Request { method: part.method, url: part.url, headers: part.headers, body };
            Some(Parcel::frozen(part.key, op, part.kind, request))
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn frozen_parcels_thaw_to_the_same_bytes() {
        let request = Request {
            method: "PUT".into(),
            url: "https://vista.example/slots/42".into(),
            headers: vec![("Idempotency-Key".into(), "6f1c09aa-17-0b7e22d1".into())],
            body: vec![0, 255, 13, 10],
        };
        let parcel = Parcel::frozen("6f1c09aa-17-0b7e22d1".into(), Op::Update, "t", request.clone());
        let frozen = freeze("https://vista.example:443", &[parcel]).unwrap();
        let thawed = thaw("https://vista.example:443", &frozen).unwrap();
        assert!(thaw("https://other.example:443", &frozen).is_none(), "never to another host");
        let back = thawed[0].request(|_| Ok(None)).unwrap().unwrap().into_owned();
        assert_eq!((back, thawed[0].key(), thawed[0].op()), (request, "6f1c09aa-17-0b7e22d1", Op::Update));
        assert!(thaw("https://vista.example:443", b"nonsense").is_none());
    }
}
