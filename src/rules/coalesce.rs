//! What a file says of one record that changed several times since the last one, or of a record that the host lacks.
//!
//! The action comes from two facts: does the host have the record (the drop's ledger), and does the record exist at the
//! cut. The operations alone do not decide it: an insert that was held, or a drop that began after the record did, makes
//! the first change an add.

use crate::event::Op;

/// How the changes of one record become lines of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coalesce {
    /// One line at most: what the changes come to.
    #[default]
    Net,
    /// One line for each change, in order.
    All,
}

/// What a line tells the host to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// The host lacks the record.
    Add,
    /// The host has it.
    Change,
    /// The host has it and is to lose it.
    Delete,
    /// No row: a message that was posted. Always sent as it is.
    Message,
}

impl Action {
    /// The word in the ledger and in `drop show`: `add`, `change`, `delete`, `message`.
    pub fn as_str(self) -> &'static str {
        match self {
            Action::Add => "add",
            Action::Change => "change",
            Action::Delete => "delete",
            Action::Message => "message",
        }
    }
}

/// One line for the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it tells the host.
    pub action: Action,
    /// Which change gives its image: an index into the changes.
    pub image: usize,
}

/// What the changes of one record come to. The batch carries every one of them, those without a line too: they are done
/// with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The lines, in order; none when there is nothing to tell.
    pub lines: Vec<Line>,
    /// Whether the host has the record when it has taken the lines.
    pub host_has: bool,
}

impl Coalesce {
    /// The setting by its word, `net` or `all`.
    pub fn parse(word: &str) -> Result<Coalesce, String> {
        match word {
            "net" => Ok(Coalesce::Net),
            "all" => Ok(Coalesce::All),
            other => Err(format!("`{other}` is not a way to coalesce: write `net` or `all`")),
        }
    }

    /// Decides for one record: its changes since the last cut in order, and whether the host has it. A change of the
    /// key is given as a delete of the old key and an insert of the new one, each with the changes of its own record.
    pub fn decide(self, changes: &[Op], had: bool) -> Outcome {
        let mut lines = Vec::new();
        let mut host_has = had;
        for (image, op) in changes.iter().enumerate() {
            let Some(action) = action(*op, host_has) else { continue };
            host_has = match action {
                Action::Add | Action::Change => true,
                Action::Delete => false,
                Action::Message => host_has,
            };
            lines.push(Line { action, image });
        }
        if self == Coalesce::Net {
            lines = net(changes, had, host_has);
        }
        Outcome { lines, host_has }
    }
}

/// One line for what became of the row, with the image of its last change; messages stay as they are.
fn net(changes: &[Op], had: bool, host_has: bool) -> Vec<Line> {
    let row = match (had, host_has) {
        (false, true) => Some(Action::Add),
        (true, true) => Some(Action::Change),
        (true, false) => Some(Action::Delete),
        (false, false) => None,
    };
    let last = changes.iter().rposition(|op| *op != Op::Event);
    let line = |(image, op): (usize, &Op)| match op {
        Op::Event => Some(Line { action: Action::Message, image }),
        _ if Some(image) == last => row.map(|action| Line { action, image }),
        _ => None,
    };
    changes.iter().enumerate().filter_map(line).collect()
}

/// What one change tells a host that has the record, or lacks it.
fn action(op: Op, host_has: bool) -> Option<Action> {
    match (op, host_has) {
        (Op::Event, _) => Some(Action::Message),
        (Op::Insert | Op::Update, false) => Some(Action::Add),
        (Op::Insert | Op::Update, true) => Some(Action::Change),
        (Op::Delete, true) => Some(Action::Delete),
        (Op::Delete, false) => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `A`, `C`, `D` and `E` (a message) as they are written in the tables below.
    fn ops(text: &str) -> Vec<Op> {
        let op = |letter| match letter {
            'A' => Op::Insert,
            'C' => Op::Update,
            'D' => Op::Delete,
            _ => Op::Event,
        };
        text.chars().map(op).collect()
    }

    fn lines(way: Coalesce, text: &str, host_has: bool) -> String {
        let letter = |action| match action {
            Action::Add => 'A',
            Action::Change => 'C',
            Action::Delete => 'D',
            Action::Message => 'E',
        };
        let outcome = way.decide(&ops(text), host_has);
        outcome.lines.iter().map(|line| format!("{}{}", letter(line.action), line.image)).collect()
    }

    #[test]
    fn the_net_of_two_changes_is_that_of_the_table() {
        for (changes, host_has, net) in [
            ("AC", false, "A1"),
            ("AD", false, ""),
            ("CC", true, "C1"),
            ("CD", true, "D1"),
            ("DA", true, "C1"),
            ("A", false, "A0"),
            ("C", true, "C0"),
            ("D", true, "D0"),
            ("", true, ""),
            ("", false, ""),
        ] {
            assert_eq!(lines(Coalesce::Net, changes, host_has), net, "{changes} {host_has}");
        }
    }

    #[test]
    fn longer_chains_come_to_what_is_there_at_the_end() {
        for (changes, host_has, net) in [
            ("ACCC", false, "A3"),
            ("ACDA", false, "A3"),
            ("ACD", false, ""),
            ("DAD", true, "D2"),
            ("DADA", true, "C3"),
            ("CDAC", true, "C3"),
            ("ADAD", false, ""),
        ] {
            assert_eq!(lines(Coalesce::Net, changes, host_has), net, "{changes} {host_has}");
        }
    }

    #[test]
    fn what_the_host_has_decides_and_not_the_operation() {
        // Its insert was held, or made before the drop began.
        assert_eq!(lines(Coalesce::Net, "C", false), "A0");
        assert_eq!(lines(Coalesce::Net, "D", false), "");
        assert_eq!(lines(Coalesce::Net, "CD", false), "");
        // A REPLACE over the same key shows as an insert.
        assert_eq!(lines(Coalesce::Net, "A", true), "C0");
        assert_eq!(lines(Coalesce::Net, "AD", true), "D1");
    }

    #[test]
    fn all_keeps_every_change_and_its_order() {
        assert_eq!(lines(Coalesce::All, "ACDAC", false), "A0C1D2A3C4");
        assert_eq!(lines(Coalesce::All, "CCD", true), "C0C1D2");
        assert_eq!(lines(Coalesce::All, "DDC", false), "A2");
    }

    #[test]
    fn messages_are_never_coalesced() {
        assert_eq!(lines(Coalesce::Net, "EEE", false), "E0E1E2");
        assert_eq!(lines(Coalesce::Net, "AECE", false), "E1A2E3");
        assert_eq!(lines(Coalesce::All, "EE", true), "E0E1");
    }

    #[test]
    fn a_way_has_two_words() {
        assert_eq!(Coalesce::parse("net"), Ok(Coalesce::Net));
        assert_eq!(Coalesce::parse("all"), Ok(Coalesce::All));
        assert!(Coalesce::parse("some").unwrap_err().contains("`net` or `all`"));
    }

    /// A host that obeys strictly: adds what it lacks, changes and deletes what it has.
    fn host(changes: &[Op], outcome: &Outcome, had: bool) -> Result<Option<usize>, String> {
        // usize::MAX stands for the image that it had before.
        let mut image = had.then_some(usize::MAX);
        for line in &outcome.lines {
            image = match (line.action, image) {
                (Action::Add, None) | (Action::Change, Some(_)) => Some(line.image),
                (Action::Delete, Some(_)) => None,
                (Action::Message, any) => any,
                (action, _) => return Err(format!("{action:?} of {changes:?}")),
            };
        }
        Ok(image)
    }

    #[test]
    fn every_chain_up_to_seven_changes_leaves_the_host_with_the_row_at_the_cut() {
        for length in 0..=7_u32 {
            for number in 0..3_usize.pow(length) {
                let op = |place: u32| [Op::Insert, Op::Update, Op::Delete][number / 3_usize.pow(place) % 3];
                let changes: Vec<Op> = (0..length).map(op).collect();
                for had in [false, true] {
                    for way in [Coalesce::Net, Coalesce::All] {
                        let outcome = way.decide(&changes, had);
                        let image = host(&changes, &outcome, had).unwrap();
                        let expected = match changes.last() {
                            None => had.then_some(usize::MAX),
                            Some(Op::Delete) => None,
                            Some(_) => Some(changes.len() - 1),
                        };
                        assert_eq!(image, expected, "{way:?} {changes:?} {had}");
                        assert_eq!(outcome.host_has, image.is_some());
                        assert!(way == Coalesce::All || outcome.lines.len() <= 1);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn all_and_net_leave_the_same_host(codes in proptest::collection::vec(0_usize..4, 0..40), had: bool) {
            let changes: Vec<Op> =
                codes.iter().map(|code| [Op::Insert, Op::Update, Op::Delete, Op::Event][*code]).collect();
            let (net, all) = (Coalesce::Net.decide(&changes, had), Coalesce::All.decide(&changes, had));
            prop_assert_eq!(host(&changes, &net, had), host(&changes, &all, had));
            prop_assert_eq!(net.host_has, all.host_has);
        }
    }
}
