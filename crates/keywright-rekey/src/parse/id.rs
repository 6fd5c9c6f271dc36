//! Cipher ids as text.

use keywright_store::CipherId;

use crate::format::hex::decode_array;

/// The length of a UUID's text, in characters. Source: RFC 9562 § 4.
pub(crate) const ID_TEXT_BYTES: usize = 36;

/// Parses a UUID of 36 characters in either case. Short forms, braces and `urn:uuid:` are not
/// accepted.
#[must_use]
pub fn parse_id(text: &str) -> Option<CipherId> {
    text.as_bytes().try_into().ok().and_then(parse_id_bytes)
}

/// Parses a UUID. This is written by hand because each entry of a vault has one, and the `uuid`
/// crate takes 6 times as long.
#[inline]
pub(crate) fn parse_id_bytes(text: &[u8; ID_TEXT_BYTES]) -> Option<CipherId> {
    // The digits are grouped as 8-4-4-4-12. All offsets are constants, so that the compiler removes
    // the checks.
    let (a, rest) = text.split_first_chunk::<8>()?;
    let (b, rest) = rest.split_first_chunk::<5>()?;
    let (c, rest) = rest.split_first_chunk::<5>()?;
    let (d, rest) = rest.split_first_chunk::<5>()?;
    let (e, f) = rest.split_first_chunk::<5>()?;
    let f: &[u8; 8] = f.try_into().ok()?;
    let mut digits = [0_u8; 32];
    let ([g1, g2, g3, g4], []) = digits.as_chunks_mut::<8>() else { return None };
    let ([h1, b1 @ ..], [h2, c1 @ ..], [h3, d1 @ ..], [h4, e1 @ ..]) = (*b, *c, *d, *e);
    if [h1, h2, h3, h4] != [b'-'; 4] {
        return None;
    }
    *g1 = *a;
    *g2 = join(b1, c1);
    *g3 = join(d1, e1);
    *g4 = *f;
    decode_array(&digits).map(CipherId)
}

#[inline]
fn join([a, b, c, d]: [u8; 4], [e, f, g, h]: [u8; 4]) -> [u8; 8] {
    [a, b, c, d, e, f, g, h]
}

/// Formats an id as a UUID: 36 characters, lower case.
#[must_use]
pub fn id_text(id: CipherId) -> String {
    let mut text = hex::encode(id.0);
    for place in [8, 13, 18, 23] {
        text.insert(place, '-');
    }
    text
}
