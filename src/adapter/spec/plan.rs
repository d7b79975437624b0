//! What travels in place of a request where several calls are made of it.

use crate::adapter::Request;
use crate::event::{Record, Value};
use crate::format::json;
use crate::rules::expression::Scope;
use crate::rules::outcome::Reason;

/// The method that no request has.
const METHOD: &str = "PLAN";

/// A record, and what is known beside it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The record's key, as JSON.
    pub identity: String,
    /// What the expressions see.
    pub scope: Scope,
}

impl Plan {
    /// As a request that is never sent: its bytes say whether two plans are the same.
    pub fn request(&self, base: &str, adapter: &str) -> Result<Request, Reason> {
        let plan: Record = [
            ("identity", Value::from(self.identity.as_str())),
            ("record", Value::Map(self.scope.record.clone())),
            ("roots", Value::Map(self.scope.roots.clone())),
        ]
        .into_iter()
        .collect();
        Ok(Request {
            method: METHOD.into(),
            url: base.into(),
            headers: vec![("Adapter".into(), adapter.to_owned().into())],
            body: json::encode(&plan)?,
        })
    }

    /// The plan in a request; none = it is what is sent.
    pub fn of(request: &Request) -> Result<Option<Plan>, Reason> {
        if request.method != METHOD {
            return Ok(None);
        }
        let broken = || Reason::new("encoding", "what was stored of this record cannot be read any more");
        let Ok(Value::Map(mut plan)) = json::decode(&request.body) else { return Err(broken()) };
        match (plan.remove("identity"), plan.remove("record"), plan.remove("roots")) {
            (Some(Value::Text(identity)), Some(Value::Map(record)), Some(Value::Map(roots))) => {
                Ok(Some(Plan { identity: identity.to_string(), scope: Scope { record, roots } }))
            }
            _ => Err(broken()),
        }
    }
}
