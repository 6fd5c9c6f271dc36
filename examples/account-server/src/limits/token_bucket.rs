//! Request limits of LibrePass: token buckets per client address, per named e-mail address and per
//! account. They save work; secrets are protected by the guess ledger.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use keywright::AccountId;
use keywright::librepass::{Admittance, Endpoint};
use sha2::{Digest, Sha256};

use crate::limits::caller::caller;

/// The key of a bucket, as a digest. Names, addresses and tokens are not kept, and every entry has
/// the same size.
type Key = [u8; 32];
type Limiter = DefaultKeyedRateLimiter<Key>;

/// How many calls pass before buckets that are full again are dropped.
const FORGET_EVERY: u32 = 8_192;

const fn number(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// What a request is counted by.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Counted<'a> {
    /// The client's address.
    Peer(IpAddr),
    /// The e-mail address that the request names.
    Address(&'a str),
    /// The account of the request's token.
    Account(&'a AccountId),
    /// The account that the request names without a proof. Unknown clients that know a user's id
    /// use up a separate bucket.
    Named(&'a AccountId),
}

/// The buckets of all callers. A caller that has made no request takes no space.
pub(crate) struct TokenBuckets {
    /// Capacity 20, 10 a minute (`docs/protocols/librepass.md` § 9), shared by all endpoints of a
    /// kind. The user endpoints have the same numbers by account, which is our choice (§ 10),
    /// because upstream has none.
    auth: Limiter,
    /// Capacity 2, one in five minutes: mails that anybody can cause (§ 9).
    mails: Limiter,
    /// Capacity 200, 100 a minute, by account (§ 9).
    ciphers: Limiter,
    calls: AtomicU32,
}

impl TokenBuckets {
    pub(crate) fn new() -> Self {
        let mails = Quota::with_period(Duration::from_secs(300)).unwrap_or(Quota::per_hour(number(12)));
        Self {
            auth: RateLimiter::keyed(Quota::per_minute(number(10)).allow_burst(number(20))),
            mails: RateLimiter::keyed(mails.allow_burst(number(2))),
            ciphers: RateLimiter::keyed(Quota::per_minute(number(100)).allow_burst(number(200))),
            calls: AtomicU32::new(0),
        }
    }

    /// Takes one token from each bucket that the endpoint has for this key.
    pub(crate) fn admit(&self, endpoint: Endpoint, counted: Counted<'_>) -> Admittance {
        if self.calls.fetch_add(1, Ordering::Relaxed).checked_rem(FORGET_EVERY) == Some(FORGET_EVERY.saturating_sub(1))
        {
            self.forget();
        }
        let key = key(counted);
        for limiter in self.of(endpoint, counted) {
            if let Err(not_until) = limiter.check_key(&key) {
                let wait = not_until.wait_time_from(limiter.clock().now());
                // Whole seconds, rounded up, so that a client that waits that long is admitted.
                return Admittance::Full { retry_after: wait.as_secs().saturating_add(1) };
            }
        }
        Admittance::Open
    }

    /// Drops buckets that are full again, because they hold no information.
    pub(crate) fn forget(&self) {
        for limiter in [&self.auth, &self.mails, &self.ciphers] {
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }

    fn of(&self, endpoint: Endpoint, counted: Counted<'_>) -> impl Iterator<Item = &Limiter> {
        let account = matches!(counted, Counted::Account(_));
        let (first, second) = match endpoint {
            Endpoint::PasswordHint | Endpoint::ResendVerificationEmail => {
                (Some(&self.auth), (!account).then_some(&self.mails))
            }
            Endpoint::PreLogin
            | Endpoint::Register
            | Endpoint::VerifyEmail
            | Endpoint::VerifyNewEmail
            | Endpoint::AdmitClient
            | Endpoint::ConfirmLogin
            | Endpoint::OAuth => (Some(&self.auth), None),
            Endpoint::CipherSync
            | Endpoint::Ciphers
            | Endpoint::Cipher
            | Endpoint::Collections
            | Endpoint::Collection => (account.then_some(&self.ciphers), None),
            Endpoint::ChangeEmail | Endpoint::ChangePassword | Endpoint::SetupTwoFactor | Endpoint::Delete => {
                (account.then_some(&self.auth), None)
            }
            _ => (None, None),
        };
        first.into_iter().chain(second)
    }
}

fn key(counted: Counted<'_>) -> Key {
    let digest = match counted {
        Counted::Peer(address) => Sha256::new_with_prefix(b"peer ").chain_update(caller(address).to_string()),
        Counted::Address(address) => Sha256::new_with_prefix(b"address ").chain_update(address),
        Counted::Account(account) => Sha256::new_with_prefix(b"account ").chain_update(account.as_str()),
        Counted::Named(account) => Sha256::new_with_prefix(b"named ").chain_update(account.as_str()),
    };
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Counted<'_> = Counted::Peer(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    /// Returns how many calls pass at once, and how long the next one waits.
    fn burst(limits: &TokenBuckets, endpoint: Endpoint, counted: Counted<'_>) -> (usize, u64) {
        for passed in 0..1_000 {
            if let Admittance::Full { retry_after } = limits.admit(endpoint, counted) {
                return (passed, retry_after);
            }
        }
        (1_000, 0)
    }

    #[test]
    fn the_numbers_of_the_dossier() {
        let account = AccountId::new("3a469748-bc30-5a0b-8a3a-eafa3fe5bc54").unwrap();
        for (endpoint, counted, passed, wait) in [
            (Endpoint::OAuth, HERE, 20, 6),
            (Endpoint::PreLogin, Counted::Address("a@example.org"), 20, 6),
            (Endpoint::VerifyNewEmail, Counted::Named(&account), 20, 6),
            (Endpoint::AdmitClient, HERE, 20, 6),
            (Endpoint::PasswordHint, HERE, 2, 300),
            (Endpoint::ResendVerificationEmail, Counted::Address("a@example.org"), 2, 300),
            (Endpoint::CipherSync, Counted::Account(&account), 200, 1),
            (Endpoint::ChangePassword, Counted::Account(&account), 20, 6),
            (Endpoint::CipherSync, HERE, 1_000, 0),
            (Endpoint::Info, HERE, 1_000, 0),
        ] {
            assert_eq!(burst(&TokenBuckets::new(), endpoint, counted), (passed, wait), "{endpoint:?} {counted:?}");
        }
    }

    #[test]
    fn one_bucket_for_all_auth_endpoints_and_one_for_each_caller() {
        let limits = TokenBuckets::new();
        let there = Counted::Peer("2001:db8:1:2::1".parse().unwrap());
        let beside = Counted::Peer("2001:db8:1:2:ffff::1".parse().unwrap());
        assert_eq!(burst(&limits, Endpoint::PreLogin, there).0, 20);
        assert_eq!(burst(&limits, Endpoint::OAuth, beside).0, 0, "a network of IPv6 is one client");
        assert_eq!(burst(&limits, Endpoint::OAuth, HERE).0, 20);
        assert_eq!(burst(&limits, Endpoint::OAuth, Counted::Address("127.0.0.1")).0, 20, "another kind of key");
    }

    #[test]
    fn who_names_an_account_uses_up_nothing_of_its_owners() {
        let (limits, account) = (TokenBuckets::new(), AccountId::new("3a469748-bc30-5a0b-8a3a-eafa3fe5bc54").unwrap());
        assert_eq!(burst(&limits, Endpoint::VerifyEmail, Counted::Named(&account)).0, 20);
        assert_eq!(burst(&limits, Endpoint::ChangePassword, Counted::Account(&account)).0, 20);
    }

    #[test]
    fn buckets_that_were_never_low_are_forgotten() {
        let limits = TokenBuckets::new();
        for caller in 0..=FORGET_EVERY {
            let _ = limits.admit(Endpoint::OAuth, Counted::Peer(IpAddr::from(caller.to_be_bytes())));
        }
        limits.forget();
        assert!(!limits.auth.is_empty(), "what is not full again is kept");
        assert!(limits.mails.is_empty() && limits.ciphers.is_empty());
    }
}
