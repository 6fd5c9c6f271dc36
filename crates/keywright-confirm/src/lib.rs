//! Confirmation of destructive actions: a shown code typed back, a password and a random wait, a mailed code.
//!
//! One machine, three styles. A confirmation is bound to the account, the action, its target and parameters, the session
//! and the account's epochs, and makes at most one [`Confirmed`], which the function that acts takes by value. This crate
//! never acts, mails, sleeps or checks a password; it reads no clock and draws only from the
//! [`Entropy`](keywright_core::Entropy) it is given.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Keyring, SessionId, SystemEntropy};
//! use keywright_confirm::{Action, Confirmation, Confirmations, Confirmed, ConfirmPolicy};
//! use keywright_store::{Driver, MemoryStore};
//!
//! /// What will happen, whole: another vault is another action.
//! struct DeleteVault { vault: String }
//! impl Action for DeleteVault {
//!     const NAME: &'static str = "vault.delete";
//!     fn target(&self) -> &str { &self.vault }
//!     fn parameters(&self) -> Vec<u8> { Vec::new() }
//! }
//!
//! /// Cannot be called without a proof, and deletes what was confirmed.
//! fn delete_vault(proof: Confirmed<DeleteVault>) -> String {
//!     let (account, action) = proof.into_parts();
//!     format!("{account}: {} is gone", action.vault)
//! }
//!
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let account = AccountId::new("user-1")?;
//! let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(keywright_confirm::SLOT_KINDS).build()?;
//! driver.ensure_account(&account).await?;
//! let confirmations = Confirmations::new(driver, ConfirmPolicy::default());
//! let (session, asked) = (SessionId::new("session-1"), DeleteVault { vault: "v-7".into() });
//! let code = confirmations.ask_code(&account, &asked, session).await?;
//! let typed = code.expose(); // the page shows it, the user types it back
//!
//! let other = DeleteVault { vault: "v-8".into() };
//! assert!(matches!(confirmations.confirm_code(&account, other, session, typed).await?, Confirmation::Denied(_)));
//! match confirmations.confirm_code(&account, asked, session, typed).await? {
//!     Confirmation::Granted(proof) => assert_eq!(delete_vault(proof), "user-1: v-7 is gone"),
//!     denied => panic!("{denied:?}"),
//! }
//! # Ok(())
//! # }
//! ```
//! For a mailed code ([`Confirmations::confirm_mailed`]), name the client by the credential that it came with,
//! `Client::credential(driver.client_tag(&account, credential))`, so that the wrong codes of others never hold it up.
//!
//! # The styles
//! | | secret | dies | asking again |
//! |---|---|---|---|
//! | typed code | 96 bits, shown | 5th wrong try, 10 minutes | a new code |
//! | wait | 5–10 s, random | 60 s after its end | a new wait, also when too early or too late |
//! | mailed code | 6 digits | 5th wrong try, 10 minutes (24 h by policy) | a fresh code, the same tries |
//!
//! Waits are whole seconds of the server's clock: by a stopwatch one can be up to a second shorter than it says. Mails go
//! out at least 60 s apart, 5 for a confirmation, 10 a day for an account, of which requests without login get 3: nobody
//! else can use up what the owner has, and a code that was sent again without login lives no longer than the one before.
//! These counts are a record of their own, which does not expire, so that no other action, session or style refills them;
//! wrong mailed codes are charged to [`policy::MAILED_CODE`] in the guess ledger as well.
//!
//! # What an attacker meets
//! - Of any number of requests with the right code, one is granted: the spent state is in the commit that grants.
//! - A wrong try does not tell what was wrong: code, action, target, parameters or session. The reason is in the security
//!   log only. A flood of tries where no code waits writes nothing, and one of requests for codes writes one event an
//!   hour: nobody crowds the security log with them.
//! - Whatever moves an epoch of the account voids all that is pending; so do a clock that goes back and the keyring's
//!   fence. A clock that goes forward ends waits and lives early.
//! - A database without the keyring shows no code. With it, mailed codes can be found by trying a million, typed ones not.
//!
//! A mailed code confirms that somebody reads the mailbox. It is **not** a second factor.
//!
//! # For hosts
//! - [`CancelToken`] belongs in the notice to the owner. Its link shows a button on GET and acts on POST only.
//! - An action that erases the account in the draft that granted it should keep [`KEEP_ON_ERASE`], so that the day's count
//!   of mails survives.
//! - An owner whom wrong mailed codes of others have shut out has these ways in: any client that was right before; a
//!   session with a fresh proof of the same or a stronger factor, by
//!   [`guess::admit_client`](keywright_store::guess::admit_client); the operator, by
//!   [`guess::unlock`](keywright_store::guess::unlock). Both take [`policy::MAILED_CODE`] and
//!   [`policy::MAILED_GENERATION`].
//! - Action names are unique in a server; test that.
//!
//! # Requirements met
//! OWASP Transaction Authorization 1.5, 2.2, 2.4, 2.6, 2.8–2.10; ASVS 5.0 2.3.1, 2.3.4, 2.4.2, 6.5.1, 6.5.3–6.5.5, 6.5.8,
//! 6.6.2, 6.6.3, 11.2.4, 15.4.2, 16.2.5; NIST SP 800-63B-4 § 3.1.3.2. Left to the host: the notice itself (ASVS 6.3.7),
//! and that the function that acts takes the proof.
#![forbid(unsafe_code)]

mod action;
mod code;
mod context;
mod error;
pub mod events;
mod mailed;
mod outbox;
mod outcome;
pub mod policy;
mod service;
mod state;
mod step;
mod told;
mod typed;
mod wait;

pub use action::{Action, Confirmed};
pub use code::{CancelToken, CancelTokenError, MailedCode, TypedCode, Wait};
pub use error::ConfirmError;
pub use outcome::{Confirmation, Denial, SendOutcome, WaitOutcome};
pub use policy::{ConfirmPolicy, ConfirmPolicyBuilder, ConfirmPolicyError};
pub use service::Confirmations;
pub use step::{ConfirmSteps, KEEP_ON_ERASE, SLOTS};

/// The kinds of slots that this crate declares.
pub const SLOT_KINDS: &[keywright_store::SlotKind] = &[state::PENDING.kind(), state::COUNTS.kind()];
