//! The door of the shared key, and who stands before it.

use std::sync::Arc;

use keywright_core::{AccountId, DeviceTag, Door, LedgerPolicy, Strength};
use keywright_store::guess::{self, Guess, Guesser, Look};
use keywright_store::{Draft, Partition, Receipt, Slot, StepError};

use crate::host::Host;
use crate::request::Input;
use crate::service::{Failure, Parts};
use crate::{PublicKey, ServerKeys, SharedKey};

/// How a sent shared key was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// It is the product; forgiven.
    Right,
    /// It is not; charged.
    Wrong,
    /// Not looked at: a wait or a lock.
    Refused {
        /// Seconds.
        retry_after: u64,
    },
}

/// Judges shared keys with the server's pairs as the store had them after the request came in.
pub(crate) struct SharedDoor<'a> {
    keys: Arc<ServerKeys>,
    ledger: &'a LedgerPolicy,
}

impl SharedDoor<'_> {
    /// Judges a shared key against the public key that the account has, and books the verdict. `passes_as` becomes a
    /// known device if it is right. There is no second look: whatever comes of it is in the commit of this draft, so who
    /// hangs up sooner has learned nothing.
    pub(crate) fn judge_in(
        &self,
        draft: &mut Draft<'_>,
        public: &PublicKey,
        sent: &SharedKey,
        tag: Option<DeviceTag>,
        passes_as: Option<DeviceTag>,
    ) -> Result<Proof, StepError> {
        let guesser = Guesser { door: Door::SharedKey, strength: Strength::Guessable, tag, passes_as };
        self.judge_as(draft, &guesser, public, sent)
    }

    pub(crate) fn judge_as(
        &self,
        draft: &mut Draft<'_>,
        guesser: &Guesser,
        public: &PublicKey,
        sent: &SharedKey,
    ) -> Result<Proof, StepError> {
        let look =
            |draft: &mut Draft<'_>| Ok(if self.is_right(draft, public, sent) { Look::Right(()) } else { Look::Wrong });
        Ok(match guess::check(draft, self.ledger, guesser, look)? {
            Guess::Right(()) => {
                // Even if nothing is forgiven and the step then refuses for another reason: that the key is right is
                // told after a commit that found the ledger as it was.
                drop(draft.tentative(()));
                Proof::Right
            }
            Guess::Wrong(_) | Guess::Replayed => Proof::Wrong,
            Guess::Refused(refusal) => Proof::Refused { retry_after: refusal.retry_after() },
        })
    }

    /// Whether a shared key is the product with a public key, without a charge: for the **new** keys of a registration
    /// or a change, which open nothing.
    pub(crate) fn is_right(&self, draft: &Draft<'_>, public: &PublicKey, sent: &SharedKey) -> bool {
        self.keys.verify(draft.now(), public, sent)
    }
}

impl<H: Host> Parts<H> {
    /// Runs a step that judges a shared key, and commits what it leaves. The server's pairs are read from the store
    /// first, with no turn held: another instance may have renewed them, and a key made with the new pair is not wrong.
    pub(crate) async fn with_shared_key<T: Send>(
        &self,
        account: &AccountId,
        slots: &[Slot],
        step: impl FnMut(&mut Draft<'_>, &SharedDoor<'_>) -> Result<T, StepError> + Send,
    ) -> Result<(T, Receipt), Failure> {
        self.with_shared_key_at(&Partition::account(account), slots, step).await
    }

    pub(crate) async fn with_shared_key_at<T: Send>(
        &self,
        partition: &Partition,
        slots: &[Slot],
        mut step: impl FnMut(&mut Draft<'_>, &SharedDoor<'_>) -> Result<T, StepError> + Send,
    ) -> Result<(T, Receipt), Failure> {
        let door = SharedDoor { keys: self.keys.stored().await?, ledger: &self.policy.ledger };
        Ok(self.driver.transact(partition, slots, |draft| step(draft, &door)).await?)
    }

    /// Whether the new keys of a registration or a change belong together. Not charged: they open nothing.
    pub(crate) async fn are_a_pair(&self, public: &PublicKey, sent: &SharedKey) -> Result<bool, Failure> {
        let keys = self.keys.stored().await?;
        let now = self.driver.clock().now().map_err(keywright_store::TransactError::from)?;
        Ok(keys.verify(now, public, sent))
    }

    /// A token, as a device of the guess ledger.
    pub(crate) fn token_tag(&self, token: &[u8; 16]) -> DeviceTag {
        DeviceTag::from_bytes(self.devices.tag(&[b"librepass-token", token]))
    }

    /// The client's address, as a device of the guess ledger, where the policy has it so.
    pub(crate) fn address_tag(&self, account: &AccountId, input: &Input<'_>) -> Option<DeviceTag> {
        if !self.policy.devices_by_address {
            return None;
        }
        let address = self.host.client_address(input.peer())?.to_string();
        let parts: [&[u8]; 3] = [b"librepass-address", account.as_str().as_bytes(), address.as_bytes()];
        Some(DeviceTag::from_bytes(self.devices.tag(&parts)))
    }
}
