//! Checks that a validation needs at most 32 bytes a cipher beyond the body and the manifest, by
//! the peak of the resident size.
//!
//! `cargo run --release -p keywright-benches --bin rekey_memory`. Linux only: it reads `/proc/self/status`.

use keywright_benches::process::{memory, reset_peak};
use keywright_benches::rekey::{Vault, Written};
use keywright_rekey::{CipherList, Hex, Limits};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CIPHERS: usize = 100_000;
const ALLOWED_BYTES: usize = 32;
/// What the allocator and the stack may use in addition.
const SLACK: usize = 128 << 10;

/// Parses and checks a submission. Returns the number of bytes that it reports to hold.
fn validate(vault: &Vault) -> Result<usize, Failure> {
    let submission = CipherList::new(&vault.body, Limits::default(), &Hex).read_json()?;
    let plan = submission.against(&vault.manifest)?;
    if plan.len() == vault.manifest.rows().len() { Ok(submission.memory()) } else { Err("a cipher is missing".into()) }
}

#[expect(clippy::print_stdout, reason = "the result of a check run by hand")]
fn main() -> Result<(), Failure> {
    // A small one first, so that code and stack are already resident.
    validate(&Vault::new(100, Written::Hex))?;
    let vault = Vault::new(CIPHERS, Written::Hex);
    reset_peak()?;
    let before = memory("VmRSS")?;
    let held = validate(&vault)?;
    let peak = usize::try_from(memory("VmHWM")?.saturating_sub(before))?;
    let each = |bytes: usize| bytes as f64 / CIPHERS as f64;
    println!("{CIPHERS} ciphers: held {:.1} bytes a cipher, at the peak {:.1}", each(held), each(peak));
    if peak > CIPHERS.saturating_mul(ALLOWED_BYTES).saturating_add(SLACK) {
        return Err(format!("{peak} bytes at the peak").into());
    }
    Ok(())
}
