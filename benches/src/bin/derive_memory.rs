//! Checks that 1,000 derivations need no more memory than 100: the resident size may not grow by more than 1 MiB.
//!
//! `cargo run --release -p keywright-benches --bin derive_memory`. Linux only: it reads `/proc/self/status`.

use keywright_benches::process::memory;
use keywright_challenge::{DeriverPool, MEMORY_BYTES};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const WARM_UP: u32 = 100;
const DERIVATIONS: u32 = 1_000;
const ALLOWED_GROWTH_KIB: u64 = 1024;

/// The resident size of this process in KiB.
fn resident() -> Result<u64, Failure> {
    Ok(memory("VmRSS")? / 1024)
}

#[expect(clippy::print_stdout, reason = "the result of a check run by hand")]
fn main() -> Result<(), Failure> {
    let pool = DeriverPool::default();
    let salts = ["11".repeat(256), "22".repeat(64), "33".repeat(16)];
    // Two threads, so that the pool can have more than one piece of memory.
    let run = |each: u32| -> Result<(), Failure> {
        std::thread::scope(|scope| {
            let derive = || (0..each).all(|_| pool.derive("correct horse battery staple", &salts).is_ok());
            let other = scope.spawn(derive);
            let good = derive() && other.join().unwrap_or(false);
            if good { Ok(()) } else { Err("a derivation failed".into()) }
        })
    };
    run(WARM_UP / 2)?;
    let before = resident()?;
    run((DERIVATIONS - WARM_UP) / 2)?;
    let after = resident()?;
    let growth = after.saturating_sub(before);
    let pieces = MEMORY_BYTES / 1024;
    println!("resident after {WARM_UP}: {before} KiB, after {DERIVATIONS}: {after} KiB; one derivation: {pieces} KiB");
    if growth > ALLOWED_GROWTH_KIB {
        return Err(format!("memory grew by {growth} KiB").into());
    }
    Ok(())
}
