//! The user's record: address, public key, parameters, hint, and whether the address is verified.

use keywright_core::UnixSeconds;
use keywright_store::names::{self, NameIndex};
use keywright_store::{Draft, Record, Slot, StepError};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::address::Address;
use crate::error::ApiError;
use crate::policy::{LINK_SECONDS, MAILS_PER_DAY, MAX_HINT};
use crate::{ArgonParameters, PublicKey};

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// What the account is logged in to with. Not `Debug`: hint and public key help whoever guesses at the password.
#[derive(Serialize, Deserialize)]
pub(crate) struct Credential {
    /// As it is stored and looked up: see [`Address`].
    address: String,
    pub(crate) hint: Option<String>,
    pub(crate) parameters: ArgonParameters,
    #[serde(with = "crate::keys::stored")]
    pub(crate) public_key: PublicKey,
    pub(crate) verification: Verification,
    /// The registration, or the last change of the password.
    pub(crate) changed: UnixSeconds,
    /// When mails went out that anybody can ask for, in the last 24 hours, oldest first.
    mailed: Vec<UnixSeconds>,
}

/// Whether somebody has opened the link that was mailed to the address.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verification {
    Verified,
    Waiting {
        /// The hash of the code that the newest link carries.
        code: [u8; 32],
        /// From here on the link opens nothing, and the address is free for others.
        until: UnixSeconds,
    },
}

/// Takes a hint: at most [`MAX_HINT`] characters of one line, because it is mailed as text. None, null and nothing are no
/// hint.
pub(crate) fn hint(sent: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(hint) = sent.filter(|hint| !hint.is_empty()) else { return Ok(None) };
    let fits = hint.chars().count() <= MAX_HINT && !hint.chars().any(char::is_control);
    if fits { Ok(Some(hint)) } else { Err(ApiError::VALIDATION) }
}

impl Verification {
    /// Waits for a code from now on.
    pub(crate) fn waiting(code: [u8; 32], now: UnixSeconds) -> Self {
        Self::Waiting { code, until: now.plus(LINK_SECONDS) }
    }

    /// Whether this is the code that is waited for, and it is time. One from the future or from before the fence is void.
    pub(crate) fn is_opened_by(&self, code: &[u8; 32], now: UnixSeconds, fence: UnixSeconds) -> bool {
        let Self::Waiting { code: expected, until } = self else { return false };
        let timely = now < *until && *until <= now.plus(LINK_SECONDS) && until.minus(LINK_SECONDS) >= fence;
        timely & bool::from(expected.ct_eq(code))
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
        verification: Verification,
        now: UnixSeconds,
    ) -> Self {
        let address = address.as_str().to_owned();
        Self { address, hint, parameters, public_key, verification, changed: now, mailed: Vec::new() }
    }

    /// The account's record; `None` for an account that never was, or is gone.
    pub(crate) fn read(draft: &mut Draft<'_>) -> Result<Option<Self>, StepError> {
        match draft.root() {
            Err(StepError::NoAccount) => return Ok(None),
            root => root?,
        };
        draft.read(Slot::Credential)
    }

    /// The record, if the account still owns the name it was found by: a look-up alone proves nothing.
    pub(crate) fn read_named(draft: &mut Draft<'_>, name: &NameIndex) -> Result<Option<Self>, StepError> {
        let credential = Self::read(draft)?;
        Ok(if credential.is_some() && names::owns(draft, name)? { credential } else { None })
    }

    pub(crate) fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        draft.put(Slot::Credential, self, None)
    }

    /// The address. What is stored was parsed before: `None` is damage.
    pub(crate) fn address(&self) -> Result<Address, StepError> {
        Address::parse(&self.address).ok_or(StepError::Decode(Slot::Credential))
    }

    pub(crate) fn set_address(&mut self, address: &Address) {
        address.as_str().clone_into(&mut self.address);
    }

    pub(crate) const fn is_verified(&self) -> bool {
        matches!(self.verification, Verification::Verified)
    }

    /// Counts a mail that anybody can ask for; if the day's are used up, gives the seconds until the next.
    pub(crate) fn book_mail(&mut self, now: UnixSeconds) -> Result<(), u64> {
        // After the clock went back, what lies in the future begins once more now.
        self.mailed.iter_mut().filter(|at| **at > now).for_each(|at| *at = now);
        self.mailed.retain(|at| now.since(*at) < DAY_SECONDS);
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
    use crate::PrivateKey;
    use keywright_core::SystemEntropy;

    #[test]
    fn a_code_opens_for_a_day_and_not_from_elsewhere_in_time() {
        let (made, code) = (UnixSeconds::EPOCH.plus(1_000_000), [7; 32]);
        let waiting = Verification::waiting(code, made);
        let fence = UnixSeconds::EPOCH;
        for (now, opens) in
            [(made, true), (made.plus(86_399), true), (made.plus(86_400), false), (made.minus(1), false)]
        {
            assert_eq!(waiting.is_opened_by(&code, now, fence), opens, "{now}");
        }
        assert!(!waiting.is_opened_by(&[8; 32], made, fence));
        assert!(!waiting.is_opened_by(&code, made, made.plus(1)));
        assert!(!Verification::Verified.is_opened_by(&code, made, fence));
    }

    #[test]
    fn a_hint_is_one_line_of_a_hundred_characters() {
        assert_eq!(hint(None), Ok(None));
        assert_eq!(hint(Some(String::new())), Ok(None));
        assert_eq!(hint(Some("ä".repeat(100))), Ok(Some("ä".repeat(100))));
        assert_eq!(hint(Some("ä".repeat(101))), Err(ApiError::VALIDATION));
        assert_eq!(hint(Some("a\n\nTo: b@c".into())), Err(ApiError::VALIDATION));
    }

    #[test]
    fn ten_mails_a_day_whatever_the_clock_does() {
        let start = UnixSeconds::EPOCH.plus(1_000_000);
        let key = PrivateKey::random(&SystemEntropy).unwrap().public_key();
        let address = Address::parse("a@b.co").unwrap();
        let mut credential =
            Credential::new(&address, None, ArgonParameters::default(), key, Verification::Verified, start);
        for n in 0..10 {
            assert_eq!(credential.book_mail(start.plus(n)), Ok(()));
        }
        assert_eq!(credential.book_mail(start.plus(10)), Err(86_390));
        assert_eq!(credential.book_mail(start.minus(10_000)), Err(86_400));
        // All ten now count from then.
        assert_eq!(credential.book_mail(start.minus(10_000).plus(86_399)), Err(1));
        assert_eq!(credential.book_mail(start.minus(10_000).plus(86_400)), Ok(()));
    }
}
