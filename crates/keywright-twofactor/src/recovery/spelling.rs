//! How recovery codes of other systems are written, and how typed text is brought into that form.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use keywright_core::{SecretString, typed};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256, Sha512};
use zeroize::Zeroizing;

/// The maximum length of typed input, in bytes.
const MAX_INPUT: usize = 256;

/// How the other system wrote a code before it hashed it. Typed text is brought into this form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spelling {
    pub(crate) case: LetterCase,
    /// The number of characters between two hyphens, or 0 without hyphens.
    group: u8,
}

/// The case of the letters of a code.
// Variants are stored by position, so a new one must be appended at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LetterCase {
    /// Case matters.
    #[default]
    Mixed,
    /// All letters are lower case; a code may be typed in either.
    Lower,
    /// All letters are upper case; a code may be typed in either.
    Upper,
}

impl Spelling {
    /// Returns the spelling of codes without hyphens whose letters are in this case.
    #[must_use]
    pub const fn new(case: LetterCase) -> Self {
        Self { case, group: 0 }
    }

    /// Sets that the code was hashed with a hyphen after every `characters` characters, as in
    /// `abcde-fghij`. It does not matter where a user types hyphens.
    #[must_use]
    pub const fn grouped(mut self, characters: u8) -> Self {
        self.group = characters;
        self
    }
}

/// A fast digest of recovery codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Digest {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// The form of the codes of an imported set, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImportedForm {
    pub(crate) spelling: Spelling,
    pub(crate) shortest: u8,
    pub(crate) longest: u8,
    pub(crate) digits: bool,
}

impl ImportedForm {
    /// Whether a text has this form.
    pub(crate) fn is_form_of(&self, typed: &str) -> bool {
        self.parse(typed).is_some()
    }

    /// Returns what somebody typed as the other system wrote it, or `None` if it cannot be a code.
    pub(crate) fn parse(&self, typed: &str) -> Option<Zeroizing<Vec<u8>>> {
        if typed.len() > MAX_INPUT {
            return None;
        }
        let longest = usize::from(self.longest);
        let mut text = Zeroizing::new(Vec::with_capacity(longest.saturating_mul(2)));
        let mut count = 0_usize;
        for typed in typed::characters(typed) {
            let byte = u8::try_from(typed).ok().filter(u8::is_ascii_graphic)?;
            if count == longest || (self.digits && !byte.is_ascii_digit()) {
                return None;
            }
            if count != 0 && count.checked_rem(self.spelling.group.into()) == Some(0) {
                text.push(b'-');
            }
            text.push(match self.spelling.case {
                LetterCase::Mixed => byte,
                LetterCase::Lower => byte.to_ascii_lowercase(),
                LetterCase::Upper => byte.to_ascii_uppercase(),
            });
            count = count.saturating_add(1);
        }
        (count >= usize::from(self.shortest)).then_some(text)
    }
}

/// Which characters the codes of a set have.
#[derive(Default)]
pub(crate) struct Alphabet {
    digit: bool,
    hex: bool,
    lower: bool,
    upper: bool,
    other: bool,
}

impl Alphabet {
    pub(crate) fn extend(&mut self, text: &[u8]) {
        for byte in text {
            match byte {
                b'0'..=b'9' => self.digit = true,
                b'a'..=b'f' | b'A'..=b'F' => self.hex = true,
                b'a'..=b'z' | b'A'..=b'Z' => {}
                _ => self.other = true,
            }
            self.lower |= byte.is_ascii_lowercase() && *byte > b'f';
            self.upper |= byte.is_ascii_uppercase() && *byte > b'F';
        }
    }

    pub(crate) const fn is_digits(&self) -> bool {
        !(self.hex || self.lower || self.upper || self.other)
    }

    /// Returns how many symbols the other system draws from, at least. A set of few codes does not
    /// show all of them, so only classes are told apart.
    pub(crate) const fn size(&self) -> u64 {
        match (self.lower || self.upper || self.other, self.hex) {
            (true, _) => 26,
            (false, true) => 16,
            (false, false) => 10,
        }
    }
}

/// Returns the one case of all letters, if there is one.
pub(crate) fn case_of(list: &[SecretString]) -> LetterCase {
    let any = |is: fn(&u8) -> bool| list.iter().any(|code| code.expose().bytes().any(|byte| is(&byte)));
    match (any(u8::is_ascii_lowercase), any(u8::is_ascii_uppercase)) {
        (true, false) => LetterCase::Lower,
        (false, true) => LetterCase::Upper,
        _ => LetterCase::Mixed,
    }
}

impl Digest {
    pub(crate) fn of(self, text: &[u8]) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Sha256 => Sha256::digest(text).to_vec(),
            Self::Sha512 => Sha512::digest(text).to_vec(),
        })
    }

    /// Reads a digest in hex, of either case, or in base64, with or without padding.
    pub(crate) fn read(self, text: &str) -> Option<Zeroizing<Vec<u8>>> {
        let (length, hex_length) = match self {
            Self::Sha256 => (32, 64),
            Self::Sha512 => (64, 128),
        };
        let bytes = if text.len() == hex_length {
            hex::decode(text).ok()?
        } else {
            STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok()?
        };
        Some(Zeroizing::new(bytes)).filter(|bytes| bytes.len() == length)
    }
}
