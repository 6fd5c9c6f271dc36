//! JSON in which no object has two members of one name. Which of two a reader takes is its own
//! choice, so a proxy or a log could see another request than the one that acts.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not taken. The parser's message quotes the input, so it is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonFault {
    /// It is not JSON.
    Malformed,
    /// An object has two members of one name.
    Repeated,
}

/// Parses a text.
pub(crate) fn parse(text: &[u8]) -> Result<Value, JsonFault> {
    let mut repeated = false;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = Strict { repeated: &mut repeated }.deserialize(&mut deserializer);
    match value.and_then(|value| deserializer.end().map(|()| value)) {
        _ if repeated => Err(JsonFault::Repeated),
        Ok(value) => Ok(value),
        Err(_) => Err(JsonFault::Malformed),
    }
}

/// Reads a value, and notes whether a name was repeated in it.
struct Strict<'r> {
    repeated: &'r mut bool,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = items.next_element_seed(Strict { repeated: self.repeated })? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(Name(name)) = members.next_key()? {
            let value = members.next_value_seed(Strict { repeated: self.repeated })?;
            if object.insert(name, value).is_some() {
                *self.repeated = true;
                return Err(A::Error::custom("a repeated name"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[derive(Deserialize)]
struct Name(String);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_repeated_name_is_found_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":"x","b":2,"a":"y"}"#,
            r#"{"a":{"b":1,"\u0062":2}}"#,
            r#"[1,{"a":[{"c":null,"c":null}]}]"#,
        ] {
            assert_eq!(parse(text.as_bytes()), Err(JsonFault::Repeated), "{text}");
        }
        for text in ["", " ", "{", "{}x", "{\"a\":}", "\u{feff}{}", "{'a':1}", "nul"] {
            assert_eq!(parse(text.as_bytes()), Err(JsonFault::Malformed), "{text}");
        }
        assert!(parse(r#" {"a":{"a":{"a":1}},"b":{"a":1}} "#.as_bytes()).is_ok());
        // Depth is bounded by the parser.
        assert_eq!(parse("[".repeat(100_000).as_bytes()), Err(JsonFault::Malformed));
    }

    proptest! {
        #[test]
        fn without_a_repetition_it_reads_what_the_library_reads(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            text in r#"(\{("[ab]":(1|-2\.5|null|true|"x"|\[\]),?){0,3}\}|\[[0-9,]{0,6}\])"#,
        ) {
            for text in [bytes.as_slice(), text.as_bytes()] {
                match parse(text) {
                    Ok(value) => prop_assert_eq!(Some(value), serde_json::from_slice(text).ok()),
                    Err(JsonFault::Malformed) => prop_assert!(serde_json::from_slice::<Value>(text).is_err()),
                    Err(JsonFault::Repeated) => {}
                }
            }
        }
    }
}
