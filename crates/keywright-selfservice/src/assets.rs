//! The stylesheet and the script, which every page loads from its own origin.

use keywright_wire::Reply;
use sha2::{Digest, Sha256};

use crate::answer;

const STYLE: &str = include_str!("../assets/style.css");
const SCRIPT: &str = include_str!("../assets/script.js");

/// Returns the stylesheet with the host's own rules at its end.
pub(crate) fn style(own: &str) -> Reply {
    answer::asset("text/css; charset=utf-8", format!("{STYLE}\n{}{own}", delays()))
}

pub(crate) fn script() -> Reply {
    answer::asset("text/javascript; charset=utf-8", SCRIPT.to_owned())
}

/// Returns what distinguishes these files from those of another version, for their addresses.
pub(crate) fn version(own: &str) -> String {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).chain_update(own).finalize();
    digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Returns a rule for each wait in seconds: a page may not have styles of its own.
fn delays() -> String {
    (0..=60_u8).map(|seconds| format!(".after-{seconds}{{--wait:{seconds}s}}\n")).collect()
}
