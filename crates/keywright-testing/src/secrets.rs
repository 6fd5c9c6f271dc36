//! The leak search looks for planted secrets wherever they must not be.

use std::fmt;
use std::sync::Mutex;

/// How many bytes are shown before and after a secret that was found.
const AROUND: usize = 200;

/// Secrets that a test has planted, each as the bytes that must not appear anywhere.
#[derive(Default)]
pub struct Secrets(Mutex<Vec<Vec<u8>>>);

impl Secrets {
    /// Creates a search without any secret.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Plants a secret. It must have at least four bytes: a shorter one would be found by chance,
    /// and an empty one anywhere.
    pub fn plant(&self, secret: impl AsRef<[u8]>) {
        let secret = secret.as_ref();
        assert!(secret.len() >= 4, "too short to be looked for");
        self.0.lock().unwrap().push(secret.to_vec());
    }

    /// Plants several secrets.
    pub fn plant_all<S: AsRef<[u8]>>(&self, secrets: impl IntoIterator<Item = S>) {
        secrets.into_iter().for_each(|secret| self.plant(secret));
    }

    /// Returns how many secrets were planted.
    #[must_use]
    pub fn planted(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Returns which of the secrets, counted from 0, is in these bytes, or `None` if none is.
    #[must_use]
    pub fn find_in(&self, bytes: impl AsRef<[u8]>) -> Option<usize> {
        self.search(bytes.as_ref()).map(|(number, _)| number)
    }

    /// Asserts that none of the secrets is in these bytes, such as a text, a log, a row or a file.
    #[track_caller]
    pub fn are_absent_from(&self, place: &str, bytes: impl AsRef<[u8]>) {
        if let Some((number, around)) = self.search(bytes.as_ref()) {
            panic!("{place} holds secret {number}: …{around}…");
        }
    }

    /// Returns the first secret that is found, and what is around it.
    fn search(&self, bytes: &[u8]) -> Option<(usize, String)> {
        let text = each_byte(bytes);
        self.0.lock().unwrap().iter().enumerate().find_map(|(number, secret)| {
            let secret = each_byte(secret);
            let (before, after) = text.split_once(&secret)?;
            let before: String = before.chars().rev().take(AROUND).collect();
            let around = before.chars().rev().chain(secret.chars()).chain(after.chars().take(AROUND));
            Some((number, around.collect()))
        })
    }
}

impl<S: AsRef<[u8]>> FromIterator<S> for Secrets {
    fn from_iter<I: IntoIterator<Item = S>>(secrets: I) -> Self {
        let all = Self::new();
        all.plant_all(secrets);
        all
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.planted())
    }
}

/// Maps each byte to a character, because text is searched quickly even in a build without
/// optimisation.
fn each_byte(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_found_and_what_is_not_is_not() {
        let secrets: Secrets = [&b"planted"[..], &[0xff, 0xfe, 0x80, 0x00]].into_iter().collect();
        assert_eq!(secrets.find_in("a line with planted text"), Some(0));
        assert_eq!(secrets.find_in([1, 0xff, 0xfe, 0x80, 0x00, 2]), Some(1));
        assert_eq!(secrets.find_in([0xff, 0xfe, 0x80]), None, "a part of one is none");
        // The bytes of a character's UTF-8 form do not count as the character.
        assert_eq!(secrets.find_in("\u{ff}\u{fe}\u{80}\u{0}"), None);
    }

    #[test]
    #[should_panic(expected = "the log holds secret 0: …a planted secret…")]
    fn a_leak_fails_the_test() {
        let secrets = Secrets::new();
        secrets.plant("planted");
        secrets.are_absent_from("the log", "a planted secret");
    }
}
