//! What a fleet asks of a described target while it delivers: the calls, and what their answers mean.

use std::borrow::Cow;
use std::sync::Arc;

use super::plan::Plan;
use super::road::Reach;
use super::{Course, Shared, Voyage, exec, joint, mllp};
use crate::adapter::auth::Credential;
use crate::adapter::http::{Caller, Each, Next, Reply};
use crate::adapter::join::Of;
use crate::adapter::{Left, Parcel, Request};
use crate::event::{Op, Value};
use crate::rules::operation::Limits;
use crate::rules::outcome::{Outcome, Reason};

impl Caller for Shared {
    type Course = Course;

    fn render(&self, parcel: &Parcel) -> Result<Option<Request>, Reason> {
        Ok(parcel.request(|record| Shared::render(self, parcel, record))?.map(Cow::into_owned))
    }

    fn set_out(&self, parcel: &Parcel, request: &Request) -> Result<Option<(Request, Course)>, Reason> {
        if let Some(first) = joint::first(self, parcel, request) {
            return Ok(first.map(|(request, round)| (request, Course::Joint(round))));
        }
        let Some(plan) = Plan::of(request)? else { return Ok(None) };
        let links = match self.links.get() {
            Some(links) => links.of(parcel.kind(), &plan.identity).map_err(|why| Reason::new("state", why))?,
            None => Vec::new(),
        };
        let begun = self.begin(parcel, plan, links)?;
        Ok(begun.map(|(request, voyage)| (request, Course::Plan(Box::new(voyage)))))
    }

    fn wants_fields(&self) -> bool {
        true
    }

    fn longest_answer(&self) -> usize {
        let several = self.joins && self.spec.joint.is_some();
        self.spec.limits.answer.unwrap_or(if several { Limits::ANSWERS } else { Limits::ANSWER })
    }

    fn judge(&self, parcel: &Parcel, request: &Request, reply: &Reply, course: Option<&mut Course>) -> Next {
        let understood = match &self.reach {
            Reach::Http(client) => {
                reply.vouch(&self.origin);
                client.note_date(reply);
                None
            }
            Reach::Mllp(..) => match mllp::understand(request, reply) {
                mllp::Understood::Answer(answer) => Some(answer),
                mllp::Understood::Outcome(outcome) => return Next::End(outcome),
            },
            Reach::Exec(_) => {
                let outcome = self.answered(parcel, request, reply).into_iter().next();
                return Next::End(outcome.unwrap_or_else(|| exec::missing(reply, 0, true)));
            }
        };
        let reply = understood.as_ref().unwrap_or(reply);
        match course {
            None => Next::End(self.verdict(parcel, 0, request, reply).1),
            Some(Course::Plan(course)) => {
                self.go_on(parcel, request, reply, course).unwrap_or_else(|reason| Next::End(Outcome::Reject(reason)))
            }
            Some(course @ Course::Joint(_)) => match self.judge_items(parcel, request, reply, Some(course)) {
                Each::Call(request) => Next::Call(request),
                Each::All(outcome) => Next::End(outcome),
                Each::Items(items) => Next::End(items.into_iter().next().unwrap_or(Outcome::Success)),
                Each::Unsaid => Next::End(self.verdict(parcel, 0, request, reply).1),
            },
        }
    }

    fn judge_items(&self, parcel: &Parcel, request: &Request, reply: &Reply, course: Option<&mut Course>) -> Each {
        if let Reach::Exec(_) = &self.reach {
            // Who has said nothing of any of them has not been there at all.
            return match exec::has_answered(parcel, request, reply) {
                true => Each::Items(self.answered(parcel, request, reply)),
                false => Each::Unsaid,
            };
        }
        reply.vouch(&self.origin);
        match course {
            Some(Course::Joint(round)) => joint::judge(self, parcel, request, reply, round),
            Some(Course::Plan(_)) => Each::Unsaid,
            None => joint::judge(self, parcel, request, reply, &mut joint::Round::of(parcel.members())),
        }
    }

    fn leave(&self, parcel: &Parcel, course: Course) -> Vec<Left> {
        let course = match course {
            Course::Plan(course) => course,
            Course::Joint(round) => {
                let known = |of: &Of| self.links.get().and_then(|links| links.of(&of.kind, &of.key).ok());
                return round.left(|of| known(of).unwrap_or_default());
            }
        };
        let Voyage { plan, captured, forgot, scope, .. } = *course;
        let values = match parcel.op() {
            Op::Delete => None,
            _ if captured.is_empty() && !forgot => return Vec::new(),
            _ => {
                let link = match scope.roots.get("link") {
                    Some(Value::Map(link)) => link.iter(),
                    _ => return Vec::new(),
                };
                Some(link.filter_map(|(name, value)| Some((name.to_string(), value.as_text()?.into_owned()))).collect())
            }
        };
        vec![Left { kind: parcel.kind().to_owned(), key: plan.identity, values }]
    }

    fn settle(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Unknown { reason, .. } if !self.spec.repeatable => {
                let text = format!(
                    "{}; it may have arrived, and the adapter says that it must not be sent twice",
                    reason.text
                );
                Outcome::Reject(Reason::new(reason.class, text))
            }
            outcome => outcome,
        }
    }

    fn credential(&self) -> Option<&Arc<Credential>> {
        self.credential.as_ref()
    }
}
