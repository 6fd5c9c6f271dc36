//! JSON that names no member of an object twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Parses JSON, and refuses objects that name a member twice: of two equal members one reader takes
/// the first and another the last, so a filter in front of a server could be shown a request other
/// than the one that the server acts on. Returns `None` for anything that is not one JSON value in
/// UTF-8 without a byte-order mark, or that is nested more than 127 levels deep. The parser's own
/// error quotes the input, so it is not returned.
///
/// ```
/// use keywright_wire::parse_json;
///
/// assert_eq!(parse_json(br#"{"a":1,"b":{"a":2}}"#), Some(serde_json::json!({"a": 1, "b": {"a": 2}})));
/// assert_eq!(parse_json(br#"{"a":1,"\u0061":1}"#), None);
/// ```
#[must_use]
pub fn parse_json(text: &[u8]) -> Option<Value> {
    serde_json::from_slice(text).ok().map(|Unique(value)| value)
}

struct Unique(Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor).map(Self)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Unique(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Unique(value))) = members.next_entry::<String, Unique>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a member is named twice"));
            }
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_member_that_is_named_twice_is_refused_at_any_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"b":2,"a":null}"#, r#"[[{"a":{"b":[],"b":[]}}]]"#, r#"{"":0,"":0}"#]
        {
            assert_eq!(parse_json(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_json(br#"[{"a":1},{"a":1}]"#), Some(serde_json::json!([{"a": 1}, {"a": 1}])));
    }

    #[test]
    fn what_is_not_one_value_is_refused() {
        for text in ["", " ", "{} {}", "\u{feff}{}", "{'a':1}", "[1,]", "NaN", "\"\u{1}\"", "\"\\ud800\"", "1e999"] {
            assert_eq!(parse_json(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_json(b"\"\xff\""), None);
        assert_eq!(parse_json("[".repeat(100_000).as_bytes()), None);
        assert_eq!(parse_json(format!("{}{}", "[".repeat(128), "]".repeat(128)).as_bytes()), None);
    }

    proptest! {
        /// Without a repeated member the result is that of `serde_json`.
        #[test]
        fn everything_else_is_parsed_as_serde_json_does(text in "[\\[\\]{}:,\"a-c0-9.e \\-]{0,20}") {
            if let Some(value) = parse_json(text.as_bytes()) {
                prop_assert_eq!(serde_json::from_str::<Value>(&text).ok(), Some(value));
            }
        }

        #[test]
        fn numbers_and_texts_are_those_of_serde_json(number in any::<f64>(), whole in any::<i64>(), big in any::<u64>(), text in any::<String>()) {
            let value = serde_json::json!({"a": [number, whole, big], "b": {"c": text, "d": null, "e": true}});
            let text = value.to_string();
            prop_assert_eq!(parse_json(text.as_bytes()), serde_json::from_str::<Value>(&text).ok());
        }
    }
}
