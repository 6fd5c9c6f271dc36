//! What can happen in a history.

use proptest::prelude::*;

use super::super::model::Who;

const HOUR: i64 = 3_600;
const TEN_YEARS: i64 = 10 * 365 * 86_400;
/// Credentials are 0..7, networks 100..103.
const NAMES: [u8; 10] = [0, 1, 2, 3, 4, 5, 6, 100, 101, 102];

/// One event of a history.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Guess {
        kind: usize,
        who: Who,
        right: bool,
    },
    /// A guess that the host judges later.
    Slow {
        kind: usize,
        who: Who,
        right: bool,
    },
    /// The host answers its oldest question.
    Answer,
    /// The host forgets its oldest question.
    Lose,
    /// The host is busy, and has not looked at its oldest question.
    Withdraw,
    /// Wrong guesses in a row; refusals are waited out.
    Siege {
        kind: usize,
        who: Who,
        guesses: u8,
    },
    /// A thief with a stolen credential, and its owner who succeeds after every fourth wrong guess.
    Thief {
        kind: usize,
        who: Who,
        rounds: u8,
    },
    Renew {
        kind: usize,
        changed_by: Vec<u8>,
    },
    Admit {
        kind: usize,
        name: u8,
    },
    Unlock {
        kind: usize,
    },
    Pass(u64),
    Jump(i64),
}

fn who() -> impl Strategy<Value = Who> {
    let credential = prop_oneof![1 => Just(None), 3 => (0..7_u8).prop_map(Some)];
    let network = prop_oneof![1 => Just(None), 2 => (100..103_u8).prop_map(Some)];
    (credential, network).prop_map(|(credential, network)| Who { credential, network })
}

pub(super) fn op() -> impl Strategy<Value = Op> {
    let kind = || prop_oneof![5 => Just(0_usize), 1 => Just(1_usize)];
    let name = || prop::sample::select(NAMES.to_vec());
    let jumps = [-TEN_YEARS, -86_400, -HOUR, -1, 1, HOUR, 86_400, TEN_YEARS];
    prop_oneof![
        10 => (kind(), who(), any::<bool>()).prop_map(|(kind, who, right)| Op::Guess { kind, who, right }),
        8 => (kind(), who(), prop::bool::weighted(0.3)).prop_map(|(kind, who, right)| Op::Slow { kind, who, right }),
        5 => Just(Op::Answer),
        1 => Just(Op::Lose),
        2 => Just(Op::Withdraw),
        8 => (kind(), who(), 1..30_u8).prop_map(|(kind, who, guesses)| Op::Siege { kind, who, guesses }),
        3 => (kind(), who(), 1..10_u8).prop_map(|(kind, who, rounds)| Op::Thief { kind, who, rounds }),
        1 => (kind(), prop::collection::vec(name(), 0..3))
            .prop_map(|(kind, changed_by)| Op::Renew { kind, changed_by }),
        2 => (kind(), name()).prop_map(|(kind, name)| Op::Admit { kind, name }),
        1 => kind().prop_map(|kind| Op::Unlock { kind }),
        2 => (0..200_u64).prop_map(Op::Pass),
        3 => (0..400_000_u64).prop_map(Op::Pass),
        3 => prop::sample::select(jumps.to_vec()).prop_map(Op::Jump),
    ]
}
