//! Wrong proofs per app token; the fifth ends the token (`docs/decisions.md` 22). The guess ledger
//! counts all unknown clients together, so it cannot attribute the fifth to one token.

use keywright_core::ClientTag;
use keywright_store::{Draft, Record, Slot, StepError};
use serde::{Deserialize, Serialize};

use crate::policy::TOKEN_TRIES;

/// How many app tokens are counted at a time. Beyond that, the one that failed longest ago is
/// forgotten.
const MAX_COUNTED: usize = 32;

/// The tokens that have come with a wrong proof since their last right one.
pub(crate) const TOKEN_FAILURES: Slot<TokenFailures> = Slot::lasting("nextcloud-failures");

/// The tokens in the order of their last failure.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct TokenFailures {
    entries: Vec<(ClientTag, u8)>,
}

impl Record for TokenFailures {
    const SCHEMA: u16 = 1;
}

/// Counts a wrong proof of a token. Returns whether that is one too many, so that the token must
/// end.
pub(crate) fn count(draft: &mut Draft<'_>, token: ClientTag) -> Result<bool, StepError> {
    let mut failures = draft.read(TOKEN_FAILURES)?.unwrap_or_default();
    let before = failures.take(token).unwrap_or(0);
    let failed = before.saturating_add(1);
    if failures.entries.len() >= MAX_COUNTED {
        failures.entries.remove(0);
    }
    failures.entries.push((token, failed));
    draft.put(TOKEN_FAILURES, &failures)?;
    Ok(failed >= TOKEN_TRIES)
}

/// Forgets a token's count, because a proof was right or the token was ended.
pub(crate) fn forget(draft: &mut Draft<'_>, token: ClientTag) -> Result<(), StepError> {
    let Some(mut failures) = draft.read(TOKEN_FAILURES)? else { return Ok(()) };
    if failures.take(token).is_some() { draft.put(TOKEN_FAILURES, &failures) } else { Ok(()) }
}

impl TokenFailures {
    fn take(&mut self, token: ClientTag) -> Option<u8> {
        let at = self.entries.iter().position(|(tag, _)| *tag == token)?;
        Some(self.entries.remove(at).1)
    }
}
