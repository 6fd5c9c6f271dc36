#![no_main]
use keywright_core::{
    Admission, Attempt, Client, ClientTag, EventChain, Generation, GuessLedger, LedgerPolicy, SecretKind, SecurityEvent,
    UnixSeconds,
};
use keywright_store::Record;
use keywright_store::due::DueList;
use keywright_store::names::NameList;

const TOTP: SecretKind = SecretKind::new("totp");

libfuzzer_sys::fuzz_target!(|input: (u64, u64, &[u8])| {
    let (seconds, generation, body) = input;
    let _ = (DueList::decode(1, body), NameList::decode(1, body));
    let _ = SecurityEvent::parse(EventChain::Changes, 1, UnixSeconds::EPOCH, body);
    let (Ok(mut ledger), Ok(now)) = (GuessLedger::decode(1, body), UnixSeconds::new(seconds)) else { return };
    let policy = LedgerPolicy::default();
    let client = Client::credential(ClientTag::from_bytes([7; 16]));
    let attempt = Attempt::new(TOTP, Generation::from_u64(generation), client);
    if let Admission::Open(lane) = ledger.admit(&policy, &attempt, now) {
        ledger.charge(&policy, &lane, now);
    }
    ledger.unlock_all(&policy, now);
});
