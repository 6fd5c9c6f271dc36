//! Marks that carry the client's nonce, for the parts of an upload.
//!
//! A store returns the ids and the text marks of a stage, but not the nonces. A vault that arrives
//! in parts is checked as a whole when the upload is finished, so the mark of each of its texts
//! consists of the client's nonce and four random bytes. A mark is not secret. It must only differ
//! at each write, and a client that re-encrypts draws another nonce as well.

use keywright_store::{ClientNonce, Mark};
use siphasher::sip128::SipHasher24;

/// Returns the mark of a text with this nonce. `random` is drawn as for any mark.
pub(crate) fn carried(nonce: ClientNonce, random: [u8; 16]) -> Mark {
    let mut mark = random;
    let ClientNonce(nonce) = short(nonce);
    mark.iter_mut().zip(nonce).take(12).for_each(|(to, from)| *to = from);
    Mark(mark)
}

/// Returns a nonce in the form that a mark carries: 12 bytes, padded with zeros. Longer ones, which
/// custom formats may have, are hashed.
pub(crate) fn short(nonce: ClientNonce) -> ClientNonce {
    match nonce.0 {
        [.., 0, 0, 0, 0] => nonce,
        long => ClientNonce(with_zeros(SipHasher24::new_with_key(&[0; 16]).hash(&long).as_bytes())),
    }
}

/// Returns the nonce that a mark carries.
pub(crate) const fn nonce_of(Mark(mark): Mark) -> ClientNonce {
    ClientNonce(with_zeros(mark))
}

const fn with_zeros([a, b, c, d, e, f, g, h, i, j, k, l, ..]: [u8; 16]) -> [u8; 16] {
    [a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_carries_the_nonce() {
        let short_one = ClientNonce(with_zeros([7; 16]));
        let (first, second) = (carried(short_one, [1; 16]), carried(short_one, [2; 16]));
        assert_eq!((nonce_of(first), nonce_of(second)), (short_one, short_one));
        assert_ne!(first, second, "another mark at each write");
        for long in
            [ClientNonce([7; 16]), ClientNonce([8; 16]), ClientNonce([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])]
        {
            assert_eq!(nonce_of(carried(long, [1; 16])), short(long));
            assert_ne!(short(long), short_one);
            assert_eq!(short(short(long)), short(long));
        }
        assert_ne!(short(ClientNonce([7; 16])), short(ClientNonce([8; 16])));
    }
}
