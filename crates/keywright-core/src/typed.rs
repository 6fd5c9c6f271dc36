//! Text that people type or paste: codes, recovery codes, reset codes, base32.
//!
//! Apps print codes in groups, and phones insert white space and hyphens of their own, so both are
//! ignored. Every text is cleaned of the same set of characters before its form is checked; what
//! remains must be correct.
//!
//! ```
//! use keywright_core::typed;
//!
//! assert_eq!(typed::clean(" 123\u{a0}456\n").expose(), "123456");
//! assert_eq!(typed::clean("04HMAS\u{2011}W9NF6Y-Y093S1").expose(), "04HMASW9NF6YY093S1");
//! ```

use crate::secret::SecretString;

/// Whether a character is ignored: Unicode's White_Space, the zero-width space, joiners and word
/// joiner, the byte order mark, the soft hyphen, and every hyphen, dash and minus sign.
#[must_use]
pub fn is_ignored(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{ad}' | '-' | '\u{2010}'..='\u{2015}' | '\u{2212}'
        )
}

/// Returns the characters of a text that are not [ignored](is_ignored).
pub fn characters(text: &str) -> impl Iterator<Item = char> + Clone + '_ {
    text.chars().filter(|character| !is_ignored(*character))
}

/// Returns the text without the [ignored](is_ignored) characters. The result is wiped when it is
/// dropped. It is allocated once, so no copy is left behind.
#[must_use]
pub fn clean(text: &str) -> SecretString {
    let mut cleaned = String::with_capacity(text.len());
    cleaned.extend(characters(text));
    SecretString::new(cleaned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_one_set() {
        let ignored: Vec<u32> = ('\0'..=char::MAX).filter(|one| is_ignored(*one)).map(u32::from).collect();
        let spaces = [0x20, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000];
        let others = [0x2d, 0xad, 0x2060, 0x2212, 0xfeff];
        let mut expected: Vec<u32> = spaces.into_iter().chain(others).collect();
        for range in [0x09..=0x0d, 0x2000..=0x200a, 0x200b..=0x200d, 0x2010..=0x2015] {
            expected.extend(range);
        }
        expected.sort_unstable();
        assert_eq!(ignored, expected);
    }

    proptest! {
        #[test]
        fn cleaning_twice_changes_nothing(text in "[ \\-\u{200b}\u{2011}a-z0-9]{0,40}|\\PC{0,40}") {
            let once = clean(&text);
            prop_assert!(once.expose().chars().all(|one| !is_ignored(one)));
            let twice = clean(once.expose());
            prop_assert_eq!(twice.expose(), once.expose());
        }
    }
}
