//! Base64 in the standard alphabet, padded and canonical.

use keywright_store::ClientNonce;

use super::{Base64, Format, MIN_ENVELOPE_BYTES, Malformed, NONCE_BYTES, all, padded};

impl Format for Base64 {
    fn check(&self, bytes: &[u8]) -> Result<ClientNonce, Malformed> {
        // The padding determines which bits of the last character are unused.
        let (data, unused) = match bytes {
            [data @ .., b'=', b'='] => (data, 0b1111),
            [data @ .., b'='] => (data, 0b11),
            data => (data, 0),
        };
        if !all(data, is_character) {
            return Err(Malformed::Alphabet);
        }
        if bytes.len() & 3 != 0 || data.last().is_some_and(|&last| sextet(last) & unused != 0) {
            return Err(Malformed::Length);
        }
        // Four characters are three bytes, rounded down to account for the padding.
        if data.len().wrapping_mul(3) / 4 < MIN_ENVELOPE_BYTES {
            return Err(Malformed::TooShort);
        }
        Ok(self.nonce(bytes))
    }

    fn is_plain(&self) -> bool {
        true
    }

    fn nonce(&self, checked: &[u8]) -> ClientNonce {
        let mut nonce = [0_u8; NONCE_BYTES];
        let sextets = checked.first_chunk::<16>().map(|characters| characters.map(sextet)).unwrap_or_default();
        for (to, &[a, b, c, d]) in nonce.as_chunks_mut::<3>().0.iter_mut().zip(sextets.as_chunks::<4>().0) {
            *to = [(a << 2) | (b >> 4), (b << 4) | (c >> 2), (c << 6) | d];
        }
        padded(nonce)
    }
}

#[inline]
fn is_character(byte: u8) -> bool {
    // '/' is the character before '0', so the two form one range. Bit 5 is the case of a letter.
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'/') < 11) | (byte == b'+')
}

/// Returns the six bits of a character of the alphabet. There is no branch, so that several are
/// computed at the same time.
#[inline]
fn sextet(byte: u8) -> u8 {
    let from = |first: u8, value: u8| byte.wrapping_sub(first).wrapping_add(value);
    let low = if byte >= b'0' { from(b'0', 52) } else { 62 | u8::from(byte == b'/') };
    let upper = if byte >= b'A' { from(b'A', 0) } else { low };
    if byte >= b'a' { from(b'a', 26) } else { upper }
}
