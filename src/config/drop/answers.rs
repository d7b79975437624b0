//! `ack:` of a drop, ready to run.

use crate::config::drop::ack::{self, AckSpec};
use crate::config::drop::deliver::{Deliver, Place};
use crate::config::drop::format::FeedSpec;
use crate::config::drop::pgp::OpenSpec;
use crate::engine::drop::acknowledge::{Ack, After};
use crate::engine::drop::outlet::Reach;

impl AckSpec {
    /// Ready to run. `places` are those of `deliver`, `ours` is what our files look like. No secret is read yet.
    pub(crate) fn answers(self, places: &[Deliver], ours: &FeedSpec) -> Result<Ack, Vec<String>> {
        let feed = self.feed()?;
        let Some(place) = places.iter().find(|place| place.name == self.from) else {
            return Err(vec![format!("there is no place `{}` in `deliver`", self.from)]);
        };
        let (after, folder) = match self.after {
            ack::After::Leave => (After::Leave, None),
            ack::After::Delete => (After::Delete, None),
            ack::After::Move(folder) => (After::Move, Some(folder)),
        };
        Ok(Ack {
            outlet: self.from,
            reach: reach(&place.place, &self.dir, folder.as_deref()),
            pattern: self.pattern,
            trigger: self.trigger,
            settle: self.settle,
            feed,
            file: self.file,
            record: self.record.map(|(item, name)| (item, field(ours, name))),
            status: self.status,
            file_status: self.file_status,
            code: self.code,
            text: self.text,
            unlisted: self.unlisted,
            overdue: self.overdue,
            after,
            pgp: self.pgp.map(OpenSpec::open),
        })
    }
}

/// The folder of answers at a place, and that of those that were used: one name is a folder beside the answers, a path
/// begins where that of the answers does.
fn reach(place: &Place, dir: &str, used: Option<&str>) -> Reach {
    match place {
        Place::Directory { folder: place, .. } => {
            // An absolute path takes the place of what it is joined to.
            let folder = if dir.is_empty() { place.clone() } else { place.join(dir) };
            let temps = used.map(|used| if used.contains('/') { place.join(used) } else { folder.join(used) });
            Reach::Directory { folder, temps }
        }
        Place::Sftp(spec) => {
            let mut target = spec.clone().target();
            dir.clone_into(&mut target.folder);
            let beside = |used: &str| !used.contains('/') && !dir.is_empty();
            target.temps = used.map(|used| match beside(used) {
                true => format!("{}/{used}", dir.trim_end_matches('/')),
                false => used.to_owned(),
            });
            Reach::Sftp(Box::new(target))
        }
    }
}

/// The name under which a file that is read back has an item or a column.
fn field(ours: &FeedSpec, name: String) -> String {
    let FeedSpec::Csv(spec) = ours else { return name };
    let is = |known: &str| known.eq_ignore_ascii_case(&name);
    let mut columns = spec.columns.iter().map(|column| &column.column);
    let column = columns.clone().find(|column| is(&column.field)).or_else(|| columns.find(|column| is(&column.name)));
    column.map_or(name, |column| column.field.clone())
}
