//! `snapshot`: what somebody who helps from afar needs to know, in one file, without a secret and without a record.

mod pieces;

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cli::failure::{Code, Failure};
use crate::cli::place::Place;
use crate::cli::{Outcome, output};
use crate::clock;
use pieces::{Piece, gather};

/// Lines of the log that go into it.
const LINES: u32 = 2000;

/// Writes a support bundle without secrets and without any record
///
/// A tar.gz with the version, the configuration without its secrets and literals, what `status` and `doctor` say, the last
/// lines of the log, how the watched tables are declared, and figures of the state file and the machine. Event payloads,
/// keys and the bodies of requests and answers are not looked at. Works while the agent runs and when it does not, with a
/// configuration that is wrong and with a state file that is damaged; then the bundle says so.
#[derive(Debug, clap::Args)]
pub struct Snapshot {
    /// The new file [default: hms-sync-snapshot-TIME.tar.gz here]; one that is there is not written over
    file: Option<PathBuf>,
    /// Shows what would be in it, and writes nothing
    #[arg(long, conflicts_with = "file")]
    list: bool,
    /// At most so many lines of the log
    #[arg(long, value_name = "N", default_value_t = LINES)]
    lines: u32,
}

/// Runs `snapshot`. 73 when the file cannot be written; what cannot be found out is said in it and is no error.
pub fn snapshot(place: &Place, snapshot: Snapshot) -> Outcome {
    let pieces = gather(place, snapshot.lines);
    if !snapshot.list {
        let name = || format!("hms-sync-snapshot-{}.tar.gz", clock::now().to_string().replace([':', '.'], "-"));
        let file = snapshot.file.unwrap_or_else(|| name().into());
        let cannot = |error: std::io::Error| {
            Failure::new(
                Code::CannotWrite,
                format!("{}: cannot be written: {error}; name another file", file.display()),
            )
        };
        let new = File::options().write(true).create_new(true).mode(0o600).open(&file).map_err(cannot)?;
        if let Err(error) = write(new, &pieces) {
            let _ = std::fs::remove_file(&file);
            return Err(cannot(error));
        }
        tell(place, Some(&file), &pieces)?;
    } else {
        tell(place, None, &pieces)?;
    }
    Ok(Code::Ok)
}

fn write(file: File, pieces: &[Piece]) -> std::io::Result<()> {
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let seconds = u64::try_from(clock::now().0 / 1000).unwrap_or(0);
    for piece in pieces {
        let mut header = tar::Header::new_gnu();
        header.set_size(piece.text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(seconds);
        archive.append_data(&mut header, Path::new("hms-sync").join(&piece.name), piece.text.as_bytes())?;
    }
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.sync_all()
}

fn tell(place: &Place, file: Option<&Path>, pieces: &[Piece]) -> Result<(), Failure> {
    if place.json() {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|piece| {
                serde_json::json!({
                    "name": piece.name, "what": piece.what, "bytes": piece.text.len(), "trouble": piece.trouble,
                })
            })
            .collect();
        let file = file.map(|file| file.display().to_string());
        return output::json(&serde_json::json!({ "file": file, "pieces": pieces }));
    }
    if place.quiet() {
        return Ok(());
    }
    let rows = pieces.iter().map(|piece| {
        let what = match &piece.trouble {
            Some(trouble) => format!("{} (not all of it: {trouble})", piece.what),
            None => piece.what.to_owned(),
        };
        vec![piece.name.clone(), piece.text.len().to_string(), what]
    });
    output::table(&["PIECE", "BYTES", "WHAT"], rows.collect())?;
    match file {
        Some(file) => output::line(&format!("{}: look through it before it leaves this house", file.display())),
        None => Ok(()),
    }
}
