//! Fingerprints of nonces, which reveal a possible repetition before nonces are compared.

use keywright_store::ClientNonce;

/// Returns the fingerprint that represents a nonce in the table. It is never zero.
#[inline]
pub(crate) fn fingerprint(ClientNonce(nonce): ClientNonce) -> u32 {
    let number = u128::from_le_bytes(nonce);
    // Two odd constants (digits of the golden ratio and of the square root of three) and a
    // multiplication, of which both halves are used.
    let (low, high) = (number as u64 ^ 0x9e37_79b9_7f4a_7c15, (number >> 64) as u64 ^ 0xbb67_ae85_84ca_a73b);
    let product = u128::from(low).wrapping_mul(u128::from(high));
    let mixed = product as u64 ^ (product >> 64) as u64;
    ((mixed >> 32) as u32 ^ mixed as u32).max(1)
}
