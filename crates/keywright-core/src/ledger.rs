//! The guess ledger: how many wrong guesses a secret survives, from anybody, in any order, under any clock.
//!
//! There is one [`GuessLedger`] per account and one entry in it per [kind of secret](SecretKind). An entry belongs to a
//! secret, not to an endpoint, so every endpoint that checks the secret charges the same entry. The ledger is a pure
//! state machine: it stores nothing, reads no clock and draws nothing. Keep it in a sealed record of the account and
//! commit it together with the verdict that it belongs to.
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
//!         Admission::Refused(refusal) => break refusal, // the guess is not looked at
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
//! - **Clients.** A client is *known* if its credential (or, where it presents none, its network) passed this very secret
//!   before, or changed it. At most five are known; the one that was right longest ago makes room. All others are
//!   *unknown* and judged together. An *admitted* client has ten tries within an hour and is judged by these alone.
//! - **Waits.** The fifth wrong guess in a row begins a wait of 30 s; the next ones 1, 2, 4, 8, 16, 32 min, then 1 h each.
//!   A right guess ends the client's streak. It also lowers the unknown clients' streak to 12, where every wrong guess
//!   costs an hour, or ends it if they were quiet for a day or made fewer than five wrong guesses since the last right one.
//! - **Levels.** A wrong guess also raises a level, which no right guess lowers. Unknown clients are refused at 50, and
//!   one guess leaks away every two days; a known client at 10, and one leaks away every ten days. A client that takes
//!   over a known client's place takes over its level, 9 at most.
//! - **Shut.** At a streak of 50 unknown clients are shut, and at a streak of 10 a known client, until somebody acts: 50
//!   + 5 × 10 = 100 is the ceiling of consecutive failures in NIST SP 800-63B-4 § 3.2.2.
//! - **The sum.** At most 100 + 1 a day wrong guesses are looked at, 465 in the first year, plus one for each new place
//!   that the owner logs in from, plus ten for each admission.
//! - A secret of 64 random bits or more ([`Strength::Unguessable`]) has waits, but no limits.
//! - **A new secret** has a new [`Generation`], and an entry of another generation reads as empty.
//!   [`renew`](GuessLedger::renew) carries the known clients over.
//!
//! # Ways in
//! Nobody can hold up a known client but itself. An unknown one that others have shut out is let in by an admission
//! ([`admit_client`](GuessLedger::admit_client)): by the link of a mail ([`unlock_mail_due`](GuessLedger::unlock_mail_due)),
//! by a session of the account with a fresh proof of the same or a stronger factor, or by the operator, who can also
//! [`unlock`](GuessLedger::unlock) a secret.
//!
//! # Where the guess is checked
//! Compare a secret of ours between `admit` and [`charge`](GuessLedger::charge) or [`forgive`](GuessLedger::forgive), all
//! in one commit. A secret that the host checks slowly takes two commits: [`begin`](GuessLedger::begin) in the first,
//! then ask the host, and [`settle_wrong`](GuessLedger::settle_wrong) or [`settle_right`](GuessLedger::settle_right) in the
//! second. A guess whose verdict never comes is charged after two minutes. At most four are unjudged per client, of all
//! unknown clients together four; and only as long as no wait would begin if they were all wrong, so that guesses in
//! parallel gain nothing over guesses in turn.
//!
//! # The clock
//! Forward: waits, leaks, pauses and admissions pass; streaks stay. Back: every stored moment that lies in the future is
//! moved to where it is believed, which is its own length from the present, and stored so
//! ([`Refusal::changed`]). Whatever is told as a wait has ended when it said, whatever the clock did before.

pub(crate) mod client;
mod entry;
mod failures;
mod guess_ledger;
mod mail;
mod outcome;
mod place;
pub mod policy;
pub(crate) mod secret;
mod stored;
mod told;

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
    Admission, AdmittedAttempt, Charge, ClientAdmission, PendingGuess, Refusal, ShutOut, Tell, Told, Untold,
};
pub use self::policy::{GuessOdds, LedgerPolicy, LedgerPolicyBuilder, LedgerPolicyError};
pub use self::secret::{Generation, SecretKind, SecretName, Strength};
pub use self::stored::MAX_SECRETS;
