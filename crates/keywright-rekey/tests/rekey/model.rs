//! Random submissions: a correct one is accepted, each single fault is reported as such, and the
//! counts are those of a naive model.

use std::collections::BTreeMap;

use keywright_rekey::{Fault, Hex, Limits, NAMED, VaultManifest, check_nonces, id_text};
use keywright_store::{CipherId, ClientNonce};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use crate::support::{counts, head, manifest, naive, old_nonce, read};

/// Ids of a few kinds: random, in one narrow range, or equal up to the last byte.
fn id(shape: u8, number: u32) -> CipherId {
    let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    CipherId(match shape % 3 {
        0 => mixed.to_be_bytes(),
        1 => (u128::from(number) << 60 | mixed >> 70).to_be_bytes(),
        _ => u128::from(number).to_be_bytes(),
    })
}

/// Returns the text whose nonce is `number`.
fn text(number: u32) -> String {
    format!("{}{}", hex::encode(&nonce(number).0[..12]), "5a".repeat(40))
}

fn nonce(number: u32) -> ClientNonce {
    let mut nonce = [0; 16];
    nonce[..8].copy_from_slice(&u64::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    ClientNonce(nonce)
}

fn entry(id: CipherId, number: u32) -> Value {
    json!({"id": id_text(id), "data": text(number)})
}

/// A vault of `count` ciphers and a correct submission for it, shuffled by `keys`.
fn right(shape: u8, count: u32, keys: &[u16]) -> (VaultManifest, Vec<Value>) {
    let vault = manifest((0..count).map(|number| (id(shape, number), old_nonce(number))));
    let mut list: Vec<_> = (0..count).map(|number| entry(id(shape, number), number)).collect();
    if !keys.is_empty() {
        list.sort_by_cached_key(|entry| {
            let text = entry["data"].as_str().unwrap();
            keys[text.bytes().map(usize::from).sum::<usize>() % keys.len()]
        });
    }
    (vault, list)
}

fn faults_of(vault: &VaultManifest, list: &[Value]) -> BTreeMap<Fault, usize> {
    let body = serde_json::to_vec(list).unwrap();
    let submission = read(&body, Limits::default(), &Hex).unwrap();
    submission.against_known(vault, Some(head(1))).err().map_or_else(BTreeMap::new, |report| counts(&report))
}

#[derive(Debug, Clone, Copy)]
enum Mutation {
    Drop,
    Repeat,
    Foreign,
    Replace,
    Unchanged,
    SameNonce,
    OldNonce,
    BadText,
    BadId,
    NullText,
    NullId,
}

fn mutation() -> impl Strategy<Value = Mutation> {
    use Mutation::{BadId, BadText, Drop, Foreign, NullId, NullText, OldNonce, Repeat, Replace, SameNonce, Unchanged};
    let all = [Drop, Repeat, Foreign, Replace, Unchanged, SameNonce, OldNonce, BadText, BadId, NullText, NullId];
    prop::sample::select(all.to_vec())
}

fn nth_text_of_old(vault: &VaultManifest, at: usize) -> String {
    format!("{}{}", hex::encode(&vault.rows()[at].nonce.0[..12]), "77".repeat(20))
}

/// Introduces one fault in a list of two or more; returns what the report must contain.
fn mutate(vault: &VaultManifest, list: &mut Vec<Value>, mutation: Mutation, at: Index) -> Vec<(Fault, usize)> {
    let place = at.index(list.len());
    let other = (place + 1) % list.len();
    let owned = |entry: &Value| {
        let id = keywright_rekey::parse_id(entry["id"].as_str().unwrap()).unwrap();
        vault.rows().iter().position(|owned| owned.id == id).unwrap()
    };
    let foreign = id_text(CipherId([0xfd; 16]));
    match mutation {
        Mutation::Drop => {
            list.remove(place);
            vec![(Fault::Missing, 1)]
        }
        Mutation::Repeat => {
            list.insert(other, list[place].clone());
            vec![(Fault::Duplicate, 1)]
        }
        Mutation::Foreign => {
            list.insert(place, json!({"id": foreign, "data": text(u32::MAX)}));
            vec![(Fault::Unknown, 1)]
        }
        Mutation::Replace => {
            list[place]["id"] = foreign.into();
            vec![(Fault::Missing, 1), (Fault::Unknown, 1)]
        }
        Mutation::Unchanged => {
            list[place]["data"] = nth_text_of_old(vault, owned(&list[place])).into();
            vec![(Fault::Unchanged, 1)]
        }
        Mutation::SameNonce => {
            list[place]["data"] = list[other]["data"].clone();
            vec![(Fault::ReusedNonce, 2)]
        }
        Mutation::OldNonce => {
            list[place]["data"] = nth_text_of_old(vault, owned(&list[other])).into();
            vec![(Fault::ReusedNonce, 1)]
        }
        Mutation::BadText => {
            let text = list[place]["data"].as_str().unwrap();
            list[place]["data"] = format!("{}g", &text[1..]).into();
            vec![(Fault::MalformedText, 1)]
        }
        Mutation::BadId => {
            let text = list[place]["id"].as_str().unwrap();
            list[place]["id"] = text.replace('-', "").into();
            vec![(Fault::Missing, 1), (Fault::MalformedId, 1)]
        }
        Mutation::NullText => {
            list[place]["data"] = Value::Null;
            vec![(Fault::MalformedText, 1), (Fault::WrongType, 1)]
        }
        Mutation::NullId => {
            list[place].as_object_mut().unwrap().remove("id");
            vec![(Fault::Missing, 1), (Fault::MalformedId, 1), (Fault::WrongType, 1)]
        }
    }
}

/// One entry from a small set of values, so that faults coincide.
fn any_entry() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        8 => (0..14_u32).prop_map(|number| Value::from(text(number))),
        2 => (0..6_u32).prop_map(|number| format!("{}{}", hex::encode(&old_nonce(number).0[..12]), "00".repeat(16)).into()),
        1 => prop::sample::select(vec![json!(null), json!(7), json!(1e300), json!([[]]), json!({}), json!(""), json!("ab")]),
    ];
    let id = prop_oneof![
        12 => (0..8_u32).prop_map(|number| Value::from(id_text(id(0, number)))),
        1 => prop::sample::select(vec![json!(null), json!(true), json!("1-1-1-1-1"), json!("{}")]),
    ];
    prop_oneof![
        12 => (id, text).prop_map(|(id, text)| json!({"id": id, "data": text, "owner": [1, {"id": "x"}]})),
        1 => prop::sample::select(vec![json!(null), json!([]), json!("x"), json!({}), json!({"data": "ab"}), json!(-1)]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_permutation_is_accepted(shape: u8, count in 0..300_u32, keys in prop::collection::vec(any::<u16>(), 0..64)) {
        let (vault, list) = right(shape, count, &keys);
        let body = serde_json::to_vec(&list).unwrap();
        let submission = read(&body, Limits::default(), &Hex).unwrap();
        prop_assert_eq!((submission.len(), submission.iter().count()), (list.len(), list.len()));
        let plan = submission.against(&vault).unwrap();
        prop_assert_eq!(plan.head(), Some(head(1)));
        prop_assert_eq!(plan.rows().len(), list.len());
        let texts: BTreeMap<_, _> = list.iter().map(|entry| (entry["id"].as_str().unwrap(), &entry["data"])).collect();
        for ((id, nonce, text), owned) in plan.rows().zip(vault.rows()) {
            prop_assert_eq!(id, owned.id);
            prop_assert!(nonce != owned.nonce);
            prop_assert_eq!(texts[id_text(id).as_str()].as_str(), Some(text));
        }
        let nonces: Vec<_> = plan.rows().map(|(id, nonce, _)| (id, nonce)).collect();
        prop_assert!(check_nonces(&nonces, &vault).is_ok());
    }

    #[test]
    fn each_fault_by_itself(shape: u8, count in 2..200_u32, mutation in mutation(), at: Index) {
        let (vault, mut list) = right(shape, count, &[3, 1, 2]);
        let expected = mutate(&vault, &mut list, mutation, at);
        prop_assert_eq!(faults_of(&vault, &list), expected.into_iter().collect::<BTreeMap<_, _>>());
    }

    #[test]
    fn counts_are_the_model_s(
        owned in prop::collection::btree_set(0..8_u32, 0..6),
        list in prop::collection::vec(any_entry(), 0..14),
        max_entries in 1..16_usize,
    ) {
        let vault = manifest(owned.into_iter().map(|number| (id(0, number), old_nonce(number))));
        let limits = Limits::builder().max_entries(max_entries).max_text(1000).build().unwrap();
        let body = serde_json::to_vec(&list).unwrap();
        let submission = read(&body, limits, &Hex).unwrap();
        let found = submission.against(&vault).err().map_or_else(BTreeMap::new, |report| counts(&report));
        prop_assert_eq!(found, naive(&list, &vault, limits));
    }

    #[test]
    fn stages_are_judged_alike(
        owned in prop::collection::btree_set(0..8_u32, 0..6),
        staged in prop::collection::vec((0..8_u32, 0..14_u32), 0..10),
    ) {
        let vault = manifest(owned.into_iter().map(|number| (id(0, number), nonce(number + 5))));
        let list: Vec<_> = staged.iter().map(|&(number, text)| entry(id(0, number), text)).collect();
        let nonces: Vec<_> = staged.into_iter().map(|(number, text)| (id(0, number), nonce(text))).collect();
        let found = check_nonces(&nonces, &vault).err().map_or_else(BTreeMap::new, |report| counts(&report));
        prop_assert_eq!(found, naive(&list, &vault, Limits::default()));
    }
}

#[test]
fn names_the_first_hundred() {
    let (vault, list) = right(0, 5_000, &[]);
    let report = |list: &[Value]| {
        let body = serde_json::to_vec(list).unwrap();
        read(&body, Limits::default(), &Hex).unwrap().against(&vault).unwrap_err()
    };
    // Everything is left as it was: each cipher is unchanged, and there is no other fault.
    let old_text = |number| format!("{}{}", hex::encode(&old_nonce(number).0[..12]), "00".repeat(99));
    let old: Vec<_> =
        (0..5_000).map(|number| json!({"id": id_text(id(0, number)), "data": old_text(number)})).collect();
    let unchanged = report(&old);
    assert_eq!(counts(&unchanged), BTreeMap::from([(Fault::Unchanged, 5_000)]));
    let first: Vec<_> = (0..NAMED as u32).map(|number| id(0, number)).collect();
    assert_eq!(unchanged.ids(Fault::Unchanged), first);
    // All ciphers have one nonce.
    let same: Vec<_> = (0..5_000).map(|number| entry(id(0, number), 7)).collect();
    assert_eq!(counts(&report(&same)), BTreeMap::from([(Fault::ReusedNonce, 5_000)]));
    // Every cipher is sent twice, the second time in reverse order.
    let twice: Vec<_> = list.iter().chain(list.iter().rev()).cloned().collect();
    let twice = report(&twice);
    assert_eq!(counts(&twice), BTreeMap::from([(Fault::Duplicate, 5_000)]));
    assert_eq!(twice.ids(Fault::Duplicate).first(), Some(&id(0, 4_999)));
    let none = report(&[]);
    assert_eq!((none.count(Fault::Missing), none.ids(Fault::Missing).len()), (5_000, NAMED));
    assert_eq!(none.to_string(), "the submission does not match the vault: 5000 missing");
}

#[test]
fn a_stale_head() {
    let (vault, list) = right(0, 3, &[]);
    let body = serde_json::to_vec(&list).unwrap();
    let submission = read(&body, Limits::default(), &Hex).unwrap();
    assert!(submission.against_known(&vault, Some(head(1))).is_ok());
    let stale = submission.against_known(&vault, Some(head(2))).unwrap_err();
    assert_eq!(counts(&stale), BTreeMap::from([(Fault::Stale, 1)]));
    let empty = read(b"[]", Limits::default(), &Hex).unwrap();
    let none = VaultManifest::unverified(None, Vec::new());
    assert!(empty.against(&none).is_ok_and(|plan| plan.head().is_none() && plan.is_empty()));
    assert!(empty.against_known(&none, Some(head(1))).is_err());
}
