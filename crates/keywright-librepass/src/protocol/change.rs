//! The body of a change, read in one pass and borrowed from.

use std::borrow::Cow;
use std::fmt;

use keywright_rekey::{CipherList, Hex, Submission};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use crate::policy::LibrePassPolicy;
use crate::protocol::address::Address;
use crate::protocol::error::ApiError;
use crate::protocol::hint;
use crate::protocol::keys::{PublicKey, SharedKey};
use crate::protocol::parameters::ArgonParameters;

/// The proof of the current key, and the new key with its own proof.
pub(crate) struct Keys {
    pub(crate) old: SharedKey,
    pub(crate) new_public: PublicKey,
    pub(crate) new_shared: SharedKey,
}

/// The body of `PATCH user/password`.
pub(crate) struct ChangeOfPassword<'b> {
    pub(crate) keys: Keys,
    /// The new hint; `None` clears the current one.
    pub(crate) hint: Option<String>,
    pub(crate) parameters: ArgonParameters,
    pub(crate) ciphers: Submission<'b>,
}

/// The body of `PATCH user/email`.
pub(crate) struct ChangeOfAddress<'b> {
    pub(crate) keys: Keys,
    pub(crate) address: Address,
    pub(crate) ciphers: Submission<'b>,
}

impl<'b> ChangeOfPassword<'b> {
    /// Reads the body. Everything except the ciphers is checked here; the vault checks those.
    pub(crate) fn read(body: &'b [u8], policy: &LibrePassPolicy) -> Result<Self, ApiError> {
        let read = read(body, policy, Kind::Password)?;
        let (parallelism, memory, iterations) =
            (member(read.parallelism)?, member(read.memory)?, member(read.iterations)?);
        let parameters = ArgonParameters::new(parallelism, memory, iterations).map_err(|_| ApiError::VALIDATION)?;
        let hint = hint::parse(read.hint.flatten().map(Cow::into_owned))?;
        let ciphers = member(read.ciphers)?;
        let keys = keys(read.old_shared, read.new_public, read.new_shared)?;
        Ok(Self { keys, hint, parameters, ciphers })
    }
}

impl<'b> ChangeOfAddress<'b> {
    /// Reads the body as [`ChangeOfPassword::read`] does.
    pub(crate) fn read(body: &'b [u8], policy: &LibrePassPolicy) -> Result<Self, ApiError> {
        let read = read(body, policy, Kind::Address)?;
        let address = Address::parse(&member(read.address)?).ok_or(ApiError::VALIDATION)?;
        let ciphers = member(read.ciphers)?;
        let keys = keys(read.old_shared, read.new_public, read.new_shared)?;
        Ok(Self { keys, address, ciphers })
    }
}

fn member<T>(read: Option<T>) -> Result<T, ApiError> {
    read.ok_or(ApiError::NOT_READABLE)
}

fn keys(old: Option<Text<'_>>, public: Option<Text<'_>>, new: Option<Text<'_>>) -> Result<Keys, ApiError> {
    // If any is missing, the body is at fault; if all are there and one is malformed, that key is
    // at fault.
    let (old, public, new) = (member(old)?, member(public)?, member(new)?);
    let shared = |text: &str| SharedKey::from_hex(text).map_err(|_| ApiError::SHARED_KEY);
    let new_public = PublicKey::from_hex(&public).map_err(|_| ApiError::SHARED_KEY)?;
    Ok(Keys { old: shared(&old)?, new_public, new_shared: shared(&new)? })
}

/// Which body is read. Members of the other one are unknown, and ignored whatever they hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Password,
    Address,
}

type Text<'b> = Cow<'b, str>;

/// A string that borrows from the body where it can.
#[derive(Deserialize)]
struct Borrowed<'b>(#[serde(borrow)] Text<'b>);

#[derive(Default)]
struct Read<'b> {
    address: Option<Text<'b>>,
    old_shared: Option<Text<'b>>,
    new_public: Option<Text<'b>>,
    new_shared: Option<Text<'b>>,
    /// The only member that may be null.
    hint: Option<Option<Text<'b>>>,
    parallelism: Option<u32>,
    memory: Option<u32>,
    iterations: Option<u32>,
    ciphers: Option<Submission<'b>>,
}

fn read<'b>(body: &'b [u8], policy: &LibrePassPolicy, kind: Kind) -> Result<Read<'b>, ApiError> {
    let members = Members { list: CipherList::new(body, policy.limits, &Hex), kind };
    let mut json = serde_json::Deserializer::from_slice(body);
    let read = members.deserialize(&mut json).map_err(|error| ApiError::unreadable(&error))?;
    json.end().map_err(|error| ApiError::unreadable(&error))?;
    Ok(read)
}

/// Reads the object. A known member that is null, mistyped or present twice is an error; an unknown
/// one is ignored.
struct Members<'b> {
    list: CipherList<'b>,
    kind: Kind,
}

impl<'de> DeserializeSeed<'de> for Members<'de> {
    type Value = Read<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Read<'de>, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'de> {
    type Value = Read<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a change")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Read<'de>, A::Error> {
        let mut read = Read::default();
        while let Some(Borrowed(name)) = map.next_key()? {
            match (&*name, self.kind) {
                ("oldSharedKey", _) => text(&mut read.old_shared, &mut map)?,
                ("newPublicKey", _) => text(&mut read.new_public, &mut map)?,
                ("newSharedKey", _) => text(&mut read.new_shared, &mut map)?,
                ("newEmail", Kind::Address) => text(&mut read.address, &mut map)?,
                ("newPasswordHint", Kind::Password) => {
                    let hint = map.next_value::<Option<Borrowed<'de>>>()?;
                    once(&mut read.hint, hint.map(|Borrowed(text)| text))?;
                }
                ("parallelism", Kind::Password) => once(&mut read.parallelism, map.next_value()?)?,
                ("memory", Kind::Password) => once(&mut read.memory, map.next_value()?)?,
                ("iterations", Kind::Password) => once(&mut read.iterations, map.next_value()?)?,
                ("ciphers", _) if read.ciphers.is_some() => return Err(twice()),
                ("ciphers", _) => read.ciphers = Some(map.next_value_seed(self.list)?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(read)
    }
}

fn text<'de, A: MapAccess<'de>>(place: &mut Option<Text<'de>>, map: &mut A) -> Result<(), A::Error> {
    let Borrowed(text) = map.next_value()?;
    once(place, text)
}

fn once<T, E: Error>(place: &mut Option<T>, value: T) -> Result<(), E> {
    if place.replace(value).is_some() { Err(twice()) } else { Ok(()) }
}

fn twice<E: Error>() -> E {
    E::custom("a member that is there twice")
}
