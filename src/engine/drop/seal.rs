//! Encryption of rendered files: once for each file, since no second time gives the same bytes. What was encrypted is noted with its
//! size and hash in the commit that calls the file rendered, lies in the archive from then on, and is sent as it is.

use std::fs::File;
use std::io::BufReader;

use super::Drop;
use super::render::Unrendered;
use super::staging::Draft;
use super::worker::Worker;
use crate::adapter::pgp::{KEY, Seal, Unsealed};
use crate::clock;
use crate::rules::outcome::Reason;
use crate::store::state::drops::DropFile;
use crate::store::state::drops::place::Piece;

/// The piece that is the encrypted data file; a file without it leaves as it was rendered.
pub(super) const SENT: &str = "sent";

impl Worker {
    /// How a file is to be encrypted that was not yet; none = it is not to be.
    ///
    /// The keys are those of now, because those of the cut may have ended since. A file that was cut to be encrypted never leaves
    /// as it is; one that was rendered to leave as it is does.
    pub(super) fn seals<'d>(&'d self, file: &DropFile, as_it_was: &'d Drop) -> Option<&'d Seal> {
        if file.sha256.is_some() {
            return None;
        }
        self.drop.pgp.as_ref().or(as_it_was.pgp.as_ref())
    }

    /// Encrypts a rendered file.
    pub(super) fn seal(&self, file: &DropFile, seal: &Seal) -> Result<Piece, Unrendered> {
        let name = file.name.clone().unwrap_or_default();
        let from = BufReader::with_capacity(1 << 16, File::open(self.staging.path(file.id))?);
        let mut draft = self.staging.write_sealed(file.id)?;
        seal.seal(from, &mut draft, clock::now()).map_err(|unsealed| match unsealed {
            Unsealed::Io(error) => Unrendered::Step(error.into()),
            Unsealed::Reason(reason) => Unrendered::Reason(reason),
        })?;
        let written = Draft::finish(draft)?;
        Ok(Piece { role: SENT.to_owned(), name, size: written.size, sha256: written.sha256, body: None })
    }
}

/// Why nothing can be encrypted now: said before a long file is rendered for nothing.
pub(super) fn hindrance(seal: &Seal) -> Option<Reason> {
    seal.standings(clock::now()).into_iter().find_map(|standing| {
        let why = standing.ends.as_ref().err()?;
        Some(Reason::new(KEY, format!("{} cannot be used: {}", standing.called(), why.text())))
    })
}
