//! `audit verify`.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Where;
use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::engine::archive::{Piece, read_checkpoints};
use crate::engine::auditor::{self, Check, Verdict};
use crate::format::note::{NotAKey, Verifier};

/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Proves that the audit is as it was recorded, or names the first record that is not
///
/// Ends with 0 when all is as it was recorded, with 65 when not. Reads the archive and the state file; or FILE alone, which
/// is an export or one piece of an archive. That the end was cut off shows only by a checkpoint: those beside the archive are
/// looked at; what proves more is one that was kept elsewhere.
#[derive(Debug, Args)]
pub struct Verify {
    /// An export (JSON lines or CSV) or a piece of an archive, instead of all there is
    #[arg(value_name = "FILE", conflicts_with = "archive")]
    file: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
    /// Checkpoints that were kept elsewhere: a file of them, or a log in which they stand; may be given more than once
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// The key that must have signed, or one that leads to it: as `audit head` prints it, or a file with that
    #[arg(long, value_name = "KEY")]
    key: Vec<String>,
}

/// Runs `audit verify`.
pub fn verify(place: &Place, verify: &Verify) -> Outcome {
    let keys = verify.key.iter().map(|key| read_key(key)).collect::<Result<_, _>>()?;
    let mut check = Check::new(keys);
    let unreadable = |path: &Path, error: &dyn std::fmt::Display| {
        Failure::new(Code::Unavailable, format!("{}: {error}", path.display()))
    };
    let mut trail = match &verify.file {
        Some(_) => None,
        None => Some(verify.place.trail(place)?),
    };
    for path in &verify.checkpoint {
        let origin = trail.as_ref().map(|trail| trail.origin().to_owned());
        let notes = read_checkpoints(path, origin.as_deref()).map_err(|error| unreadable(path, &error))?;
        if notes.is_empty() {
            let whose = origin.map(|origin| format!(" of {origin}")).unwrap_or_default();
            let text = format!("{}: there is no checkpoint{whose} in it", path.display());
            return Err(Failure::new(Code::Data, text));
        }
        notes.into_iter().for_each(|note| check.note(note, &path.display().to_string()));
    }
    match (&mut trail, &verify.file) {
        (Some(trail), _) => auditor::verify(trail, &mut check)?,
        (None, Some(path)) => {
            let name = path.display().to_string();
            let mut from =
                BufReader::with_capacity(1 << 18, File::open(path).map_err(|error| unreadable(path, &error))?);
            if from.fill_buf().map_err(|error| unreadable(path, &error))?.starts_with(&GZIP) {
                auditor::verify_piece(&Piece { first_n: 0, path: path.clone() }, &mut check)?;
                check.settle();
            } else {
                auditor::verify_export(from, &name, &mut check)?;
            }
        }
        (None, None) => {}
    }
    told(place, &check.verdict())
}

fn read_key(text: &str) -> Result<Verifier, Failure> {
    let told = |error: NotAKey| Failure::new(Code::Usage, format!("--key {text}: {error}"));
    let path = Path::new(text);
    if !path.exists() {
        return Verifier::read(text).map_err(told);
    }
    let read =
        std::fs::read_to_string(path).map_err(|error| Failure::new(Code::Unavailable, format!("{text}: {error}")))?;
    let found = read.split_whitespace().find_map(|word| Verifier::read(word).ok());
    found.ok_or(NotAKey).map_err(told)
}

fn told(place: &Place, verdict: &Verdict) -> Outcome {
    if place.json() {
        output::json(verdict)?;
    } else {
        for warning in &verdict.warnings {
            eprintln!("hms-sync: {warning}");
        }
        if let Some(broken) = &verdict.broken {
            output::line(&format!("record {} {} ({})", broken.n, broken.what, broken.place))?;
            output::line(&format!("{} records before it are as they were recorded", verdict.records))?;
        } else if !place.quiet() {
            let Verdict { origin, first, last, records, .. } = verdict;
            output::line(&format!("{origin}: {records} records, rows {first} to {last}: all as they were recorded"))?;
            if let Some(signed) = verdict.signed {
                output::line(&format!("signed up to row {signed}"))?;
            }
        }
    }
    Ok(if verdict.whole { Code::Ok } else { Code::Data })
}
