//! The vault's digest, which proves that the rows of a vault are those that its head vouches for
//! (`docs/security.md` § 2).
//!
//! Each part of a row, its text and its note, has a mark that is drawn again whenever the part is
//! written. The digest is the XOR over all rows of a keyed hash of the row's id and both marks, so
//! an edit can update it without reading the other rows. The key is kept in the sealed head, and no
//! hash ever leaves the server.

use keywright_core::SecretBytes;
use keywright_store::{CipherId, Mark, RowMarks};
use siphasher::sip128::SipHasher24;

/// The digest of a set of rows: their number and the XOR of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    pub(crate) count: u64,
    pub(crate) hashes: [u8; 16],
}

impl Digest {
    /// Returns the digest of rows.
    pub(crate) fn of<'r>(key: &SecretBytes<16>, rows: impl IntoIterator<Item = &'r RowMarks>) -> Self {
        let mut summing = Summing::new(key);
        for row in rows {
            summing.add(row.id, row.text, row.note);
        }
        summing.finish()
    }

    /// Updates the digest from one set of rows to another: `gone` are removed and `new` are added.
    pub(crate) fn replace<'r>(
        self,
        key: &SecretBytes<16>,
        gone: impl IntoIterator<Item = &'r RowMarks>,
        new: impl IntoIterator<Item = &'r RowMarks>,
    ) -> Self {
        let (gone, new) = (Self::of(key, gone), Self::of(key, new));
        let hashes =
            u128::from_ne_bytes(self.hashes) ^ u128::from_ne_bytes(gone.hashes) ^ u128::from_ne_bytes(new.hashes);
        let count = self.count.saturating_add(new.count).saturating_sub(gone.count);
        Self { count, hashes: hashes.to_ne_bytes() }
    }
}

/// A digest under construction.
pub(crate) struct Summing {
    hasher: SipHasher24,
    count: u64,
    hashes: u128,
}

impl Summing {
    pub(crate) fn new(key: &SecretBytes<16>) -> Self {
        Self { hasher: SipHasher24::new_with_key(key.expose()), count: 0, hashes: 0 }
    }

    /// Adds a row.
    #[inline]
    pub(crate) fn add(&mut self, CipherId(id): CipherId, Mark(text): Mark, Mark(note): Mark) {
        let mut row = [0; 48];
        let ([a, b, c], _) = row.as_chunks_mut::<16>() else { return };
        (*a, *b, *c) = (id, text, note);
        self.hashes ^= u128::from_ne_bytes(self.hasher.hash(&row).as_bytes());
        self.count = self.count.saturating_add(1);
    }

    pub(crate) const fn finish(self) -> Digest {
        Digest { count: self.count, hashes: self.hashes.to_ne_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use keywright_store::ClientNonce;

    use super::*;

    fn key() -> SecretBytes<16> {
        let key: Vec<u8> = (0..16).collect();
        SecretBytes::from_slice(&key).unwrap()
    }

    fn row(number: u8) -> RowMarks {
        let (text, note) = (Mark([0x10 | number; 16]), Mark([0x20 | number; 16]));
        RowMarks { id: CipherId([number; 16]), text, note, nonce: ClientNonce([0xff; 16]) }
    }

    /// `docs/security.md` § 16: computed with another implementation of SipHash-2-4-128.
    #[test]
    fn known_answers() {
        let hex = |digest: Digest| hex::encode(digest.hashes);
        let rows = [row(1), row(2), row(3)];
        assert_eq!(hex(Digest::of(&key(), &rows)), "f1e8396769878e29622524de993e6106");
        assert_eq!(hex(Digest::of(&key(), &rows[..1])), "4d0fa78c335b05dffa2304f5cc579ac1");
        assert_eq!(Digest::of(&key(), &rows).count, 3);
        assert_eq!(Digest::of(&key(), []), Digest::default());
    }

    #[test]
    fn an_edit_leads_to_the_digest_of_the_rows_that_are_there_then() {
        let before = Digest::of(&key(), &[row(1), row(2), row(3)]);
        let replaced = RowMarks { text: Mark([9; 16]), ..row(2) };
        let after = before.replace(&key(), &[row(2), row(3)], &[replaced, row(4), row(5)]);
        assert_eq!(after, Digest::of(&key(), &[row(5), row(4), replaced, row(1)]));
        assert_eq!(after.replace(&key(), [], []), after);
    }

    #[test]
    fn order_does_not_matter_and_everything_else_does() {
        let rows = [row(1), row(2), row(3)];
        let of = |rows: &[RowMarks]| Digest::of(&key(), rows);
        assert_eq!(of(&rows), of(&[row(3), row(1), row(2)]));
        let change = |change: fn(&mut RowMarks)| {
            let mut changed = rows;
            change(&mut changed[1]);
            of(&changed)
        };
        assert_eq!(change(|row| row.nonce = ClientNonce([0; 16])), of(&rows), "the client's nonce is not vouched for");
        for other in [
            change(|row| row.id = CipherId([7; 16])),
            change(|row| row.text = Mark([7; 16])),
            change(|row| row.note = Mark([7; 16])),
            change(|row| std::mem::swap(&mut row.text, &mut row.note)),
            of(&rows[1..]),
            of(&[rows[0], rows[1], rows[2], row(4)]),
            // Two equal rows cancel out in the XOR, but not in the count.
            of(&[rows[0], rows[1], rows[2], row(4), row(4)]),
            Digest::of(&SecretBytes::zeroed(), &rows),
        ] {
            assert_ne!(other, of(&rows));
        }
    }
}
