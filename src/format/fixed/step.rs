//! What a record is compiled to: steps in the order of its bytes.

use std::sync::Arc;

use crate::format::fixed::cell::Cell;

/// A value that a record takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The item: `NAME`, or `NAME OF GROUP` where the name alone is several items'. A table without a name is `FILLER 1`,
    /// `FILLER 2`, in their order.
    pub name: Arc<str>,
    /// What it takes.
    pub takes: Takes,
}

/// What a slot takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// One value.
    One,
    /// A list of values.
    List,
    /// A list of objects, or of lists in this order.
    Rows(Arc<[Slot]>),
}

impl Slot {
    /// The slots of each row of a table of groups.
    pub fn inner(&self) -> &[Slot] {
        match &self.takes {
            Takes::Rows(slots) => slots,
            Takes::One | Takes::List => &[],
        }
    }

    /// Whether it takes a list.
    pub fn is_table(&self) -> bool {
        self.takes != Takes::One
    }
}

/// Bytes that no value stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The item, or the one whose place is longer than what was chosen for it.
    pub name: Arc<str>,
    /// First byte, from 0, at its furthest.
    pub offset: usize,
    /// How many bytes, all occurrences together.
    pub length: usize,
    /// `VALUE`, `spaces`, `zeros` or `constant`.
    pub filled: &'static str,
}

/// One step of a record.
#[derive(Debug)]
pub(super) enum Step {
    /// The same bytes in every record.
    Bytes(Box<[u8]>),
    /// A value.
    Cell { slot: usize, cell: Cell },
    /// The number of occurrences in the tables of these slots; `least` when there are no values.
    Count { slots: Vec<usize>, least: usize, cell: Cell },
    /// Remembers that the next item begins here.
    Mark(usize),
    /// A table.
    Table(Box<Table>),
    /// One of several that share a place.
    Choice(Box<Chosen>),
}

/// A table of a record.
#[derive(Debug)]
pub(super) struct Table {
    pub name: Arc<str>,
    pub slot: usize,
    /// The slots of an occurrence; None for a table of single values.
    pub rows: Option<Arc<[Slot]>>,
    pub steps: Vec<Step>,
    pub min: usize,
    pub max: usize,
    /// The place of the count, when there is one: its cell is read again from there.
    pub count: Option<(usize, Cell)>,
    /// One occurrence of nothing.
    pub blank: Box<[u8]>,
}

/// Items that share a place.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Where the value stands that chooses, and how it is read.
    pub mark: usize,
    pub cell: Cell,
    pub arms: Vec<Arm>,
}

/// One of several.
#[derive(Debug)]
pub(super) struct Arm {
    /// The bytes that choose it.
    pub keys: Vec<Box<[u8]>>,
    pub steps: Vec<Step>,
}
