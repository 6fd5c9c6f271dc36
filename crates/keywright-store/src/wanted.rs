//! The slots that a step is loaded with: those that were named, and those that it has asked for.

use crate::slot::SlotName;

/// How many rounds of further slots a step may request beyond those that were named.
const MAX_EXTRA_LOADS: u32 = 64;

/// The slots of the next load, each of them once.
pub(crate) struct Wanted {
    slots: Vec<SlotName>,
    extra: u32,
}

impl Wanted {
    pub(crate) fn new(named: &[SlotName]) -> Self {
        let mut wanted = Self { slots: Vec::with_capacity(named.len()), extra: 0 };
        wanted.extend(named);
        wanted
    }

    pub(crate) fn slots(&self) -> &[SlotName] {
        &self.slots
    }

    /// Adds what a step has asked for. Returns `false` if another load would not help: nothing was
    /// new, or the step has asked too often.
    pub(crate) fn add(&mut self, missing: &[SlotName]) -> bool {
        if self.extra >= MAX_EXTRA_LOADS {
            return false;
        }
        self.extra = self.extra.saturating_add(1);
        let before = self.slots.len();
        self.extend(missing);
        self.slots.len() > before
    }

    fn extend(&mut self, slots: &[SlotName]) {
        for &slot in slots {
            if !self.slots.contains(&slot) {
                self.slots.push(slot);
            }
        }
    }
}
