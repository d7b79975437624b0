//! Asking a target whether it works (`probe`): one call that changes nothing, with the credential, and what must be answered.

use std::sync::Arc;

use super::{Shared, body};
use crate::adapter::auth::Credential;
use crate::adapter::http::{Caller, Client, Next, Reply};
use crate::adapter::{Fleet as _, Parcel, Request};
use crate::event::{Op, Record};
use crate::rules::expression::Scope;
use crate::rules::operation::Probe;
use crate::rules::outcome::Reason;
use crate::rules::verdict::Rule;

/// Who the fleet asks what the answer means.
struct Asker {
    shared: Arc<Shared>,
    client: Client,
    rules: Vec<Rule>,
}

impl Caller for Asker {
    type Course = ();

    fn render(&self, _: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(None)
    }

    fn wants_fields(&self) -> bool {
        true
    }

    fn judge(&self, parcel: &Parcel, request: &Request, reply: &Reply, _: Option<&mut ()>) -> Next {
        reply.vouch(&self.shared.origin);
        self.client.note_date(reply);
        Next::End(self.shared.by_rules(&[&self.rules], parcel, request, reply).1)
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        self.shared.credential.as_ref()
    }
}

/// Asks once. An error says what was answered, or why nothing was.
pub fn ask(shared: &Arc<Shared>, client: &Client, probe: &Probe) -> Result<(), Reason> {
    let scope = Scope { record: Record::new(), roots: shared.roots.clone() };
    let around = body::Around { base: &shared.base, key: "probe", headers: &shared.headers };
    let request = body::request(&probe.request, &scope, &around)?;
    let parcel = Parcel::frozen("probe".to_owned(), Op::Event, "probe", request);
    let asker = Asker { shared: Arc::clone(shared), client: client.clone(), rules: probe.rules.clone() };
    let broken = |error: std::io::Error| Reason::new("io", format!("the probe cannot be made: {error}"));
    let mut fleet = client.fleet(Arc::new(asker), 1).map_err(broken)?;
    let mut ended = Vec::new();
    fleet.begin(0, [parcel].into());
    while ended.is_empty() {
        fleet.wait(None, &mut ended).map_err(broken)?;
    }
    let delivery = ended.pop().and_then(|mut ended| ended.deliveries.pop());
    match delivery.map(|delivery| delivery.outcome) {
        Some(outcome) if outcome.is_delivered() => Ok(()),
        Some(outcome) => {
            let why = outcome.reason().cloned().unwrap_or_else(|| Reason::new("probe", "it does not say why"));
            Err(Reason::new(why.class, format!("the probe is not answered as it should: {}", why.text)))
        }
        None => Err(Reason::new("probe", "the probe was not made")),
    }
}
