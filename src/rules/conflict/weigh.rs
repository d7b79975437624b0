//! One conflict: which side wins it, or why nobody does.

use std::cmp::Ordering;

use super::{Because, DeleteRule, Dispute, Doubt, HERE, Policy, Rule, Sides, Take, Unit, Which, Why, Winner, Won};
use crate::clock::Timestamp;

/// What became of a conflict.
pub(super) enum Weighed {
    Won(Won, Because),
    Held(Why),
}

fn side(which: Which, because: Because) -> Weighed {
    Weighed::Won(Won::Side(which), because)
}

/// A field or group that was changed on both sides, and differs.
pub(super) fn fields(policy: &Policy, sides: &Sides<'_>, dispute: &Dispute) -> Weighed {
    if let Some((won, because)) = by_person(sides, dispute) {
        return Weighed::Won(won, because);
    }
    let Some(rule) = policy.rule_of(&dispute.unit) else { return Weighed::Held(Why::NoRule) };
    match rule.winner {
        Winner::EarliestChange | Winner::LatestChange => by_time(policy, rule, sides, dispute),
        winner => without_time(rule, sides).map_or_else(Weighed::Held, |won| side(won, Because::Rule(winner))),
    }
}

/// A record that was deleted on one side and changed on the other.
pub(super) fn record(policy: &Policy, sides: &Sides<'_>, dispute: &Dispute, deleted: Which) -> Weighed {
    if let Some((won, because)) = by_person(sides, dispute) {
        return Weighed::Won(won, because);
    }
    let because = Because::Delete(policy.delete);
    match policy.delete {
        DeleteRule::DeleteWins => side(deleted, because),
        DeleteRule::UpdateWins => side(deleted.other(), because),
        DeleteRule::Manual => Weighed::Held(Why::Delete),
    }
}

/// What a person has decided, as long as both sides are as that person saw them.
pub(super) fn by_person(sides: &Sides<'_>, dispute: &Dispute) -> Option<(Won, Because)> {
    let stands = sides.resolved.iter().find(|resolution| {
        *resolution.unit == *dispute.unit.name()
            && resolution.local == dispute.local.seen
            && resolution.remote == dispute.remote.seen
            && is_whole(&resolution.take, dispute)
    })?;
    let won = match &stands.take {
        Take::Local => Won::Side(Which::Local),
        Take::Remote => Won::Side(Which::Remote),
        Take::Values(values) => Won::Values(values.clone()),
    };
    Some((won, Because::Person))
}

/// Values must be given for all that is decided as one; those of a whole record stand upon what it has.
fn is_whole(take: &Take, dispute: &Dispute) -> bool {
    match take {
        Take::Values(values) => {
            dispute.unit == Unit::Record || dispute.fields.iter().all(|field| values.get(field).is_some())
        }
        Take::Local | Take::Remote => true,
    }
}

/// The side that a rule names which asks for no time.
fn without_time(rule: &Rule, sides: &Sides<'_>) -> Result<Which, Why> {
    match rule.winner {
        Winner::Local => Ok(Which::Local),
        Winner::Remote => Ok(Which::Remote),
        Winner::Authority => first_named(&rule.order, sides).ok_or(Why::NoAuthority),
        // A rule by time has no times to go by here.
        Winner::Manual | Winner::EarliestChange | Winner::LatestChange => Err(Why::Manual),
    }
}

/// The side that an order of authority names first.
fn first_named(order: &[String], sides: &Sides<'_>) -> Option<Which> {
    order.iter().find_map(|name| {
        let name = name.as_str();
        if sides.remote.names.contains(&name) {
            Some(Which::Remote)
        } else {
            (name == HERE || sides.local.names.contains(&name)).then_some(Which::Local)
        }
    })
}

fn by_time(policy: &Policy, rule: &Rule, sides: &Sides<'_>, dispute: &Dispute) -> Weighed {
    let (local, remote) = match (
        trusted(policy, rule, sides, dispute, Which::Local),
        trusted(policy, rule, sides, dispute, Which::Remote),
    ) {
        (Ok(local), Ok(remote)) => (local, remote),
        (Err(doubt), _) | (_, Err(doubt)) => {
            let instead = policy.untrusted.winner;
            let because = Because::Untrusted { rule: rule.winner, doubt, instead };
            return match without_time(&policy.untrusted, sides) {
                Ok(won) => side(won, because),
                Err(_) => Weighed::Held(Why::Untrusted(rule.winner, doubt)),
            };
        }
    };
    let apart = local.since(remote).max(remote.since(local));
    if apart <= policy.tolerance {
        let by_hash = || match dispute.local.seen.cmp(&dispute.remote.seen) {
            Ordering::Less | Ordering::Equal => Which::Local,
            Ordering::Greater => Which::Remote,
        };
        return match first_named(&rule.order, sides) {
            Some(won) => side(won, Because::TieByOrder(rule.winner)),
            None => side(by_hash(), Because::TieByHash(rule.winner)),
        };
    }
    let local_wins = (rule.winner == Winner::EarliestChange) == (local < remote);
    side(if local_wins { Which::Local } else { Which::Remote }, Because::Rule(rule.winner))
}

/// The time of a side that this rule asks for, where it can be trusted.
fn trusted(
    policy: &Policy,
    rule: &Rule,
    sides: &Sides<'_>,
    dispute: &Dispute,
    which: Which,
) -> Result<Timestamp, Doubt> {
    let (side, stand) = match which {
        Which::Local => (&sides.local, &dispute.local),
        Which::Remote => (&sides.remote, &dispute.remote),
    };
    if !side.trusted {
        return Err(Doubt::Clock(which));
    }
    let asked = if rule.winner == Winner::EarliestChange { stand.first } else { stand.last };
    let at = asked.ok_or(Doubt::Missing(which))?;
    // The last change stands for both: a clock that is ahead was ahead for the first one too.
    let latest = stand.last.unwrap_or(at).max(at);
    if latest.since(sides.now) > policy.tolerance { Err(Doubt::Future(which)) } else { Ok(at) }
}
