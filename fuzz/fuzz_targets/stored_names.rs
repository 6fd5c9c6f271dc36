#![no_main]
use keywright_store::{Partition, SlotName};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(slot) = SlotName::parse(text) {
        assert_eq!(slot.to_text(), text);
    }
    if let Ok(partition) = Partition::parse(text) {
        assert_eq!(partition.key(), text);
    }
});
