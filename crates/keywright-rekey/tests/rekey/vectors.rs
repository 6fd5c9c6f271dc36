//! `data_format`, `batches` and `large_batches` of `librepass.json`, with the changes of
//! `docs/decisions.md` 35. The file is kept with the wire crate for which it is named. Foreign and
//! unknown ids are one fault here, and a report may contain more than the `reasons`.

use keywright_rekey::{Fault, Hex, Limits, MAX_TEXT, Malformed, id_text, parse_id};
use serde::Deserialize;
use serde_json::{Value, json};
use sha1::Digest;

use crate::support::{head, manifest, old_nonce, read};

#[derive(Deserialize)]
struct File {
    policy: Policy,
    data_format: Vec<Data>,
    batches: Vec<Batch>,
    large_batches: Vec<Large>,
}

#[derive(Deserialize)]
struct Policy {
    min_data_hex: usize,
    default_max_data_hex: usize,
}

#[derive(Deserialize)]
struct Data {
    id: String,
    data: Value,
    expect: String,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct Batch {
    id: String,
    owned: Vec<String>,
    submitted: Value,
    max_data_hex: usize,
    expect: String,
    reasons: Vec<String>,
}

#[derive(Deserialize)]
struct Large {
    id: String,
    expect: String,
    reasons: Vec<String>,
    recipe: Recipe,
}

#[derive(Deserialize)]
struct Recipe {
    n: usize,
    ops: Vec<Value>,
}

fn file() -> File {
    serde_json::from_str(include_str!("../../../keywright-librepass/tests/data/librepass.json")).unwrap()
}

fn fault(reason: &str) -> Fault {
    match reason {
        "missing" => Fault::Missing,
        "not-owned" => Fault::Unknown,
        "duplicate" => Fault::Duplicate,
        "malformed-id" => Fault::MalformedId,
        "malformed-data" => Fault::MalformedText,
        other => panic!("{other}"),
    }
}

/// Checks a batch. Returns the number of rows of the plan, or the faults.
fn judge(owned: &[String], submitted: &Value, limits: Limits) -> Result<usize, Vec<Fault>> {
    let vault = manifest(owned.iter().zip(0..).map(|(id, number)| (parse_id(id).unwrap(), old_nonce(number))));
    let body = serde_json::to_vec(submitted).unwrap();
    let submission = read(&body, limits, &Hex).unwrap();
    let judged = submission.against_known(&vault, Some(head(1)));
    judged.map(|plan| plan.rows().count()).map_err(|report| report.faults().collect())
}

fn check(id: &str, judged: Result<usize, Vec<Fault>>, owned: usize, expect: &str, reasons: &[String]) {
    match judged {
        Ok(rows) => assert_eq!((rows, expect, reasons.len()), (owned, "accept", 0), "{id}"),
        Err(faults) => {
            assert_eq!(expect, "reject", "{id}: {faults:?}");
            assert!(reasons.iter().all(|reason| faults.contains(&fault(reason))), "{id}: {faults:?}");
            // Apart from the reasons, only faults that they do not cover.
            let named: Vec<_> = reasons.iter().map(|reason| fault(reason)).collect();
            let silent = [Fault::WrongType, Fault::Missing, Fault::MalformedText];
            assert!(faults.iter().all(|fault| named.contains(fault) || silent.contains(fault)), "{id}: {faults:?}");
        }
    }
}

#[test]
fn every_text() {
    let file = file();
    assert_eq!(file.policy.default_max_data_hex, MAX_TEXT);
    assert_eq!(file.policy.min_data_hex, 2 * keywright_rekey::MIN_ENVELOPE_BYTES);
    assert_eq!(file.data_format.len(), 24);
    let id = "8b258b33-60cb-5203-b8a5-ed8a6dcab0e2";
    for case in file.data_format {
        let judged = judge(&[id.into()], &json!([{"id": id, "data": case.data}]), Limits::default());
        assert_eq!(judged.is_ok(), case.expect == "accept", "{}", case.id);
        let Value::String(text) = &case.data else {
            assert_eq!(judged, Err(vec![Fault::MalformedText, Fault::WrongType]), "{}", case.id);
            continue;
        };
        let reason = Limits::default().check(&Hex, text).err();
        let expected = match case.reason.as_deref() {
            None => None,
            Some("empty" | "too-short") => Some(Malformed::TooShort),
            Some("not-hex") => Some(Malformed::Alphabet),
            Some("odd-length") => Some(Malformed::Length),
            Some("too-long") => Some(Malformed::TooLong),
            Some(other) => panic!("{other}"),
        };
        assert_eq!(reason, expected, "{}", case.id);
        assert_eq!(judged.err(), expected.map(|_| vec![Fault::MalformedText]), "{}", case.id);
    }
}

#[test]
fn every_batch() {
    let batches = file().batches;
    assert_eq!(batches.len(), 34);
    for case in batches {
        let judged = judge(
            &case.owned,
            &case.submitted,
            Limits::builder().max_entries(1000).max_text(case.max_data_hex).build().unwrap(),
        );
        check(&case.id, judged, case.owned.len(), &case.expect, &case.reasons);
    }
}

/// `uuid5(NAMESPACE_URL, "librepass-vector/…")`, RFC 9562 § 5.5.
fn vector_id(name: usize) -> String {
    let space = parse_id("6ba7b811-9dad-11d1-80b4-00c04fd430c8").unwrap();
    let digest = sha1::Sha1::new().chain_update(space.0).chain_update(format!("librepass-vector/{name}")).finalize();
    let mut id: [u8; 16] = digest[..16].try_into().unwrap();
    id[6] = (id[6] & 0x0f) | 0x50;
    id[8] = (id[8] & 0x3f) | 0x80;
    id_text(keywright_store::CipherId(id))
}

#[test]
fn every_large_batch() {
    let cases = file().large_batches;
    assert_eq!(cases.len(), 5);
    for case in cases {
        let owned: Vec<_> = (0..case.recipe.n).map(vector_id).collect();
        let entry = |at: usize| json!({"id": owned[at], "data": hex::encode(sha2::Sha256::digest(at.to_string()))});
        let mut submitted: Vec<_> = (0..case.recipe.n).map(entry).collect();
        for op in &case.recipe.ops {
            let at = op[1].as_u64().unwrap() as usize;
            match op[0].as_str().unwrap() {
                "drop" => drop(submitted.remove(at)),
                "replace" => submitted[at] = submitted[op[2].as_u64().unwrap() as usize].clone(),
                "replace-id" => submitted[at]["id"] = op[2].clone(),
                other => panic!("{other}"),
            }
        }
        let judged = judge(&owned, &Value::Array(submitted), Limits::default());
        check(&case.id, judged, owned.len(), &case.expect, &case.reasons);
    }
}
