//! A vault, submissions for it, and a naive implementation of the check.

use std::collections::{BTreeMap, BTreeSet};

use keywright_rekey::{CipherList, Difference, Fault, Format, Limits, Submission, VaultManifest};
use keywright_store::{CipherId, ClientNonce, Mark, Revision, RowMarks};
use serde::de::DeserializeSeed;
use serde_json::Value;

pub(crate) fn head(number: u8) -> Revision {
    Revision::from_bytes([number; 16])
}

/// A vault with head 1.
pub(crate) fn manifest(entries: impl IntoIterator<Item = (CipherId, ClientNonce)>) -> VaultManifest {
    let row = |(id, nonce)| RowMarks { id, text: Mark([3; 16]), note: Mark([4; 16]), nonce };
    VaultManifest::unverified(Some(head(1)), entries.into_iter().map(row).collect())
}

/// An old nonce that no text of a test uses.
pub(crate) fn old_nonce(number: u32) -> ClientNonce {
    let mut nonce = [0xee; 16];
    nonce[..4].copy_from_slice(&number.to_be_bytes());
    nonce[12..].fill(0);
    ClientNonce(nonce)
}

/// Parses a body that is a list with both parsers, which must agree in faults and in ciphers.
pub(crate) fn read<'b>(body: &'b [u8], limits: Limits, format: &'b dyn Format) -> Result<Submission<'b>, String> {
    let list = CipherList::new(body, limits, format);
    let read = read_by_seed(list, body);
    #[cfg(feature = "json")]
    {
        let quick = list.read_json();
        assert_eq!(read.is_ok(), quick.is_ok(), "{read:?} {quick:?}");
        if let (Ok(read), Ok(quick)) = (&read, quick) {
            assert_eq!((read.len(), read.faults()), (quick.len(), quick.faults()));
            assert!(read.iter().eq(quick.iter()));
        }
    }
    read
}

fn read_by_seed<'b>(list: CipherList<'b>, body: &'b [u8]) -> Result<Submission<'b>, String> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = list.deserialize(&mut json).map_err(|error| error.to_string())?;
    json.end().map_err(|error| error.to_string())?;
    Ok(read)
}

/// Returns the counts of a report, without the zeros.
pub(crate) fn counts(report: &Difference) -> BTreeMap<Fault, usize> {
    report.faults().map(|fault| (fault, report.count(fault))).collect()
}

fn naive_id(value: Option<&Value>) -> Option<[u8; 16]> {
    let text = value?.as_str()?;
    let shape = text.len() == 36 && text.char_indices().all(|(at, c)| (c == '-') == [8, 13, 18, 23].contains(&at));
    let bytes = hex::decode(text.replace('-', "")).ok()?;
    shape.then_some(bytes)?.try_into().ok()
}

fn naive_nonce(value: Option<&Value>, max_text: usize) -> Option<ClientNonce> {
    let text = value?.as_str()?;
    let bytes = hex::decode(text).ok().filter(|bytes| bytes.len() >= 28 && text.len() <= max_text)?;
    let mut nonce = [0; 16];
    nonce[..12].copy_from_slice(&bytes[..12]);
    Some(ClientNonce(nonce))
}

/// What the report must count: the rules of `Fault`, one after the other, on owned values.
pub(crate) fn naive(list: &[Value], vault: &VaultManifest, limits: Limits) -> BTreeMap<Fault, usize> {
    let mut counts = BTreeMap::new();
    let mut count = |fault| *counts.entry(fault).or_insert(0) += 1;
    let mut seen = BTreeSet::new();
    let mut usable = Vec::new();
    for (at, entry) in list.iter().enumerate() {
        if at >= limits.max_entries() {
            count(Fault::TooMany);
            continue;
        }
        let (id, nonce) = (naive_id(entry.get("id")), naive_nonce(entry.get("data"), limits.max_text()));
        if !["id", "data"].iter().all(|name| entry.get(name).is_some_and(Value::is_string)) {
            count(Fault::WrongType);
        }
        if nonce.is_none() {
            count(Fault::MalformedText);
        }
        let Some(id) = id else {
            count(Fault::MalformedId);
            continue;
        };
        if !seen.insert(id) {
            count(Fault::Duplicate);
        }
        if !vault.rows().iter().any(|owned| owned.id.0 == id) {
            count(Fault::Unknown);
        }
        usable.extend(nonce.map(|nonce| (CipherId(id), nonce)));
    }
    let owned: Vec<_> = vault.rows().iter().map(|owned| (owned.id, owned.nonce)).collect();
    for (id, nonce) in &usable {
        if usable.iter().chain(&owned).any(|(other, its)| its == nonce && other != id) {
            count(Fault::ReusedNonce);
        }
        if owned.contains(&(*id, *nonce)) {
            count(Fault::Unchanged);
        }
    }
    for (id, _) in &owned {
        if !seen.contains(&id.0) {
            count(Fault::Missing);
        }
    }
    counts
}
