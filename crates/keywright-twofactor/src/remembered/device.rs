//! Remembered devices as callers see them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keywright_core::{AccountId, Purpose, SecretBytes, SecretString, UnixSeconds};
use zeroize::Zeroizing;

/// The bytes of an id.
const ID_BYTES: usize = 8;

/// The bytes of the random part of a token.
const SECRET_BYTES: usize = 32;

/// The bytes of a token: the id and the random part.
const TOKEN_BYTES: usize = 40;

/// The identifier of a remembered device within its account: 64 random bits. It is not secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct RememberedId([u8; ID_BYTES]);

impl RememberedId {
    pub(crate) const fn from_bytes(bytes: [u8; ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Parses the form that [`Display`](fmt::Display) writes.
    ///
    /// # Errors
    /// Returns [`RememberedIdError`] for anything but 16 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, RememberedIdError> {
        let mut id = [0; ID_BYTES];
        hex::decode_to_slice(text, &mut id).map_err(|_| RememberedIdError)?;
        // Each id has exactly one spelling, so upper-case digits are refused.
        if hex::encode(id) == text { Ok(Self(id)) } else { Err(RememberedIdError) }
    }
}

impl fmt::Display for RememberedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RememberedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RememberedId({self})")
    }
}

/// The error for a text that is not the id of a remembered device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the id of a remembered device must be 16 lower-case hex digits")]
pub struct RememberedIdError;

/// The token by which a browser is recognized: 54 characters of base64url, for a cookie that only
/// this server reads (`__Host-…; Secure; HttpOnly; SameSite=Lax`). The store keeps only a keyed
/// digest of it.
#[must_use = "the token exists only here; without it the browser is not recognized"]
pub struct TrustToken {
    pub(crate) id: RememberedId,
    pub(crate) text: SecretString,
}

impl TrustToken {
    pub(super) fn new(id: RememberedId, secret: &SecretBytes<SECRET_BYTES>) -> Self {
        let mut bytes = Zeroizing::new(Vec::with_capacity(TOKEN_BYTES));
        bytes.extend_from_slice(id.as_bytes());
        bytes.extend_from_slice(secret.expose());
        Self { id, text: SecretString::new(URL_SAFE_NO_PAD.encode(&*bytes)) }
    }

    /// Returns the id of the remembered device.
    #[must_use]
    pub const fn id(&self) -> RememberedId {
        self.id
    }

    /// Returns the text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }
}

impl fmt::Debug for TrustToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrustToken({}, ..)", self.id)
    }
}

/// Returns the parts of a token that a client sent, or `None` for any other text.
pub(super) fn parse(token: &str) -> Option<(RememberedId, SecretBytes<SECRET_BYTES>)> {
    let mut bytes = Zeroizing::new([0; TOKEN_BYTES]);
    let length = URL_SAFE_NO_PAD.decode_slice(token, &mut *bytes).ok()?;
    let (id, secret) = bytes.split_first_chunk::<ID_BYTES>().filter(|_| length == TOKEN_BYTES)?;
    Some((RememberedId(*id), SecretBytes::from_slice(secret).ok()?))
}

/// A remembered device, for a list that the owner sees.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RememberedDevice {
    /// The id.
    pub id: RememberedId,
    /// The name, as the host or the owner chose it.
    pub name: String,
    /// When the device was remembered.
    pub added: UnixSeconds,
    /// When it was last recognized, or remembered if it never was.
    pub last_used: UnixSeconds,
    /// The first time at which it is no longer recognized.
    pub expires: UnixSeconds,
}

/// The proof that a request comes from a device that the owner had remembered. It stands in for the
/// second factor of a log-in, and for nothing else: no function that takes a
/// [`Proven`](crate::Proven) or a [`StepUp`](crate::StepUp) takes it. Only a commit creates one.
#[derive(Debug)]
#[must_use]
pub struct Recognized {
    pub(super) account: AccountId,
    pub(super) device: RememberedId,
    pub(super) purpose: Purpose,
}

impl Recognized {
    /// Returns the account.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the device.
    #[must_use]
    pub const fn device(&self) -> RememberedId {
        self.device
    }

    /// Returns the purpose for which the device was recognized, as the caller stated it.
    #[must_use]
    pub const fn purpose(&self) -> &Purpose {
        &self.purpose
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_reads_back_and_nothing_else_does(id: [u8; 8], secret: [u8; 32], other in ".{0,80}") {
            let token = TrustToken::new(RememberedId(id), &SecretBytes::from_slice(&secret).unwrap());
            prop_assert_eq!(token.expose().len(), 54);
            let (read, random) = parse(token.expose()).unwrap();
            prop_assert_eq!((read, random.expose()), (RememberedId(id), &secret));
            prop_assert!(parse(&other).is_none_or(|_| other.len() == 54));
            prop_assert_eq!(RememberedId::parse(&RememberedId(id).to_string()), Ok(RememberedId(id)));
        }
    }

    #[test]
    fn a_token_has_one_spelling() {
        let token = TrustToken::new(RememberedId([255; 8]), &SecretBytes::from_slice(&[255; 32]).unwrap());
        let text = token.expose();
        // The last character carries two bits that mean nothing.
        for changed in [format!("{text}="), format!(" {text}"), text.replace('_', "/"), format!("{}9", &text[..53])] {
            assert!(parse(&changed).is_none(), "{changed}");
        }
        assert!(!format!("{token:?}").contains(text));
    }
}
