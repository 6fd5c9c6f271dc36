//! The guess ledger limits how many wrong guesses are checked against a secret, whoever sends them,
//! in whatever order, and whatever the clock does.
//!
//! There is one [`GuessLedger`] per account and one entry in it per [kind of secret](SecretKind).
//! An entry belongs to a secret, not to an endpoint, so every endpoint that checks the secret
//! charges the same entry. The ledger is a pure state machine: it stores nothing, reads no clock
//! and draws nothing. Keep it in a sealed record of the account, and commit it together with the
//! outcome of the guess.
//!
//! ```
//! use keywright_core::{
//!     Admission, Attempt, Client, ClientTag, Generation, GuessLedger, LedgerPolicy, SecretKind, UnixSeconds,
//! };
//!
//! const PASSPHRASE: SecretKind = SecretKind::new("passphrase");
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = LedgerPolicy::default();
//! let mut ledger = GuessLedger::default();
//! let now = UnixSeconds::new(1_700_000_000)?;
//! let generation = Generation::from_u64(42); // from the record that holds the passphrase
//!
//! // The owner's phone passes once, and is known from then on.
//! let phone = Attempt::new(PASSPHRASE, generation, Client::credential(ClientTag::from_bytes([7; 16])));
//! if let Admission::Open(admitted) = ledger.admit(&policy, &phone, now) {
//!     ledger.forgive(&policy, &admitted, now);
//! }
//!
//! // Somebody else guesses. Four wrong guesses cost nothing, the fifth begins a wait of 30 seconds.
//! let other = Attempt::new(PASSPHRASE, generation, Client::network(ClientTag::from_bytes([9; 16])));
//! let mut looked_at = 0;
//! let refusal = loop {
//!     match ledger.admit(&policy, &other, now) {
//!         Admission::Open(admitted) => {
//!             looked_at += 1;
//!             ledger.charge(&policy, &admitted, now); // the guess was wrong
//!         }
//!         Admission::Refused(refusal) => break refusal, // the guess is not checked
//!     }
//! };
//! assert_eq!((looked_at, refusal.retry_after(), refusal.is_locked()), (5, 30, false));
//!
//! // The phone is not held up.
//! assert!(ledger.peek(&policy, &phone, now).is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The rules
//! - **Clients.** A client is *known* if its credential (or, if it presents none, its network)
//!   passed this same secret before, or changed it. At most five clients are known; a new one
//!   replaces the one whose last right guess is the oldest. All other clients are *unknown* and are
//!   judged together. An *admitted* client has ten tries within an hour and is judged by these
//!   alone.
//! - **Waits.** The fifth wrong guess in a row begins a wait of 30 s. The next ones begin waits of
//!   1, 2, 4, 8, 16 and 32 min, and then of 1 h each. A right guess ends the client's streak. It
//!   also lowers the unknown clients' streak to 12, where every wrong guess costs an hour. It ends
//!   their streak if they were quiet for a day, or made fewer than five wrong guesses since the
//!   last right one.
//! - **Levels.** A wrong guess also raises a level, which no right guess lowers. Unknown clients
//!   are refused at level 50, and one guess leaks away every two days. A known client is refused at
//!   level 10, and one guess leaks away every ten days. A client that replaces a known client
//!   inherits its level, but at most 9.
//! - **Lockout.** At a streak of 50 the unknown clients are locked out until somebody acts, and at
//!   a streak of 10 a known client is. The sum, 50 + 5 × 10 = 100, is the ceiling of consecutive
//!   failures in NIST SP 800-63B-4 § 3.2.2.
//! - **The sum.** At most 100 wrong guesses and one more each day are checked, 465 in the first
//!   year. Each new place from which the owner logs in adds one, and each admission adds ten.
//! - A secret of 64 random bits or more ([`Strength::Unguessable`]) has waits, but no limits.
//! - **A new secret** has a new [`Generation`], and an entry of another generation reads as empty.
//!   [`renew`](GuessLedger::renew) carries the known clients over.
//!
//! # Admissions
//! Only a known client itself can cause a known client to wait. An unknown client that others have
//! locked out is admitted by [`admit_client`](GuessLedger::admit_client): after the link of a mail
//! ([`unlock_mail_due`](GuessLedger::unlock_mail_due)), by a session of the account with a fresh
//! proof of the same or a stronger factor, or by the operator. The operator can also
//! [`unlock`](GuessLedger::unlock) a secret.
//!
//! # Where the guess is checked
//! A secret that is stored with the ledger is compared between `admit` and
//! [`charge`](GuessLedger::charge) or [`forgive`](GuessLedger::forgive), all in one commit. A
//! secret that the host checks slowly takes two commits: call [`begin`](GuessLedger::begin) in the
//! first, then ask the host, and call [`settle_wrong`](GuessLedger::settle_wrong) or
//! [`settle_right`](GuessLedger::settle_right) in the second. A guess whose verdict never comes is
//! charged after two minutes.
//!
//! At most four guesses per client may be unjudged at a time; all unknown clients together count as
//! one. A further guess may begin only if no wait would begin if all unjudged ones were wrong, so
//! guessing in parallel gains nothing over guessing one at a time.
//!
//! # The clock
//! If the clock goes forward, waits, leaks, pauses and admissions pass; streaks stay. If it goes
//! back, every stored moment that now lies too far in the future is moved to the latest plausible
//! one: its own length from the present. The result has to be stored ([`Refusal::changed`]). A wait
//! that was reported therefore ends when it was said to end, whatever the clock did before.

pub(crate) mod client;
mod denials;
mod entry;
mod failures;
mod guess_ledger;
mod mail;
mod outcome;
mod place;
pub mod policy;
pub(crate) mod secret;
mod stored;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod model;
#[cfg(test)]
mod stored_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod verdict_tests;
#[cfg(test)]
mod ways_in_tests;

pub use self::client::{Attempt, Client, ClientTag};
pub use self::guess_ledger::GuessLedger;
pub use self::outcome::{
    Admission, AdmittedAttempt, Charge, ClientAdmission, DenialKind, DenialReport, LockoutSummary, PendingGuess,
    Refusal, UnreportedDenials,
};
pub use self::policy::{GuessOdds, LedgerPolicy, LedgerPolicyBuilder, LedgerPolicyError};
pub use self::secret::{Generation, SecretKind, SecretName, Strength};
pub use self::stored::MAX_SECRETS;
