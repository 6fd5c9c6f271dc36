//! The ledgers that stand in for those of accounts that do not exist.

use std::fmt;

use keywright_core::{IndexKey, Keyring};
use keywright_store::Partition;

/// Where guesses at the login password of a name are counted if the name has no account: one of
/// 65,536 ledgers. All protocols share them, because they share an account's ledger: otherwise a
/// name that is locked in one protocol and open in another would be known not to exist.
///
/// Names are folded to lower case, because hosts fold them: `ALICE` and `alice` must share a decoy
/// as they share an account. A name and an address do not share one, because a name that is written
/// like an address is not the account that has this address.
pub struct Decoys(IndexKey);

impl Decoys {
    /// Returns the decoys of a keyring.
    #[must_use]
    pub fn new(keyring: &Keyring) -> Self {
        Self(keyring.index("decoy"))
    }

    /// Returns the decoy of a login name.
    #[must_use]
    pub fn of_name(&self, name: &str) -> Partition {
        self.of(b"login-name", name)
    }

    /// Returns the decoy of a mail address.
    #[must_use]
    pub fn of_address(&self, address: &str) -> Partition {
        self.of(b"login-address", address)
    }

    fn of(&self, kind: &[u8], text: &str) -> Partition {
        let mut index = [0; 32];
        let full = self.0.mac(&[kind, text.to_lowercase().as_bytes()]);
        index.iter_mut().zip(full).take(2).for_each(|(to, from)| *to = from);
        Partition::name(&index)
    }
}

impl fmt::Debug for Decoys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoys(..)")
    }
}

#[cfg(test)]
mod tests {
    use keywright_core::SystemEntropy;

    use super::*;

    #[test]
    fn letter_case_shares_a_decoy_and_a_name_and_an_address_do_not() {
        let decoys = Decoys::new(&Keyring::generate(&SystemEntropy).unwrap());
        assert_eq!(decoys.of_name("ÄLICE"), decoys.of_name("älice"));
        assert_eq!(decoys.of_address("A@example.org"), decoys.of_address("a@example.org"));
        // One of 65,536 collides by chance, not all of these.
        assert!(
            (0..4)
                .any(|n| decoys.of_name(&format!("{n}@example.org")) != decoys.of_address(&format!("{n}@example.org")))
        );
        assert!((0..4).any(|n| decoys.of_name(&format!("{n}")) != decoys.of_name(&format!("{n}{n}"))));
    }
}
