#![no_main]
use keywright_core::{Admission, Door, GuessLedger, LedgerPolicy, Strength, UnixSeconds};
use keywright_store::{DueList, Record, Root};

libfuzzer_sys::fuzz_target!(|input: (u64, &[u8])| {
    let (seconds, body) = input;
    let _ = (Root::decode(1, body), DueList::decode(1, body));
    let (Ok(mut ledger), Ok(now)) = (GuessLedger::decode(1, body), UnixSeconds::new(seconds)) else { return };
    let policy = LedgerPolicy::default();
    if let Admission::Open(lane) = ledger.admit(&policy, Door::Totp, Strength::Guessable, None, now) {
        ledger.charge(&policy, &lane, now);
    }
});
