//! `deliver:` of a drop: the places where its files are published, and how.

use std::path::PathBuf;

use crate::config::drop::naming::{beside, once_each};
use crate::config::drop::sftp::{self, SftpSpec};
use crate::config::drop::{Adapter, Whole};
use crate::config::fields::Fields;
use crate::config::found::Found;
use crate::engine::drop::Beside;
use crate::engine::drop::outlet::{Outlet, Reach};
use crate::rules::naming::{Pattern, Place as At};
use crate::rules::publish::{Overwrite, Strategy, Terms, Verify};

/// A place where files are published.
#[derive(Clone, Debug)]
pub struct Deliver {
    /// Its name in the ledger; default the host, or the folder.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// `publish`, `overwrite`, and whether a name means the same file each time.
    pub terms: Terms,
    /// `verify`.
    pub verify: Verify,
    /// `resume`.
    pub resume: bool,
    /// `tidy`, in days; none = never.
    pub tidy_days: Option<u32>,
    /// `trigger`.
    pub trigger: Option<Beside>,
}

/// Where it is.
#[derive(Clone, Debug)]
pub enum Place {
    /// Over SSH.
    Sftp(Box<SftpSpec>),
    /// On this machine, or mounted.
    Directory {
        /// Where files are published.
        folder: PathBuf,
        /// Where temporary files are; none = there too.
        temps: Option<PathBuf>,
    },
}

impl Deliver {
    /// Ready to be opened. No secret is read yet.
    pub(crate) fn outlet(self) -> Outlet {
        let Deliver { name, place, terms, verify, resume, tidy_days, trigger } = self;
        let reach = match place {
            Place::Sftp(spec) => Reach::Sftp(Box::new(spec.target())),
            Place::Directory { folder, temps } => Reach::Directory { folder, temps },
        };
        Outlet { name, reach, terms, verify, resume, tidy_days, trigger }
    }
}

/// Reads `deliver:`, one place or a list; `data` is the name of the data file.
pub(super) fn deliver(fields: &Fields<'_>, whole: &Whole<'_>, data: Option<&Pattern>) -> Option<Vec<Deliver>> {
    let found = fields.need("deliver")?;
    let items = found.one_or_many();
    if items.is_empty() {
        found.error_hint("names no place", "write `- sftp: {...}` or `- directory: PATH`");
        return None;
    }
    let read: Vec<Option<Deliver>> = items.iter().map(|item| one(item, data)).collect();
    let places: Vec<&Deliver> = read.iter().flatten().collect();
    for (at, place) in places.iter().enumerate() {
        if places.iter().take(at).any(|before| before.name == place.name) {
            items.get(at).unwrap_or(&found).error_hint(
                format!("has the name `{}` of another place", place.name),
                "give it a `name`: what was published where is kept by it",
            );
        }
    }
    let wanted = |place: &Deliver| match place.place {
        Place::Sftp(_) => whole.adapter == Adapter::Sftp,
        Place::Directory { .. } => whole.adapter == Adapter::Directory,
    };
    if read.iter().all(Option::is_some) && !places.iter().any(|place| wanted(place)) {
        let word = if whole.adapter == Adapter::Sftp { "sftp" } else { "directory" };
        found.error_hint(format!("has no place of `adapter: {word}`"), "the adapter is that of at least one place");
    }
    read.into_iter().collect()
}

/// One place; `data` is the name of the data file.
fn one(found: &Found<'_>, data: Option<&Pattern>) -> Option<Deliver> {
    const PUBLISH: [(&str, Strategy); 3] =
        [("rename", Strategy::Rename), ("trigger", Strategy::Trigger), ("direct", Strategy::Direct)];
    const OVERWRITE: [(&str, Overwrite); 2] = [("never", Overwrite::Never), ("atomic", Overwrite::Atomic)];
    const VERIFY: [(&str, Verify); 3] =
        [("size", Verify::Size), ("read_back", Verify::ReadBack), ("none", Verify::None)];
    let fields = found.fields()?;
    let name = fields.take("name").map_or(Some(None), |found| found.text().map(Some));
    let place = place(found, &fields);
    let publish = fields.take("publish");
    let strategy = publish.as_ref().map_or(Some(Strategy::default()), |found| found.choice("way to publish", &PUBLISH));
    let over = fields.take("overwrite");
    let overwrite =
        over.as_ref().map_or(Some(Overwrite::default()), |found| found.choice("rule for overwriting", &OVERWRITE));
    let verify = fields.take("verify").map_or(Some(Verify::default()), |found| found.choice("way to verify", &VERIFY));
    let resume = fields.take("resume").map_or(Some(true), |found| found.flag());
    let tidy_days = fields.take("tidy").map_or(Some(None), |found| {
        let days = found.duration()?.as_secs() / 86_400;
        if days == 0 {
            found.error("is shorter than a day");
        }
        u32::try_from(days).ok().map(Some)
    });
    let trigger = fields.take("trigger").map_or(Some(None), |found| match found.is_text() {
        true => {
            let name = found.parsed(|text| Pattern::parse(text, At::Beside))?;
            if let Some(data) = data {
                once_each(&found, &name, data);
            }
            Some(Some(Beside { name, text: Pattern::parse("", At::Control).ok()? }))
        }
        false => beside(&found, At::Trigger, "{file}.done", data).map(Some),
    });
    fields.done();
    let (strategy, overwrite, trigger) = (strategy?, overwrite?, trigger?);
    match (strategy, &trigger, &publish) {
        (Strategy::Trigger, None, Some(publish)) => {
            publish.error_hint("has no `trigger` beside it", "write for example trigger: {name: \"{file}.done\"}");
        }
        (Strategy::Direct, None, Some(publish)) => publish.warn(
            "writes under the final name, and nothing tells the receiver when the file is whole",
            Some("use `rename`, or `trigger` where the server cannot rename"),
        ),
        (Strategy::Direct, Some(_), Some(publish)) => {
            publish.error_hint("stands beside a `trigger`", "write `publish: trigger`");
        }
        _ => {}
    }
    if let (Some(over), Overwrite::Atomic) = (&over, overwrite)
        && strategy != Strategy::Rename
    {
        over.error_hint("`atomic` needs `publish: rename`", "only a rename replaces a file in one step");
    }
    let place = place?;
    let name = name?.map_or_else(|| place.title(), str::to_owned);
    // `NAME(+1)` means another file each time.
    let repeatable = data.is_none_or(|name| !name.is_relative());
    let terms = Terms { strategy, overwrite, repeatable };
    Some(Deliver { name, place, terms, verify: verify?, resume: resume?, tidy_days: tidy_days?, trigger })
}

/// `sftp: {...}`, or `directory: PATH` or `{path, temp_dir}`.
pub(super) fn place(found: &Found<'_>, fields: &Fields<'_>) -> Option<Place> {
    match (fields.take("sftp"), fields.take("directory")) {
        (Some(sftp), None) => sftp::sftp(&sftp, true).map(|spec| Place::Sftp(Box::new(spec))),
        (None, Some(directory)) if directory.is_section() => {
            let fields = directory.fields()?;
            let folder = fields.need("path").and_then(|found| found.path());
            let temps = fields.take("tempDir").map_or(Some(None), |found| found.path().map(Some));
            fields.done();
            Some(Place::Directory { folder: folder?, temps: temps? })
        }
        (None, Some(directory)) => directory.path().map(|folder| Place::Directory { folder, temps: None }),
        (Some(_), Some(directory)) => {
            directory.error_hint("stands beside `sftp`", "each place has an entry of its own");
            None
        }
        (None, None) => {
            found.error_hint("does not say where", "write `sftp: {host: ...}` or `directory: PATH`");
            None
        }
    }
}

impl Place {
    /// What it is called unless it has a name of its own.
    fn title(&self) -> String {
        match self {
            Place::Sftp(spec) => spec.host.clone(),
            Place::Directory { folder, .. } => folder.display().to_string(),
        }
    }
}
