//! Judging a shared key, and who sends it.

use std::sync::Arc;

use keywright_core::{Attempt, Client, Generation};
use keywright_store::guess::{self, AttemptOutcome, Comparison};
use keywright_store::{Draft, StepError};
use keywright_wire::Network;

use crate::account::credential::{Credential, SHARED_KEY};
use crate::account::unlock;
use crate::protocol::handshake::ServerKeys;
use crate::protocol::keys::{PublicKey, SharedKey};

/// How a sent shared key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is the product; forgiven.
    Right,
    /// It is not; charged.
    Wrong,
    /// Not looked at: guesses are paused, or shut.
    Refused {
        /// Seconds.
        retry_after: u64,
    },
}

/// Who sends a shared key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// As the ledger knows it.
    pub(crate) client: Client,
    /// Where it comes from, for the mail about a refusal.
    pub(crate) network: Option<Network>,
}

/// Judges shared keys with the server's pairs as the store had them after the request came in.
pub(crate) struct KeyCheck<'a> {
    pub(crate) keys: Arc<ServerKeys>,
    pub(crate) public_url: &'a str,
}

impl KeyCheck<'_> {
    /// Judges a shared key against the public key that the account has, and books the verdict. There is no second look:
    /// whatever comes of it is in the commit of this draft, so who hangs up sooner has learned nothing. A refusal may make a
    /// mail to the owner due.
    pub(crate) fn judge_in(
        &self,
        draft: &mut Draft<'_>,
        credential: &Credential,
        sent: &SharedKey,
        sender: &Sender,
    ) -> Result<Proof, StepError> {
        let attempt = credential.attempt(best_known(draft, credential, sender.client)?);
        match self.check(draft, &attempt, credential.public_key(), sent)? {
            AttemptOutcome::Right(()) => Ok(Proof::Right),
            AttemptOutcome::Wrong(_) | AttemptOutcome::Replayed => Ok(Proof::Wrong),
            AttemptOutcome::Refused(refusal) => {
                let to = credential.address()?;
                unlock::note_refusal(draft, &attempt, &refusal, sender.network, Some((&to, self.public_url)))?;
                Ok(Proof::Refused { retry_after: refusal.retry_after() })
            }
        }
    }

    /// The same for an address without an account, in a decoy's partition and against a decoy's key: it waits and is shut
    /// as an account's.
    pub(crate) fn judge_decoy(
        &self,
        draft: &mut Draft<'_>,
        decoy: &PublicKey,
        sent: &SharedKey,
        sender: &Sender,
    ) -> Result<(), StepError> {
        let attempt = decoy_attempt(sender.client);
        if let AttemptOutcome::Refused(refusal) = self.check(draft, &attempt, decoy, sent)? {
            unlock::note_refusal(draft, &attempt, &refusal, sender.network, None)?;
        }
        Ok(())
    }

    fn check(
        &self,
        draft: &mut Draft<'_>,
        attempt: &Attempt,
        public: &PublicKey,
        sent: &SharedKey,
    ) -> Result<AttemptOutcome<()>, StepError> {
        let compare = |draft: &mut Draft<'_>| {
            Ok(if self.is_right(draft, public, sent) { Comparison::Right(()) } else { Comparison::Wrong })
        };
        let outcome = guess::check(draft, attempt, compare)?;
        if matches!(outcome, AttemptOutcome::Right(())) {
            // Even if nothing is forgiven and the step then refuses for another reason: that the key is right is known
            // outside only after a commit that found the ledger as it was.
            drop(draft.tentative(()));
        }
        Ok(outcome)
    }

    fn is_right(&self, draft: &Draft<'_>, public: &PublicKey, sent: &SharedKey) -> bool {
        self.keys.verify(draft.now(), public, sent)
    }
}

/// Who sends a shared key: the token, or its network where that is known and the token is not. Tokens and networks share
/// five places, so a good token may have lost its own; without it its owner would be let in from a known network.
pub(crate) fn best_known(draft: &mut Draft<'_>, credential: &Credential, client: Client) -> Result<Client, StepError> {
    let (ledger, policy) = (draft.read(guess::LEDGER)?, draft.ledger_policy());
    let is_known = |client| ledger.as_ref().is_some_and(|ledger| ledger.is_known(policy, &credential.attempt(client)));
    let by_network = client.by_network();
    Ok(if !is_known(client) && is_known(by_network) { by_network } else { client })
}

/// A guess at the shared key of an address without an account.
pub(crate) const fn decoy_attempt(client: Client) -> Attempt {
    Attempt::new(SHARED_KEY, Generation::HOST, client)
}
