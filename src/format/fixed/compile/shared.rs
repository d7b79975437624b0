//! Groups, and items that share a place.

use std::ptr::from_ref;

use crate::event::Value;
use crate::format::fixed::Select;
use crate::format::fixed::compile::{Compiler, Within, bytes};
use crate::format::fixed::step::{Arm, Chosen, Slot, Step};
use crate::format::layout::Item;
use crate::rules::nearest;

impl Compiler<'_> {
    /// The items of a group, one after the other.
    pub(super) fn group(&mut self, items: &[Item], within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        let mut rest = items;
        while let Some((first, after)) = rest.split_first() {
            let sharing = after.iter().take_while(|item| item.redefines.is_some()).count();
            let (own, next) = rest.split_at(sharing + 1);
            match own {
                [_] => self.item(first, within, steps, slots),
                several => self.shared(several, within, steps, slots),
            }
            rest = next;
        }
    }

    /// Items that share a place, the first of which has it.
    fn shared(&mut self, items: &[Item], within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        let Some(first) = items.first() else { return };
        let is_one = |(item, _): &&(*const Item, &Select)| items.iter().any(|own| from_ref(own) == *item);
        let select = match self.choices.iter().filter(is_one).collect::<Vec<_>>().as_slice() {
            [(_, select)] => *select,
            [] => {
                let names: Vec<_> = items.iter().map(|item| format!("`{}`", item.title())).collect();
                let text = format!("{} share one place: say which of them counts", names.join(", "));
                return self.wrong(first, text);
            }
            _ => return self.wrong(first, "there are several choices for its place"),
        };
        // Whatever is chosen, the place was met.
        self.met.extend(
            items.iter().filter(|item| self.choices.iter().any(|(of, _)| *of == from_ref(*item))).map(from_ref),
        );
        match select {
            Select::Always(name) => {
                if let Some(item) = self.member(items, name) {
                    self.arm(items, item, within, steps, slots);
                }
            }
            Select::By { item, when } => {
                let item = item.clone();
                self.chosen(items, &item, when, Within { fixed: false, ..within }, steps, slots);
            }
        }
    }

    /// One of those that share a place, by its name.
    fn member<'i>(&mut self, items: &'i [Item], name: &str) -> Option<&'i Item> {
        let mut found = items.iter().filter(|item| item.title().eq_ignore_ascii_case(name));
        match (found.next(), found.next(), items.first()) {
            (Some(item), None, _) => Some(item),
            (Some(item), Some(_), _) => {
                self.wrong(item, "several items without a name share this place: give the chosen one a name");
                None
            }
            (None, _, Some(first)) => {
                let hint = nearest::hint(name, items.iter().map(Item::title));
                self.wrong(first, format!("`{name}` does not share its place{hint}"));
                None
            }
            (None, _, None) => None,
        }
    }

    /// One of those that share a place, and spaces up to the end of the longest.
    fn arm(&mut self, items: &[Item], item: &Item, within: Within, steps: &mut Vec<Step>, slots: &mut Vec<Slot>) {
        let longest = items.iter().map(Item::whole).max().unwrap_or_default();
        self.around.push(from_ref(item));
        self.item(item, within, steps, slots);
        self.around.pop();
        let missing = longest.saturating_sub(item.whole());
        if missing > 0 {
            bytes(steps, &vec![self.options.page.space(); missing]);
            self.gap(self.names.title(item), item.offset + item.whole(), missing, within, "spaces");
        }
    }

    /// A choice by the value of an item before.
    fn chosen(
        &mut self,
        items: &[Item],
        by: &str,
        when: &[(Value, String)],
        within: Within,
        steps: &mut Vec<Step>,
        slots: &mut Vec<Slot>,
    ) {
        let (Some(first), Ok(item)) = (items.first(), self.names.find(by)) else { return };
        let mark = self.marks.get(&from_ref(item));
        let met = mark.and_then(|mark| Some((mark.number, mark.met.as_ref()?)));
        let (mark, cell) = match met {
            Some((number, (cell, around))) if self.around.starts_with(around) => (number, cell.clone()),
            _ => {
                let text = format!(
                    "`{by}` chooses what stands here, so it stands before, in the same occurrence or around it"
                );
                return self.wrong(first, text);
            }
        };
        let mut arms: Vec<(&Item, Arm)> = Vec::new();
        for (value, name) in when {
            let Some(member) = self.member(items, name) else { continue };
            let key = match cell.key(value) {
                Ok(key) => key,
                Err(code) => {
                    self.wrong(item, format!("a value that chooses `{name}` does not fit into it: {code}"));
                    continue;
                }
            };
            if arms.iter().any(|(_, arm)| arm.keys.contains(&key)) {
                self.wrong(item, format!("one value chooses `{name}` and, again, this or another"));
            }
            match arms.iter_mut().find(|(own, _)| from_ref(*own) == from_ref(member)) {
                Some((_, arm)) => arm.keys.push(key),
                None => arms.push((member, Arm { keys: vec![key], steps: Vec::new() })),
            }
        }
        if arms.is_empty() {
            self.wrong(first, format!("no value of `{by}` chooses what stands here"));
        }
        let arms = arms.into_iter().map(|(member, mut arm)| {
            self.arm(items, member, within, &mut arm.steps, slots);
            arm
        });
        let arms = arms.collect();
        steps.push(Step::Choice(Box::new(Chosen { mark, cell, arms })));
    }
}
