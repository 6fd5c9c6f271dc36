//! Ciphers in the form of the protocol (protocol § 3), and the notes that this client writes into
//! them.

use keywright_core::SecretVec;
use serde::{Deserialize, Serialize};

/// A cipher, still encrypted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Cipher {
    /// The cipher's id, a UUID.
    pub id: String,
    /// The user's id.
    pub owner: String,
    /// What the cipher contains.
    #[serde(default, rename = "type")]
    pub kind: Kind,
    /// The encrypted envelope, in hex.
    pub protected_data: String,
    /// Whether clients list the cipher first.
    #[serde(default)]
    pub favorite: bool,
    /// Whether clients ask for the password before they show the cipher.
    #[serde(default)]
    pub re_prompt: bool,
    /// When it was created, in whole seconds since 1970, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<i64>,
    /// When it was last changed, in whole seconds since 1970, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<i64>,
}

impl Cipher {
    /// Creates a new cipher of an owner.
    #[must_use]
    pub fn new(id: String, owner: &str, kind: Kind, protected_data: String) -> Self {
        let owner = owner.to_owned();
        Self { id, owner, kind, protected_data, favorite: false, re_prompt: false, created: None, last_modified: None }
    }
}

/// What a cipher contains, as a number that servers do not check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Kind(pub i64);

impl Kind {
    /// A log-in.
    pub const LOGIN: Self = Self(0);
    /// A secure note.
    pub const NOTE: Self = Self(1);
    /// A card.
    pub const CARD: Self = Self(2);
}

/// The JSON members of a note.
#[derive(Serialize)]
pub(crate) struct Note<'a> {
    pub(crate) title: &'a str,
    pub(crate) note: &'a str,
}

/// What a list shows: the name or title in a cipher's JSON.
#[derive(Deserialize)]
struct Named {
    #[serde(alias = "title")]
    name: Option<String>,
}

/// Returns the name or title in a cipher's text, if it has one.
pub(crate) fn name(text: &SecretVec) -> Option<String> {
    serde_json::from_slice::<Named>(text.expose()).ok().and_then(|named| named.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_those_of_the_wire_and_absent_ones_have_defaults() {
        let cipher: Cipher =
            serde_json::from_str(r#"{"id":"a","owner":"b","protectedData":"c","later":null}"#).unwrap();
        assert_eq!((cipher.kind, cipher.favorite, cipher.created), (Kind::LOGIN, false, None));
        let text = serde_json::to_string(&Cipher::new("a".to_owned(), "b", Kind::NOTE, "c".to_owned())).unwrap();
        let expected = r#"{"id":"a","owner":"b","type":1,"protectedData":"c","favorite":false,"rePrompt":false}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn names_and_titles() {
        let name = |text: &str| name(&SecretVec::new(text.as_bytes().to_vec()));
        assert_eq!(name(r#"{"name":"site","username":"me"}"#).as_deref(), Some("site"));
        assert_eq!(name(r#"{"title":"a note"}"#).as_deref(), Some("a note"));
        assert_eq!(name("no JSON"), None);
    }
}
