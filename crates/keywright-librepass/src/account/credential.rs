//! The user's record: address, public key, parameters, hint, and whether the address is verified.

use keywright_core::{Attempt, Client, ClientTag, Generation, SecretKind, UnixSeconds};
use keywright_store::names::{self, NameIndex};
use keywright_store::{Draft, Record, Slot, StepError, guess};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::policy::{LINK_SECONDS, MAILS_PER_DAY};
use crate::protocol::address::Address;
use crate::protocol::keys::PublicKey;
use crate::protocol::parameters::ArgonParameters;

/// The shared key's kind of secret in the account's guess ledger.
pub const SHARED_KEY: SecretKind = SecretKind::new("shared-key");

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// The slot of the credential.
pub(crate) const CREDENTIAL: Slot<Credential> = Slot::lasting("lp-credential");

/// What an account is logged in to with. It is not `Debug`, because hint and public key help an
/// attacker who guesses at the password.
#[derive(Serialize, Deserialize)]
pub(crate) struct Credential {
    /// The address as it is stored and looked up: see [`Address`].
    address: String,
    pub(crate) hint: Option<String>,
    pub(crate) parameters: ArgonParameters,
    #[serde(with = "crate::protocol::keys::stored")]
    public_key: PublicKey,
    /// Which of the account's successive keys this is, for the guess ledger.
    generation: Generation,
    pub(crate) verification: Verification,
    /// The time of the registration, or of the last change of the password.
    pub(crate) changed: UnixSeconds,
    /// When mails that anybody can request were sent in the last 24 hours, oldest first.
    mailed: Vec<UnixSeconds>,
}

/// Whether the link that was mailed to the address has been opened.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verification {
    Verified,
    /// The address is not the account's yet.
    Waiting {
        /// The hash of the code that the newest link carries.
        code: [u8; 32],
        /// The first moment at which the link no longer works.
        until: UnixSeconds,
        /// Where the registration came from, for the mail.
        origin: Option<String>,
    },
    /// Another account verified the address first. Only the code is kept, so that its link can be
    /// answered.
    Superseded {
        code: [u8; 32],
    },
}

impl Verification {
    /// Returns the state of a registration that waits for a code from now on.
    pub(crate) fn waiting(code: [u8; 32], origin: Option<String>, now: UnixSeconds) -> Self {
        Self::Waiting { code, until: now.plus(LINK_SECONDS), origin }
    }

    /// Whether this is the expected code, and the link is valid now. A link from the future or from
    /// before the fence is void.
    pub(crate) fn is_opened_by(&self, code: &[u8; 32], now: UnixSeconds, fence: UnixSeconds) -> bool {
        let Self::Waiting { code: expected, until, .. } = self else { return false };
        let timely = now < *until && *until <= now.plus(LINK_SECONDS) && until.minus(LINK_SECONDS) >= fence;
        timely & bool::from(expected.ct_eq(code))
    }

    /// Whether this is the code of a registration whose address another account verified first.
    pub(crate) fn is_superseded(&self, code: &[u8; 32]) -> bool {
        matches!(self, Self::Superseded { code: expected } if bool::from(expected.ct_eq(code)))
    }

    /// Ends the wait, because another account verified the address. Returns whether it waited.
    pub(crate) fn supersede(&mut self) -> bool {
        let Self::Waiting { code, .. } = self else { return false };
        *self = Self::Superseded { code: *code };
        true
    }
}

impl Record for Credential {
    const SCHEMA: u16 = 1;
}

impl Credential {
    pub(crate) fn new(
        address: &Address,
        hint: Option<String>,
        parameters: ArgonParameters,
        public_key: PublicKey,
        generation: Generation,
        verification: Verification,
        now: UnixSeconds,
    ) -> Self {
        let address = address.as_str().to_owned();
        Self { address, hint, parameters, public_key, generation, verification, changed: now, mailed: Vec::new() }
    }

    /// Returns the account's record, or `None` for an account that never existed or is gone.
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Option<Self>, StepError> {
        match draft.root() {
            Err(StepError::NoAccount) => return Ok(None),
            root => root?,
        };
        draft.read(CREDENTIAL)
    }

    /// Returns the record, if the account still owns the name it was found by: a look-up alone
    /// proves nothing.
    pub(crate) fn read_named(draft: &mut Draft<'_>, name: &NameIndex) -> Result<Option<Self>, StepError> {
        let credential = Self::read(draft)?;
        Ok(if credential.is_some() && names::owns(draft, name)? { credential } else { None })
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(CREDENTIAL, self)
    }

    /// Returns the address. The stored text was parsed before, so text that does not parse is
    /// damage.
    pub(crate) fn address(&self) -> Result<Address, StepError> {
        Address::parse(&self.address).ok_or(StepError::Decode(CREDENTIAL.name()))
    }

    pub(crate) fn set_address(&mut self, address: &Address) {
        address.as_str().clone_into(&mut self.address);
    }

    /// Returns the public half of the user's key.
    pub(crate) const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Returns which of the account's keys this is.
    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns a client's attempt at the shared key, for the ledger.
    pub(crate) const fn attempt(&self, client: Client) -> Attempt {
        Attempt::new(SHARED_KEY, self.generation, client)
    }

    /// Replaces the current key by another one, whose ledger of guesses starts empty. The clients
    /// in `changed_by` made the change and are known from the start.
    pub(crate) fn replace_key(
        &mut self,
        draft: &mut Draft<'_>,
        public_key: &PublicKey,
        changed_by: &[ClientTag],
    ) -> Result<(), StepError> {
        let generation = Generation::random(draft.entropy())?;
        guess::renew(draft, SHARED_KEY, self.generation, generation, changed_by)?;
        self.generation = generation;
        self.public_key = public_key.duplicate();
        Ok(())
    }

    pub(crate) const fn is_verified(&self) -> bool {
        matches!(self.verification, Verification::Verified)
    }

    /// Counts a mail that anybody can request, and puts the record. If the day's mails are used up,
    /// returns the seconds until the next. A refusal writes nothing, except once after the clock
    /// went back.
    pub(crate) fn book_mail_in(&mut self, draft: &mut Draft<'_>) -> Result<Result<(), u64>, StepError> {
        let now = draft.now();
        let went_back = self.settle_mails(now);
        let booked = self.book_mail(now);
        if booked.is_ok() || went_back {
            self.put(draft)?;
        }
        Ok(booked)
    }

    /// Forgets mails that no longer count. After the clock went back, times in the future become
    /// now. Returns whether that was so.
    fn settle_mails(&mut self, now: UnixSeconds) -> bool {
        let went_back = self.mailed.iter().any(|at| *at > now);
        self.mailed.iter_mut().filter(|at| **at > now).for_each(|at| *at = now);
        self.mailed.retain(|at| now.since(*at) < DAY_SECONDS);
        went_back
    }

    /// Counts a mail. The mails must be settled.
    fn book_mail(&mut self, now: UnixSeconds) -> Result<(), u64> {
        let surplus = self.mailed.len().saturating_add(1).saturating_sub(MAILS_PER_DAY);
        if let Some(nth) = surplus.checked_sub(1).and_then(|nth| self.mailed.get(nth)) {
            return Err(nth.plus(DAY_SECONDS).since(now).max(1));
        }
        self.mailed.push(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::keys::PrivateKey;
    use keywright_core::SystemEntropy;

    #[test]
    fn a_code_opens_for_a_day_and_not_from_elsewhere_in_time() {
        let (made, code) = (UnixSeconds::EPOCH.plus(1_000_000), [7; 32]);
        let mut waiting = Verification::waiting(code, None, made);
        let fence = UnixSeconds::EPOCH;
        for (now, opens) in
            [(made, true), (made.plus(86_399), true), (made.plus(86_400), false), (made.minus(1), false)]
        {
            assert_eq!(waiting.is_opened_by(&code, now, fence), opens, "{now}");
        }
        assert!(!waiting.is_opened_by(&[8; 32], made, fence));
        assert!(!waiting.is_opened_by(&code, made, made.plus(1)));
        assert!(!Verification::Verified.is_opened_by(&code, made, fence));
        assert!(!waiting.is_superseded(&code));
        assert!(waiting.supersede() && waiting.is_superseded(&code) && !waiting.is_superseded(&[8; 32]));
        assert!(!waiting.is_opened_by(&code, made, fence) && !waiting.supersede());
    }

    #[test]
    fn ten_mails_a_day_whatever_the_clock_does() {
        let start = UnixSeconds::EPOCH.plus(1_000_000);
        let key = PrivateKey::random(&SystemEntropy).unwrap().public_key();
        let address = Address::parse("a@b.co").unwrap();
        let mut credential = Credential::new(
            &address,
            None,
            ArgonParameters::default(),
            key,
            Generation::from_u64(1),
            Verification::Verified,
            start,
        );
        let mut book = |now: UnixSeconds| (credential.settle_mails(now), credential.book_mail(now));
        for n in 0..10 {
            assert_eq!(book(start.plus(n)), (false, Ok(())));
        }
        assert_eq!(book(start.plus(10)), (false, Err(86_390)));
        assert_eq!(book(start.minus(10_000)), (true, Err(86_400)));
        // All ten now count from then.
        assert_eq!(book(start.minus(10_000).plus(86_399)), (false, Err(1)));
        assert_eq!(book(start.minus(10_000).plus(86_400)), (false, Ok(())));
    }
}
