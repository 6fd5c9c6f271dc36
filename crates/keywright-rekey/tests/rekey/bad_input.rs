//! Input that no correct client sends.

use std::collections::BTreeMap;
use std::fmt::Write;

use keywright_rekey::{CipherList, Fault, Hex, Limits, VaultManifest};
use keywright_store::CipherId;
use serde::de::DeserializeSeed;

use crate::support::{counts, manifest, old_nonce, read};

const ID: &str = "01010101-0101-0101-0101-010101010101";
const OTHER: &str = "02020202-0202-0202-0202-020202020202";

fn vault() -> VaultManifest {
    manifest([(CipherId([1; 16]), old_nonce(1)), (CipherId([2; 16]), old_nonce(2))])
}

fn good(number: u8) -> String {
    format!("{number:02x}").repeat(40)
}

/// Checks a list to which one entry for `OTHER` is added.
fn judge(entries: &str) -> Result<BTreeMap<Fault, usize>, String> {
    let body = format!(r#"[{entries}, {{"data": "{}", "id": "{OTHER}"}}]"#, good(9));
    let submission = read(body.as_bytes(), Limits::default(), &Hex)?;
    Ok(submission.against(&vault()).err().map_or_else(BTreeMap::new, |report| counts(&report)))
}

fn one_text(text: &str) -> Result<BTreeMap<Fault, usize>, String> {
    judge(&format!(r#"{{"id": "{ID}", "data": {text}}}"#))
}

#[test]
fn right_in_strange_clothes() {
    let text = good(8);
    for entry in [
        format!(r#"{{ "data" : "{text}" , "id" : "{ID}" }}"#),
        format!(r#"{{"id":"{ID}","data":"{text}","type":[[[{{"id":1}}]]],"x":null,"Id":3,"DATA":"","":1e5}}"#),
        format!("\n{{\t\"\\u0069d\":\"{ID}\",\r\n\"data\":\"{text}\"}}"),
        format!(r#"{{"id":"\u0030{}","data":"\u0030{}"}}"#, &ID[1..], &text[1..]),
    ] {
        assert_eq!(judge(&entry), Ok(BTreeMap::new()), "{entry}");
    }
}

#[test]
fn members_of_the_wrong_kind() {
    let wrong = BTreeMap::from([(Fault::MalformedText, 1), (Fault::WrongType, 1)]);
    for text in ["null", "12345678", "-1", "1e300", "18446744073709551616", "1.5", "true", "[]", "{}", r#"["00"]"#] {
        assert_eq!(one_text(text), Ok(wrong.clone()), "{text}");
    }
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(one_text(&nested), Ok(wrong));

    let no_id = BTreeMap::from([(Fault::MalformedId, 1), (Fault::WrongType, 1), (Fault::Missing, 1)]);
    for id in ["null", "1", "[1]", r#"{"id":1}"#] {
        assert_eq!(judge(&format!(r#"{{"id": {id}, "data": "{}"}}"#, good(8))), Ok(no_id.clone()), "{id}");
    }
    let nothing = BTreeMap::from([
        (Fault::MalformedId, 1),
        (Fault::MalformedText, 1),
        (Fault::WrongType, 1),
        (Fault::Missing, 1),
    ]);
    for entry in ["null", "1", r#""x""#, "[]", "{}", r#"[["id", "x"]]"#, "1e99", "false"] {
        assert_eq!(judge(entry), Ok(nothing.clone()), "{entry}");
    }
}

#[test]
fn ids_in_other_forms() {
    let bad = BTreeMap::from([(Fault::MalformedId, 1), (Fault::Missing, 1)]);
    let short = "1-1-1-1-1".to_string();
    let forms =
        [short, ID.replace('-', ""), format!("{{{ID}}}"), format!("urn:uuid:{ID}"), format!(" {ID}"), String::new()];
    for id in forms {
        assert_eq!(judge(&format!(r#"{{"id": "{id}", "data": "{}"}}"#, good(8))), Ok(bad.clone()), "{id}");
    }
}

#[test]
fn members_that_come_twice() {
    let text = good(8);
    let twice = format!(r#"{{"id": "{ID}", "data": "{text}", "id": "{ID}"}}"#);
    assert_eq!(judge(&twice), Ok(BTreeMap::from([(Fault::MalformedId, 1), (Fault::Missing, 1)])));
    let twice = format!(r#"{{"id": "{ID}", "data": "{text}", "data": "{text}"}}"#);
    assert_eq!(judge(&twice), Ok(BTreeMap::from([(Fault::MalformedText, 1)])));
    let thrice = format!(r#"{{"id": "{ID}", "data": null, "data": "{text}", "data": "{text}"}}"#);
    assert_eq!(judge(&thrice), Ok(BTreeMap::from([(Fault::MalformedText, 1)])));
}

#[test]
fn what_is_no_list() {
    let whole = format!(r#"[{{"id": "{ID}", "data": "{}"}}]"#, good(8));
    assert!(read(whole.as_bytes(), Limits::default(), &Hex).is_ok());
    for end in 0..whole.len() {
        assert!(read(&whole.as_bytes()[..end], Limits::default(), &Hex).is_err(), "{end}");
    }
    for body in ["null", "{}", "1", r#""[]""#, "[1e999]", "[{]", "[,]", "[1,]", r#"[{"id":}]"#, "[\"\u{1}\"]", "[] []"]
    {
        assert!(read(body.as_bytes(), Limits::default(), &Hex).is_err(), "{body}");
    }
    let deep = "[".repeat(100_000);
    assert!(read(deep.as_bytes(), Limits::default(), &Hex).is_err());
    assert!(read(b"[{\"id\": \"\xff\", \"data\": \"\"}]", Limits::default(), &Hex).is_err());
}

#[test]
fn one_cipher_of_sixty_megabytes() {
    let text = "ab".repeat(30 << 20);
    let body = format!(r#"[{{"id":"{ID}","data":"{text}"}}]"#);
    let report = read(body.as_bytes(), Limits::default(), &Hex).unwrap();
    assert_eq!(counts(report.faults()), BTreeMap::from([(Fault::MalformedText, 1)]));
    assert!(report.memory() < 1024);
    let body = format!(r#"[{{"id":"{ID}","data":"\u0061{}"}}]"#, &text[..1 << 20]);
    assert!(read(body.as_bytes(), Limits::default(), &Hex).unwrap().memory() < 1024);
}

#[test]
fn a_million_ids_for_a_vault_of_two() {
    let mut body = String::from("[");
    for number in 0..1_000_000_u32 {
        write!(body, r#"{{"id":"{number:08x}-0000-4000-8000-000000000000","data":""}},"#).unwrap();
    }
    body.pop();
    body.push(']');
    let limits = Limits::builder().max_entries(1_000).build().unwrap();
    let submission = read(body.as_bytes(), limits, &Hex).unwrap();
    assert!(submission.memory() <= 32 * 1_000 + 1_024, "{}", submission.memory());
    let report = submission.against(&vault()).unwrap_err();
    let expected =
        [(Fault::Missing, 2), (Fault::Unknown, 1_000), (Fault::MalformedText, 1_000), (Fault::TooMany, 999_000)];
    assert_eq!(counts(&report), BTreeMap::from(expected));
}

#[test]
fn texts_that_lie_elsewhere() {
    let value = serde_json::json!([{"id": ID, "data": good(8)}, {"id": OTHER, "data": good(9)}]);
    let submission = CipherList::new(b"", Limits::default(), &Hex).deserialize(value.clone()).unwrap();
    let vault = vault();
    let plan = submission.against(&vault).unwrap();
    assert_eq!(plan.rows().map(|(_, _, text)| text.to_string()).collect::<Vec<_>>(), [good(8), good(9)]);
    // A body other than the one that was parsed.
    let submission = CipherList::new(b"elsewhere", Limits::default(), &Hex).deserialize(&value).unwrap();
    assert_eq!(submission.against(&vault).unwrap().rows().len(), 2);
}

#[test]
fn members_by_another_name() {
    let body =
        format!(r#"[{{"uuid":"{ID}","cipher":"{}","id":1}},{{"uuid":"{OTHER}","cipher":"{}"}}]"#, good(8), good(9));
    let mut json = serde_json::Deserializer::from_slice(body.as_bytes());
    let list = CipherList::new(body.as_bytes(), Limits::default(), &Hex).members("uuid", "cipher");
    assert!(list.deserialize(&mut json).unwrap().against(&vault()).is_ok());
}

#[cfg(feature = "json")]
mod split {
    use keywright_rekey::{CipherList, Hex, JsonError, Limits};

    use super::{ID, OTHER, good, vault};

    fn list() -> String {
        format!(r#"[{{"id":"{ID}","data":"{}"}} , {{"id":"{OTHER}","data":"{}","x":"\n"}}]"#, good(8), good(9))
    }

    fn split(body: &str) -> Result<(Option<bool>, String), JsonError> {
        let split = CipherList::new(body.as_bytes(), Limits::default(), &Hex).split_json("ciphers")?;
        let rest = String::from_utf8(split.rest.expose().to_vec()).unwrap();
        assert!(!format!("{split:?}").contains("0808"));
        Ok((split.submission.map(|submission| submission.against(&vault()).is_ok()), rest))
    }

    #[test]
    fn takes_the_list_and_leaves_the_rest() {
        for name in ["ciphers", r"\u0063iphers"] {
            let around = |list: &str| format!(" {{ \"a\" : [{{}}, \"]\\\"\"] ,\"{name}\":{list}, \"b\":-1e5\t}}\n");
            let (accepted, rest) = split(&around(&list())).unwrap();
            assert_eq!((accepted, rest), (Some(true), around("null")));
        }
        assert_eq!(split("{}"), Ok((None, "{}".into())));
        for other in [r#"{"ciphers":null}"#, r#"{"ciphers":{"ciphers":[]}}"#, r#"{"Ciphers":[],"x":"ciphers"}"#] {
            assert_eq!(split(other), Ok((None, other.into())));
        }
    }

    #[test]
    fn refuses_what_is_no_object() {
        let good = format!(r#"{{"a":1,"ciphers":{},"b":{{}}}}"#, list());
        assert!(split(&good).is_ok());
        for end in 0..good.len() {
            assert!(split(&good[..end]).is_err(), "{end}");
        }
        for body in
            ["[]", "null", "{,}", r#"{"a"}"#, r#"{"a":1,}"#, r#"{"a":1 "b":2}"#, r#"{1:2}"#, "{} {}", "{\"\u{1}\":1}"]
        {
            assert!(split(body).is_err(), "{body}");
        }
        for second in ["[]", "null", "1"] {
            for (one, other) in [("[]", second), (second, "[]")] {
                let twice = format!(r#"{{"ciphers":{one},"ciphers":{other}}}"#);
                assert_eq!(split(&twice), Err(JsonError::Twice), "{twice}");
            }
        }
        assert!(split(&format!("{}1", r#"{"a":"#.repeat(100_000))).is_err());
    }
}
