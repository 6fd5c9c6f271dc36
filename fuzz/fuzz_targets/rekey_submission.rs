#![no_main]
use std::collections::{BTreeMap, BTreeSet};

use keywright_rekey::{CipherList, Fault, Hex, Limits, VaultManifest};
use keywright_store::{CipherId, ClientNonce, Mark, Revision, RowMarks};
use serde::de::DeserializeSeed;
use serde_json::{Value, json};

#[derive(Debug, arbitrary::Arbitrary)]
enum Input<'a> {
    /// Any bytes: both readers say the same of them.
    Body(&'a [u8]),
    /// Entries of a small world, so that faults meet: judged as the naive model does.
    List { owned: BTreeSet<u8>, entries: Vec<(u8, u8)>, max_entries: u8 },
}

/// What the account owns: ids and the nonces of their texts.
type Owned = Vec<(CipherId, ClientNonce)>;

fn owned_by(numbers: &BTreeSet<u8>) -> Owned {
    let nonce = |number: u8| ClientNonce([number, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]);
    numbers.iter().map(|&number| (CipherId([number % 8; 16]), nonce(number % 8))).collect()
}

fn manifest(owned: &Owned) -> VaultManifest {
    let row = |&(id, nonce): &(CipherId, ClientNonce)| RowMarks { id, text: Mark([1; 16]), note: Mark([2; 16]), nonce };
    VaultManifest::unverified(Some(Revision::from_bytes([7; 16])), owned.iter().map(row).collect())
}

/// A few good ids and texts, and a few that are none.
fn entry((id, text): (u8, u8)) -> Value {
    let id = match id % 16 {
        number @ 0..=7 => hex::encode([number; 16]).into(),
        8..=10 => hex::encode_upper([3; 16]).into(),
        11 => Value::Null,
        12 => json!(1e300),
        13 => return json!([]),
        14 => return json!({}),
        _ => "1-1-1-1-1".into(),
    };
    let id = match id {
        Value::String(text) if text.len() == 32 => {
            let cut = |from, to| text.get(from..to).unwrap();
            [cut(0, 8), cut(8, 12), cut(12, 16), cut(16, 20), cut(20, 32)].join("-").into()
        }
        other => other,
    };
    match text % 16 {
        number @ 0..=8 => json!({"id": id, "data": format!("{number:02x}{}", "01".repeat(40))}),
        9 => json!({"id": id, "data": format!("07{}", "01".repeat(27)), "x": [[{"id": 1}]]}),
        10 => json!({"id": id, "data": ""}),
        11 => json!({"id": id, "data": "0".repeat(57)}),
        12 => json!({"id": id, "data": "\u{e9}\\\"".repeat(20)}),
        13 => json!({"id": id, "data": null}),
        14 => json!({"id": id}),
        _ => json!({"id": id, "data": "ab".repeat(101)}),
    }
}

/// What must be counted, one rule after the other.
fn naive(list: &[Value], vault: &Owned, limits: Limits) -> BTreeMap<Fault, usize> {
    let mut counts = BTreeMap::new();
    let mut count = |fault| *counts.entry(fault).or_insert(0) += 1;
    let (mut seen, mut usable) = (BTreeSet::new(), Vec::new());
    for (at, entry) in list.iter().enumerate() {
        if at >= limits.max_entries() {
            count(Fault::TooMany);
            continue;
        }
        let member = |name| entry.get(name).and_then(Value::as_str);
        let bytes = |text: &str| hex::decode(text).ok();
        let id = member("id").filter(|text| text.len() == 36).and_then(|text| bytes(&text.replace('-', "")));
        let text = member("data").filter(|text| text.len() <= limits.max_text()).and_then(bytes);
        let text = text.filter(|bytes| bytes.len() >= 28);
        if member("id").is_none() || member("data").is_none() {
            count(Fault::WrongType);
        }
        if text.is_none() {
            count(Fault::MalformedText);
        }
        let Some(id) = id else {
            count(Fault::MalformedId);
            continue;
        };
        let id = CipherId(id.try_into().unwrap());
        if !seen.insert(id) {
            count(Fault::Duplicate);
        }
        if !vault.iter().any(|(owned, _)| *owned == id) {
            count(Fault::Unknown);
        }
        usable.extend(text.map(|bytes| {
            let mut nonce = [0; 16];
            nonce[..12].copy_from_slice(&bytes[..12]);
            (id, ClientNonce(nonce))
        }));
    }
    for (id, mark) in &usable {
        if usable.iter().chain(vault).any(|(other, its)| its == mark && other != id) {
            count(Fault::ReusedNonce);
        }
        if vault.contains(&(*id, *mark)) {
            count(Fault::Unchanged);
        }
    }
    for _ in vault.iter().filter(|(id, _)| !seen.contains(id)) {
        count(Fault::Missing);
    }
    counts
}

fn seed<'b>(list: CipherList<'b>, body: &'b [u8]) -> Option<keywright_rekey::Submission<'b>> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = list.deserialize(&mut json).ok()?;
    json.end().is_ok().then_some(read)
}

libfuzzer_sys::fuzz_target!(|input: Input<'_>| match input {
    Input::Body(body) => {
        let list = CipherList::new(body, Limits::builder().max_entries(8).max_text(200).build().unwrap(), &Hex);
        let _ = list.split_json("ciphers");
        // They may differ in how deep an entry may be nested, no more.
        if let (Some(read), Ok(quick)) = (seed(list, body), list.read_json()) {
            assert_eq!((read.len(), read.faults()), (quick.len(), quick.faults()));
            assert!(read.iter().eq(quick.iter()));
            assert!(quick.memory() <= 2_048 + body.len());
            let vault = manifest(&owned_by(&BTreeSet::from([1])));
            assert_eq!(read.against(&vault).err(), quick.against(&vault).err());
        }
    }
    Input::List { owned, entries, max_entries } => {
        let owned = owned.into_iter().map(|number| number % 8).collect();
        let vault = owned_by(&owned);
        let limits = Limits::builder().max_entries(usize::from(max_entries).max(1)).max_text(200).build().unwrap();
        let list: Vec<_> = entries.into_iter().map(entry).collect();
        let body = serde_json::to_vec(&list).unwrap();
        let submission = CipherList::new(&body, limits, &Hex).read_json().unwrap();
        let manifest = manifest(&vault);
        let found = match submission.against(&manifest) {
            Ok(plan) => {
                assert_eq!(plan.rows().count(), vault.len());
                BTreeMap::new()
            }
            Err(report) => report.faults().map(|fault| (fault, report.count(fault))).collect(),
        };
        assert_eq!(found, naive(&list, &vault, limits));
    }
});
