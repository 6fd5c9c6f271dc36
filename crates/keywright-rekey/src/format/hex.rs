//! Hex digits.

use keywright_store::ClientNonce;

use super::{Format, Hex, MIN_ENVELOPE_BYTES, Malformed, NONCE_BYTES, all, padded};

impl Format for Hex {
    fn check(&self, bytes: &[u8]) -> Result<ClientNonce, Malformed> {
        if !all(bytes, is_digit) {
            return Err(Malformed::Alphabet);
        }
        if bytes.len() < 2 * MIN_ENVELOPE_BYTES {
            return Err(Malformed::TooShort);
        }
        if bytes.len() & 1 != 0 {
            return Err(Malformed::Length);
        }
        Ok(self.nonce(bytes))
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn nonce(&self, checked: &[u8]) -> ClientNonce {
        let nonce = checked.first_chunk::<{ 2 * NONCE_BYTES }>().and_then(decode_array);
        padded(nonce.unwrap_or_default())
    }
}

#[inline]
fn is_digit(byte: u8) -> bool {
    // Either subtraction wraps to a large number for a byte below its range. Bit 5 is the case of a
    // letter.
    (byte.wrapping_sub(b'0') < 10) | ((byte | 0x20).wrapping_sub(b'a') < 6)
}

/// Decodes `OUT` bytes from `IN` = 2·`OUT` digits of either case. Returns `None` if a byte is not a
/// digit.
#[inline]
pub(crate) fn decode_array<const IN: usize, const OUT: usize>(digits: &[u8; IN]) -> Option<[u8; OUT]> {
    const { assert!(IN == 2 * OUT, "two digits make a byte") };
    let mut nibbles = *digits;
    let mut bad = false;
    for nibble in &mut nibbles {
        bad |= !is_digit(*nibble);
        // '0'..='9' are 0x30..=0x39, letters 0x41.. and 0x61..: the low four bits, and 9 for a
        // letter (bit 6).
        *nibble = (*nibble & 15).wrapping_add((*nibble >> 6).wrapping_mul(9));
    }
    let mut out = [0_u8; OUT];
    for (byte, [high, low]) in out.iter_mut().zip(nibbles.as_chunks::<2>().0) {
        *byte = (high << 4) | (low & 15);
    }
    (!bad).then_some(out)
}
