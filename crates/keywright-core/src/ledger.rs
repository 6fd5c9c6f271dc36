//! The guess ledger limits how many wrong guesses are checked against a secret, whoever sends them,
//! in whatever order, and whatever the clock does.
//!
//! There is one [`GuessLedger`] per account and one entry in it per [kind of secret](SecretKind).
//! An entry belongs to a secret, not to an endpoint: a wrong guess is counted in the same entry
//! ("charged" to it), whichever endpoint received it. The ledger is a pure state machine: it stores
//! nothing, reads no clock and draws no random numbers. Keep it in a sealed record of the account,
//! and commit it together with the outcome of the guess.
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
//! // The wrong guesses of others do not delay the phone.
//! assert!(ledger.peek(&policy, &phone, now).is_none());
//! # Ok(())
//! # }
//! ```
//!
//! # The rules
//! - **Clients.** A client is *known* if its credential (or, if it presents none, its network) has
//!   entered this same secret correctly before, or has changed it. At most five clients are known;
//!   a new one replaces the one whose last right guess is the oldest. All other clients are
//!   *unknown*, and their wrong guesses are counted together. An *admitted* client has ten tries
//!   within an hour, whatever was counted against it or others before.
//! - **Waits.** A *streak* is the number of wrong guesses in a row: each known client has one, and
//!   all unknown clients together have one. The fifth wrong guess of a streak begins a wait of 30
//!   s, in which no guess is checked. The next ones begin waits of 1, 2, 4, 8, 16 and 32 min, and
//!   then of 1 h each. A right guess ends the client's own streak. It also lowers the streak of the
//!   unknown clients to 12, at which every wrong guess still begins a wait of an hour. It ends
//!   their streak altogether if they made no wrong guess for a day, or fewer than five since the
//!   last right guess.
//! - **Levels.** A wrong guess also raises a *level* by one, in the manner of a leaky bucket. Right
//!   guesses do not lower it; only time does. The level of all unknown clients together falls by
//!   one every two days, and they are refused at 50. The level of a known client falls by one every
//!   ten days, and it is refused at 10. A client that replaces a known client inherits that
//!   client's level, but at most 9.
//! - **Lockout.** At a streak of 50, the unknown clients are locked out until somebody acts (see
//!   Admissions, below). A known client is locked out at a streak of 10. The sum, 50 + 5 × 10 =
//!   100, is the ceiling of consecutive failures in NIST SP 800-63B-4 § 3.2.2.
//! - **The sum.** In all, at most 100 wrong guesses are checked at once and one more each day,
//!   which makes 465 in the first year. Each new client from which the owner logs in adds one, and
//!   each admission adds ten.
//! - For a secret of 64 random bits or more ([`Strength::Unguessable`]), there are waits, but no
//!   lockout and no refusal by level.
//! - **A new secret** has a new [`Generation`], and an entry that was written for another
//!   generation is treated as empty. [`renew`](GuessLedger::renew) carries the known clients over.
//!
//! # Admissions
//! A known client has to wait only because of its own wrong guesses. An owner who uses an unknown
//! client that others have locked out can be admitted with
//! [`admit_client`](GuessLedger::admit_client). There are three ways: the link in a mail to the
//! owner ([`unlock_mail_due`](GuessLedger::unlock_mail_due)), another session of the account with a
//! fresh proof of the same or a stronger factor, or the operator. The operator can also
//! [`unlock`](GuessLedger::unlock) a secret for all clients.
//!
//! # Where the guess is checked
//! If the secret is stored next to the ledger, one commit suffices: call `admit`, compare the
//! guess, then call [`charge`](GuessLedger::charge) or [`forgive`](GuessLedger::forgive). If the
//! host checks the secret by itself (a slow password hash, for example), two commits are needed:
//! call [`begin`](GuessLedger::begin) in the first, let the host check the guess, and call
//! [`settle_wrong`](GuessLedger::settle_wrong) or [`settle_right`](GuessLedger::settle_right) in
//! the second. A guess for which no verdict arrives is charged after two minutes.
//!
//! A guess is *unjudged* while the host checks it. Each client may have at most four of them at a
//! time; all unknown clients together count as one client. A further guess may begin only if no
//! wait would begin even if all unjudged guesses were wrong. So guessing in parallel gains nothing
//! over guessing one at a time.
//!
//! # The clock
//! If the clock jumps forward, waits and admissions end early and levels fall; streaks are not
//! affected. If it jumps back, a stored time may lie too far in the future: a wait of 30 s, for
//! example, that would end in a year. Such a time is replaced by the latest plausible one, here 30
//! s from now, and the ledger then has to be stored ([`Refusal::changed`]). A wait that was
//! reported to a client therefore ends when it was reported to end.

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

pub use self::client::{Attempt, Client, ClientMark, ClientTag};
pub use self::guess_ledger::GuessLedger;
pub use self::outcome::{
    Admission, AdmittedAttempt, Charge, ClientAdmission, DenialKind, DenialReport, LockoutSummary, PendingGuess,
    Refusal, UnreportedDenials,
};
pub use self::policy::{GuessOdds, LedgerPolicy, LedgerPolicyBuilder, LedgerPolicyError};
pub use self::secret::{Generation, SecretKind, SecretName, Strength};
pub use self::stored::MAX_SECRETS;
