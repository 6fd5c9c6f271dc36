//! The model's `recent` is the real one with another bound, and the real rule that settles a lost
//! reply is the one that the design states.

use keywright_model::recent::Recent;
use keywright_store::Revision;
use keywright_store::settle::{Settlement, settle};

const fn revision(number: u8) -> Revision {
    Revision::from_bytes([number; 16])
}

#[test]
fn recent_is_the_real_one_with_another_bound() {
    let mut real = keywright_store::Recent::default();
    let mut models = [Recent::<u8, 16>::default(); 17];
    for replaced in 0..40 {
        real.push(revision(replaced));
        for (depth, model) in models.iter_mut().enumerate() {
            model.push(replaced, depth);
            let shown: Vec<Revision> = model.as_slice().iter().map(|&number| revision(number)).collect();
            let expected: Vec<Revision> = real.as_slice().iter().copied().take(depth).collect();
            assert_eq!(shown, expected, "depth {depth} after {replaced}");
        }
    }
    assert_eq!(real.as_slice().len(), 16);
}

/// The rule of the design, written independently of the code, by the position of each revision in
/// the chain.
fn stated(chain: &[u8], ours: u8, loaded: u8) -> Settlement {
    let place = |wanted| chain.iter().position(|&number| number == wanted);
    match (place(ours), place(loaded)) {
        (Some(_), _) => Settlement::Landed,
        (None, Some(0)) => Settlement::Fence,
        (None, Some(_)) => Settlement::NeverLanded,
        (None, None) => Settlement::Unknown,
    }
}

#[test]
fn a_lost_reply_is_settled_as_the_design_states() {
    const NAMES: u8 = 6;
    let mut settled = 0;
    // Every chain of different revisions: the root's own and up to three before it. Zero is the
    // revision of an absent root, so no root has it.
    let mut chains: Vec<Vec<u8>> = (1..NAMES).map(|own| vec![own]).collect();
    for _ in 0..3 {
        let longer: Vec<Vec<u8>> = chains
            .iter()
            .flat_map(|chain| {
                (0..NAMES).filter(|next| !chain.contains(next)).map(|next| [&chain[..], &[next]].concat())
            })
            .collect();
        chains.extend(longer);
        chains.sort();
        chains.dedup();
    }
    for ours in 1..NAMES {
        for loaded in (0..NAMES).filter(|loaded| *loaded != ours) {
            for chain in &chains {
                let recent: Vec<Revision> = chain[1..].iter().map(|&number| revision(number)).collect();
                let current = Some((revision(chain[0]), recent.as_slice()));
                let answer = settle(current, revision(ours), revision(loaded));
                assert_eq!(answer, stated(chain, ours, loaded), "{chain:?} ours {ours} loaded {loaded}");
                settled += 1;
            }
            // An absent root is a chain of zero alone.
            assert_eq!(settle(None, revision(ours), revision(loaded)), stated(&[0], ours, loaded));
        }
    }
    assert!(settled > 10_000, "{settled}");
}
