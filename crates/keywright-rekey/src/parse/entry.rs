//! One entry of the list, of whatever form.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The names of the two members of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) id: &'static str,
    pub(crate) text: &'static str,
}

/// The value of a member that must be a string.
#[derive(Debug, Clone, Default)]
pub(crate) enum Member<'de> {
    #[default]
    Absent,
    Text(Cow<'de, str>),
    /// The value is null or of another type.
    NoText,
    /// The member occurs more than once.
    Repeated,
}

/// The members that were read from an entry.
#[derive(Debug, Clone, Default)]
pub(crate) struct Read<'de> {
    pub(crate) id: Member<'de>,
    pub(crate) text: Member<'de>,
}

/// Reads one entry and never refuses it: faults appear in the members.
#[derive(Clone, Copy)]
pub(crate) struct Seed(pub(crate) Names);

impl<'de> DeserializeSeed<'de> for Seed {
    type Value = Read<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The visitor methods for values of another type. They are spelled out because the defaults of
/// `serde` return an error.
macro_rules! others {
    ($value:expr; $($visit:ident($type:ty)),* $(,)?) => {$(
        fn $visit<E: Error>(self, _: $type) -> Result<Self::Value, E> {
            Ok($value)
        }
    )*};
}

macro_rules! no_object {
    ($value:expr) => {
        others! { $value; visit_bool(bool), visit_i64(i64), visit_i128(i128), visit_u64(u64), visit_u128(u128),
        visit_f64(f64), visit_bytes(&[u8]) }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($value)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }

        fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_any(self)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
    };
}

impl<'de> Visitor<'de> for Seed {
    type Value = Read<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cipher")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read<'de>, A::Error> {
        let mut read = Read::default();
        while let Some(name) = map.next_key_seed(NameSeed(self.0))? {
            let member = match name {
                Name::Id => &mut read.id,
                Name::Text => &mut read.text,
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let value = map.next_value_seed(MemberSeed)?;
            *member = if matches!(member, Member::Absent) { value } else { Member::Repeated };
        }
        Ok(read)
    }

    others! { Read { id: Member::NoText, text: Member::NoText }; visit_str(&str) }
    no_object! { Read { id: Member::NoText, text: Member::NoText } }
}

/// Identifies a member.
enum Name {
    Id,
    Text,
    Other,
}

struct NameSeed(Names);

impl<'de> DeserializeSeed<'de> for NameSeed {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_identifier(self)
    }
}

impl Visitor<'_> for NameSeed {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member's name")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Name, E> {
        Ok(if name == self.0.id {
            Name::Id
        } else if name == self.0.text {
            Name::Text
        } else {
            Name::Other
        })
    }

    others! { Name::Other; visit_u64(u64), visit_i64(i64), visit_bytes(&[u8]) }
}

struct MemberSeed;

impl<'de> DeserializeSeed<'de> for MemberSeed {
    type Value = Member<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Member<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for MemberSeed {
    type Value = Member<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text.into())))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Member<'de>, E> {
        Ok(Member::Text(Cow::Owned(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::NoText)
    }

    no_object! { Member::NoText }
}
