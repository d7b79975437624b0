//! `check` of drops: when the next file is cut, and what of the tables does not go into it.

use jiff::civil::Date;

use crate::adapter::pgp::{SOON, Standing, Unusable};
use crate::adapter::secret::{SecretRef, SecretSource};
use crate::cli::check::tables::{self, Columns};
use crate::cli::check::{Plan, Reached};
use crate::clock::{self, Timestamp};
use crate::config::drop::DropSpec;
use crate::config::drop::deliver::Place;
use crate::config::drop::pgp::OwnKeySpec;
use crate::config::problem::Place as At;
use crate::config::{ConnectorSpec, Problem, Settings, Severity, Way, build};
use crate::engine::drop::Drop;
use crate::event::Op;
use crate::rules::calendar::Calendar;

/// Looks at a drop whose file has no mistake of its own; what it will do, and the drop. `reached` = what can be reached is noted there
/// (`--online`).
pub(super) fn look(
    mut spec: ConnectorSpec,
    settings: &Settings,
    columns: &Columns,
    reached: Option<&mut Reached>,
    problems: &mut Vec<Problem>,
) -> Option<(Plan, Drop)> {
    let Way::Drop(files) = &spec.way else { return None };
    let online = reached.is_some();
    let file = spec.file.clone();
    let mut note = |severity, key: &str, message: String| {
        let key = key.to_owned();
        problems.push(Problem {
            severity,
            file: file.clone(),
            line: 0,
            column: 0,
            key,
            message,
            hint: None,
            disk: false,
        });
    };
    let now = clock::now();
    let today = now.to_jiff().to_zoned(files.timing.cut_offs.zone().clone()).date();
    if let Some(text) = files.calendar.as_ref().and_then(|calendar| expiring(calendar, today)) {
        note(Severity::Warning, "drop.schedule.calendar", text);
    }
    secrets(files, online, &mut note);
    keys(files, online, now, &mut note);
    // With the record as it is, its fields are the columns of the tables.
    if !files.feed.knows_fields() {
        let kinds = columns
            .iter()
            .filter(|(kind, _)| [Op::Insert, Op::Update, Op::Delete].into_iter().any(|op| spec.listen.hears(kind, op)));
        for (kind, columns) in kinds {
            let made = files.feed.make(&settings.office, &spec.name, Some(columns.clone()));
            for text in made.err().unwrap_or_default() {
                note(Severity::Error, "drop.format", format!("for `{kind}`: {text}"));
            }
        }
    }
    let next = match files.timing.cut_offs.of(now) {
        Ok(cut) => {
            let at = cut.at.to_jiff().to_zoned(files.timing.cut_offs.zone().clone());
            Some(format!("{}, of {}", at.strftime("%Y-%m-%d %H:%M %Z"), cut.slot.date))
        }
        Err(error) => {
            note(Severity::Error, "drop.schedule.calendar", error.to_string());
            None
        }
    };
    let places: Vec<&str> = files.deliver.iter().map(|place| place.name.as_str()).collect();
    let target = places.join(", ");
    let lines = std::mem::take(&mut spec.mapping_lines);
    let at: At = spec.mapping_place;
    match build::drop(spec, settings, [0; 32]) {
        Ok(drop) => {
            for gap in drop.feed.gaps() {
                let (file, key) = (drop.file.clone(), "drop.format".to_owned());
                let hint = Some("map or set what the receiver reads".to_owned());
                let message = format!("{gap}: spaces, zeros or their VALUE");
                problems.push(Problem {
                    severity: Severity::Warning,
                    file,
                    line: 0,
                    column: 0,
                    key,
                    message,
                    hint,
                    disk: false,
                });
            }
            if let (Some(reached), Some(hook)) = (reached, &drop.hook) {
                let name = format!("hook of {}", drop.subscription.name);
                reached.push((name, hook.probe().map_err(|reason| reason.to_string())));
            }
            tables::compare(&drop.file, &drop.subscription, &[], (at, &lines, at), columns, problems);
            let plan = Plan {
                connector: drop.subscription.name.to_string(),
                listen: drop.subscription.listen.patterns().to_vec(),
                target,
                when: "as files".to_owned(),
                start: if drop.from_beginning { "beginning" } else { "now" },
                next,
            };
            Some((plan, drop))
        }
        Err(wrong) => {
            problems.extend(wrong.list().iter().cloned());
            None
        }
    }
}

/// What the places of a drop say, each with the drop's name.
pub fn reach(drop: &Drop) -> impl Iterator<Item = (String, Result<String, String>)> {
    let name = drop.subscription.name.to_string();
    drop.probe().into_iter().map(move |(place, probed)| {
        let said = probed.map(|()| "can be reached, and its folder is there".to_owned());
        (format!("{name}, {place}"), said.map_err(|trouble| format!("{}: {trouble}", trouble.class.word())))
    })
}

/// A calendar that ends soon is extended before the drop stands still; of one that has ended it is said where the next
/// cut-off is looked for.
fn expiring(calendar: &Calendar, today: Date) -> Option<String> {
    let (_, last) = calendar.years();
    let left = calendar.expires(today).filter(|left| *left >= 0)?;
    let next = last.saturating_add(1);
    Some(format!("the calendar ends in {left} days, with {last}: add the holidays of {next}"))
}

/// Tries the secrets of the places, and those of the keys of our own.
fn secrets(files: &DropSpec, online: bool, note: &mut impl FnMut(Severity, &str, String)) {
    let mut all: Vec<(String, &SecretRef, String)> = Vec::new();
    for place in &files.deliver {
        let Place::Sftp(sftp) = &place.place else { continue };
        let of = format!("for `{}`", place.name);
        all.extend(sftp.secrets.iter().map(|(key, from)| (format!("drop.deliver.sftp.{key}"), from, of.clone())));
    }
    for (under, of, own) in own_keys(files) {
        all.extend(own.secrets().into_iter().map(|(key, from)| (format!("{under}.{key}"), from, of.to_owned())));
    }
    for (key, from, of) in all {
        if matches!(from, SecretRef::Exec(_)) && !online {
            continue;
        }
        let source = if key.ends_with(".key") {
            SecretSource::with_lines(from.clone())
        } else {
            SecretSource::new(from.clone())
        };
        let Err(why) = source.get() else { continue };
        let elsewhere = matches!(from, SecretRef::Env(_))
            || (matches!(from, SecretRef::Credential(_)) && std::env::var_os("CREDENTIALS_DIRECTORY").is_none());
        let severity = if elsewhere { Severity::Warning } else { Severity::Error };
        note(severity, &key, format!("the secret {of} cannot be had here: {why}"));
    }
}

/// The private keys of a drop: where each stands, and what it is for.
fn own_keys(files: &DropSpec) -> impl Iterator<Item = (&'static str, &'static str, &OwnKeySpec)> {
    let sign = files.pgp.iter().filter_map(|pgp| pgp.sign.as_ref());
    let answers = files.ack.iter().filter_map(|ack| ack.pgp.as_ref()).filter_map(|pgp| pgp.key.as_ref());
    let sign = sign.map(|own| ("drop.pgp.sign", "that signs files", own));
    sign.chain(answers.map(|own| ("drop.ack.pgp", "that decrypts answers", own)))
}

/// How the keys of a drop's encryption stand. Programs that print a secret are run only when `online`.
pub fn standings(files: &DropSpec, online: bool, now: Timestamp) -> Vec<(&'static str, Standing)> {
    let (mut seal, mut open) = (files.pgp.clone(), files.ack.as_ref().and_then(|ack| ack.pgp.clone()));
    let runs = |own: &OwnKeySpec| own.secrets().iter().any(|(_, from)| matches!(from, SecretRef::Exec(_)));
    if !online {
        seal.iter_mut().for_each(|seal| seal.sign = seal.sign.take().filter(|own| !runs(own)));
        open.iter_mut().for_each(|open| open.key = open.key.take().filter(|own| !runs(own)));
    }
    let seal = seal.into_iter().flat_map(|spec| spec.seal().standings(now));
    let open = open.into_iter().flat_map(|spec| spec.open().standings(now));
    seal.map(|standing| ("drop.pgp", standing)).chain(open.map(|standing| ("drop.ack.pgp", standing))).collect()
}

/// Says which keys cannot be used, or will not be soon.
fn keys(files: &DropSpec, online: bool, now: Timestamp, note: &mut impl FnMut(Severity, &str, String)) {
    for (key, standing) in standings(files, online, now) {
        let called = standing.called();
        match &standing.ends {
            // What keeps a secret from being had was said.
            Err(Unusable::Secret(_)) => {}
            Err(Unusable::Key(why)) => note(Severity::Error, key, format!("{called} cannot be used: {why}")),
            Ok(Some(ends)) if *ends < now.plus(SOON) => {
                note(
                    Severity::Warning,
                    key,
                    format!("{called} ends at {ends}: put one that is valid for longer in its place"),
                );
            }
            Ok(_) => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_calendar_is_said_to_end_sixty_days_before_it_does() {
        let calendar = Calendar::parse("covers 2026-2027").unwrap();
        let said = |day: &str| expiring(&calendar, day.parse().unwrap());
        assert_eq!(said("2027-10-31"), None);
        let text = "the calendar ends in 60 days, with 2027: add the holidays of 2028";
        assert_eq!(said("2027-11-01").as_deref(), Some(text));
        assert!(said("2027-12-31").unwrap().contains("in 0 days"));
        assert_eq!(said("2028-01-01"), None);
    }
}
