//! The answers for unknown addresses.

use keywright_core::IndexKey;
use keywright_store::Partition;

use crate::protocol::address::Address;
use crate::protocol::parameters::ArgonParameters;

/// Parameters, and how many of a thousand users have them: most keep the stock client's. A table
/// from an operator's own records would be better still; one that is far from them distinguishes
/// unknown addresses from known ones.
const TABLE: [(u64, (u32, u32, u32)); 6] = [
    (940, (3, 65_536, 4)),
    (20, (1, 65_536, 4)),
    (15, (4, 131_072, 4)),
    (10, (3, 102_400, 5)),
    (10, (2, 65_536, 3)),
    (5, (3, 20_480, 10)),
];

/// Returns the row at `u` of 2⁶⁴.
fn weighted(u: u64) -> ArgonParameters {
    let thousandth = u128::from(u).saturating_mul(1_000) >> 64;
    let mut sum = 0_u128;
    let row = TABLE.iter().find(|(weight, _)| {
        sum = sum.saturating_add(u128::from(*weight));
        thousandth < sum
    });
    let (lanes, memory, passes) = row.map_or((3, 65_536, 4), |(_, row)| *row);
    ArgonParameters::new(lanes, memory, passes).unwrap_or_default()
}

/// Returns the parameters of an address without an account, the same for every request.
pub(crate) fn parameters(decoys: &IndexKey, address: &Address) -> ArgonParameters {
    let mac = decoys.mac(&[b"librepass-parameters", address.as_str().as_bytes()]);
    weighted(mac.iter().take(8).fold(0, |u, byte| (u << 8) | u64::from(*byte)))
}

/// Returns the partition in which guesses at an address without an account are charged, one of
/// 65,536.
pub(crate) fn partition(decoys: &IndexKey, address: &Address) -> Partition {
    let mut index = [0; 32];
    let mac = decoys.mac(&[b"librepass-address", address.as_str().as_bytes()]);
    index.iter_mut().zip(mac).take(2).for_each(|(to, from)| *to = from);
    Partition::name(&index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weights_are_of_a_thousand_and_every_row_can_be_met() {
        assert_eq!(TABLE.iter().map(|(weight, _)| weight).sum::<u64>(), 1_000);
        let mut start = 0_u64;
        for (weight, (lanes, memory, passes)) in TABLE {
            let parameters = ArgonParameters::new(lanes, memory, passes).unwrap();
            let at = |thousandth: u64| ((u128::from(thousandth) << 64).div_ceil(1_000)) as u64;
            assert_eq!(weighted(at(start)), parameters);
            assert_eq!(weighted(at(start + weight - 1)), parameters);
            start += weight;
        }
        assert_eq!(weighted(u64::MAX), ArgonParameters::new(3, 20_480, 10).unwrap());
    }
}
