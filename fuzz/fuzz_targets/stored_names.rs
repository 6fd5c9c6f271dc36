#![no_main]
use keywright_store::{Partition, Slot};

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(slot) = Slot::parse(text) {
        assert_eq!(slot.to_text(), text);
    }
    if let Ok(partition) = Partition::parse(text) {
        assert_eq!(partition.key(), text);
    }
});
