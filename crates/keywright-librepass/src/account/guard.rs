//! The check of a shared key, and the client that sends it.

use std::sync::Arc;

use keywright_core::{Attempt, Client, Generation};
use keywright_store::guess::{self, AttemptOutcome, Comparison};
use keywright_store::{Draft, StepError};
use keywright_wire::Network;

use crate::account::credential::{Credential, SHARED_KEY};
use crate::account::unlock;
use crate::protocol::handshake::ServerKeys;
use crate::protocol::keys::{PublicKey, SharedKey};

/// The verdict on a sent shared key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is the product; earlier wrong guesses are forgiven.
    Right,
    /// It is not the product, and is charged.
    Wrong,
    /// It was not checked, because guesses are paused or locked.
    Refused {
        /// Seconds until it may be tried again.
        retry_after: u64,
    },
}

/// The sender of a shared key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    /// The client, as the ledger knows it.
    pub(crate) client: Client,
    /// Where the request comes from, for the mail about a refusal.
    pub(crate) network: Option<Network>,
}

/// Checks shared keys with the server's pairs as the store had them after the request came in.
pub(crate) struct KeyCheck<'a> {
    pub(crate) keys: Arc<ServerKeys>,
    pub(crate) public_url: &'a str,
}

impl KeyCheck<'_> {
    /// Checks a shared key against the public key that the account has, and records the verdict.
    /// There is no second check: the result is in the commit of this draft, so a client that
    /// disconnects earlier has learned nothing. A refusal may make a mail to the owner due.
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
            AttemptOutcome::Wrong(_) => Ok(Proof::Wrong),
            AttemptOutcome::Refused(refusal) => {
                let to = credential.address()?;
                unlock::note_refusal(draft, &attempt, &refusal, sender.network, Some((&to, self.public_url)))?;
                Ok(Proof::Refused { retry_after: refusal.retry_after() })
            }
        }
    }

    /// Like [`judge_in`](Self::judge_in), for an address without an account, in a decoy's partition
    /// and against a decoy's key: it waits and is locked as an account's.
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
            // This holds even if nothing is forgiven and the step then refuses for another reason:
            // that the key is right is revealed only after a commit that found the ledger
            // unchanged.
            drop(draft.tentative(()));
        }
        Ok(outcome)
    }

    fn is_right(&self, draft: &Draft<'_>, public: &PublicKey, sent: &SharedKey) -> bool {
        self.keys.verify(draft.now(), public, sent)
    }
}

/// Returns the client that sends a shared key: the token, or its network if that is known and the
/// token is not. Tokens and networks share five places, so a valid token may have lost its own;
/// without this rule its owner would be admitted only from a known network.
pub(crate) fn best_known(draft: &mut Draft<'_>, credential: &Credential, client: Client) -> Result<Client, StepError> {
    let (ledger, policy) = (draft.read(guess::LEDGER)?, draft.ledger_policy());
    let is_known = |client| ledger.as_ref().is_some_and(|ledger| ledger.is_known(policy, &credential.attempt(client)));
    let by_network = client.by_network();
    Ok(if !is_known(client) && is_known(by_network) { by_network } else { client })
}

/// Returns an attempt at the shared key of an address without an account.
pub(crate) const fn decoy_attempt(client: Client) -> Attempt {
    Attempt::new(SHARED_KEY, Generation::HOST, client)
}
