//! The content of a body before it is sealed: a versioned value in the `postcard` encoding.

use keywright_core::PlainBytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value that a slot can hold. Its schema is authenticated with the sealed body.
pub trait Record: Serialize + DeserializeOwned {
    /// The version of the encoding that this type writes, counted from 1.
    const SCHEMA: u16;

    /// Decodes a body that was written under `schema`. A type that has older versions overrides
    /// this and upgrades them.
    ///
    /// # Errors
    /// Returns [`RecordError`] if the body is not a record of this type. The caller must deny.
    fn decode(schema: u16, body: &[u8]) -> Result<Self, RecordError> {
        if schema != Self::SCHEMA {
            return Err(RecordError);
        }
        match postcard::take_from_bytes(body) {
            Ok((value, [])) => Ok(value),
            Ok(_) | Err(_) => Err(RecordError),
        }
    }
}

/// A body was opened, but does not decode as a record of its type: a newer version may have written
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a record's body cannot be decoded: a newer version may have written it")]
pub struct RecordError;

/// Returns the encoded body in a buffer that is wiped. The buffer is sized once, because a growing
/// one would leave copies of secrets.
pub(crate) fn encode<R: Record>(record: &R) -> Result<PlainBytes, RecordError> {
    let size = postcard::experimental::serialized_size(record).map_err(|_| RecordError)?;
    let mut body = PlainBytes::zeroed(size);
    let used = postcard::to_slice(record, &mut body).map_err(|_| RecordError)?.len();
    if used == size { Ok(body) } else { Err(RecordError) }
}

/// For `#[serde(with = "keywright_store::secret_field")]`: a
/// [`SecretBytes`](keywright_core::SecretBytes) inside a record that is sealed as a whole. Secrets
/// are not `Serialize`, so that each such field is easy to find in an audit.
pub mod secret_field {
    use std::fmt;

    use keywright_core::SecretBytes;
    use serde::de::{Error, SeqAccess, Visitor};
    use serde::{Deserializer, Serializer};

    /// Writes the bytes.
    ///
    /// # Errors
    /// Returns the serializer's own errors.
    pub fn serialize<S: Serializer, const N: usize>(secret: &SecretBytes<N>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bytes(secret.expose())
    }

    /// Reads exactly `N` bytes.
    ///
    /// # Errors
    /// Returns the deserializer's own errors, or an error for a wrong length.
    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(from: D) -> Result<SecretBytes<N>, D::Error> {
        struct Bytes<const N: usize>;
        impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
            type Value = SecretBytes<N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{N} bytes")
            }
            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                SecretBytes::from_slice(bytes).map_err(E::custom)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut secret = SecretBytes::zeroed();
                for byte in secret.expose_mut() {
                    *byte = seq.next_element()?.ok_or_else(|| A::Error::custom("too few bytes"))?;
                }
                if seq.next_element::<u8>()?.is_some() {
                    return Err(A::Error::custom("too many bytes"));
                }
                Ok(secret)
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keywright_core::SecretBytes;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Serialize, Deserialize)]
    struct Sample {
        #[serde(with = "secret_field")]
        key: SecretBytes<4>,
        number: u64,
    }
    impl Record for Sample {
        const SCHEMA: u16 = 2;
    }

    #[test]
    fn round_trip_refuses_other_schemas_and_trailing_bytes() {
        let body = encode(&Sample { key: SecretBytes::from_slice(b"abcd").unwrap(), number: 300 }).unwrap();
        let back = Sample::decode(2, &body).unwrap();
        assert!(back.key.ct_eq(b"abcd") && back.number == 300);
        assert!(Sample::decode(1, &body).is_err());
        let mut longer = body.to_vec();
        longer.push(0);
        assert!(Sample::decode(2, &longer).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_fail(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Sample::decode(2, &bytes);
            let _ = keywright_core::GuessLedger::decode(1, &bytes);
            let _ = crate::root::RootRecord::decode(1, &bytes).is_none();
            let _ = crate::due::DueList::decode(1, &bytes);
        }
    }
}
