//! Names of a record's items: which item a name means, and what to call each.

use std::collections::HashMap;
use std::ptr::from_ref;
use std::sync::Arc;

use crate::format::layout::Item;
use crate::rules::nearest;

/// The items of a record that have names.
pub(super) struct Names<'l> {
    /// Each item with the names around it, the nearest first.
    items: Vec<(&'l Item, Vec<Arc<str>>)>,
    titles: HashMap<*const Item, Arc<str>>,
}

impl<'l> Names<'l> {
    pub fn of(record: &'l Item) -> Names<'l> {
        let mut items = Vec::new();
        collect(record, &mut Vec::new(), &mut items);
        let mut same: HashMap<Arc<str>, usize> = HashMap::new();
        for (item, _) in &items {
            *same.entry(item.title().into()).or_default() += 1;
        }
        let titles = items.iter().map(|(item, around)| {
            let alone = same.get(item.title()).is_some_and(|number| *number == 1);
            (from_ref(*item), if alone { item.title().into() } else { qualified(item, around) })
        });
        let titles = titles.collect();
        Names { items, titles }
    }

    /// What an item is called: its name, with the groups around it where the name alone is several items'.
    pub fn title(&self, item: &Item) -> Arc<str> {
        self.titles.get(&from_ref(item)).cloned().unwrap_or_else(|| item.title().into())
    }

    /// The item that `NAME` or `NAME OF GROUP` means.
    pub fn find(&self, name: &str) -> Result<&'l Item, String> {
        let upper = name.to_uppercase();
        let mut words = upper.split_whitespace();
        let own = words.next().unwrap_or_default();
        let groups: Vec<&str> = words.filter(|word| !matches!(*word, "OF" | "IN")).collect();
        let is = |(item, around): &&(&Item, Vec<Arc<str>>)| {
            let mut around = around.iter();
            item.is_called(own) && groups.iter().all(|group| around.any(|name| **name == **group))
        };
        let found: Vec<_> = self.items.iter().filter(is).collect();
        match found.as_slice() {
            [(item, _)] => Ok(item),
            [] => {
                let hint = nearest::hint(name, self.items.iter().map(|(item, _)| item.title()));
                Err(format!("there is no item `{name}`{hint}"))
            }
            several => {
                let titles: Vec<String> =
                    several.iter().map(|(item, around)| qualified(item, around).to_string()).collect();
                Err(format!("`{name}` is the name of several items: say which ({})", titles.join(", ")))
            }
        }
    }
}

fn collect<'l>(item: &'l Item, around: &mut Vec<Arc<str>>, items: &mut Vec<(&'l Item, Vec<Arc<str>>)>) {
    if item.name.is_some() {
        items.push((item, around.iter().rev().cloned().collect()));
    }
    around.extend(item.name.clone());
    for below in item.items() {
        collect(below, around, items);
    }
    if item.name.is_some() {
        around.pop();
    }
}

/// `NAME OF GROUP OF RECORD`.
fn qualified(item: &Item, around: &[Arc<str>]) -> Arc<str> {
    let all: Vec<&str> = std::iter::once(item.title()).chain(around.iter().map(|name| &**name)).collect();
    all.join(" OF ").into()
}
