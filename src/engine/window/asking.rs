//! Events that wait for the word of a hook: they keep their place in their lanes, and are not opened.

use super::{SlotId, Window};
use crate::adapter::Parcel;

impl Window {
    /// The hook has let an event go: this is sent for it.
    pub fn may_leave(&mut self, id: SlotId, parts: Vec<Parcel>, is_amended: bool) {
        let Some(slot) = self.slots.get_mut(&id) else { return };
        let weight = parts.iter().map(Parcel::weight).sum();
        self.weight = self.weight - slot.weight + weight;
        (slot.weight, slot.parts) = (weight, parts.into());
        (slot.is_asking, slot.is_amended) = (false, is_amended);
        self.settle_phase(id);
    }
}
