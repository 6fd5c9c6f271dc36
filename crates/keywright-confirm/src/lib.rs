//! Confirmation of destructive actions in one of three styles: by a code that is shown and typed
//! back, by a random wait after the server has checked the password, or by a mailed code.
//!
//! The three styles share one state machine. A confirmation is bound to the account, the action
//! with its target and parameters, and the session. It is also bound to the account's epochs,
//! numbers that change with its credentials and factors. It yields at most one [`Confirmed`], which
//! the function that performs the action takes by value. This crate never performs the action,
//! sends mail, sleeps or checks a password. It reads no clock, and it draws randomness only from
//! the [`Entropy`](keywright_core::Entropy) that it is given.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Keyring, SessionId, SystemEntropy};
//! use keywright_confirm::{Action, Confirmation, Confirmations, Confirmed, ConfirmPolicy};
//! use keywright_store::{Driver, MemoryStore};
//!
//! /// The action includes its target: deleting another vault is a different action.
//! struct DeleteVault { vault: String }
//! impl Action for DeleteVault {
//!     const NAME: &'static str = "vault.delete";
//!     fn target(&self) -> &str { &self.vault }
//!     fn parameters(&self) -> Vec<u8> { Vec::new() }
//! }
//!
//! /// Cannot be called without a proof, and deletes only what was confirmed.
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
//! let code = confirmations.begin_code(&account, &asked, session).await?;
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
//! For a mailed code ([`Confirmations::confirm_mailed`]), identify the client by the credential
//! that it presented, `Client::credential(driver.client_tag(&account, credential))`, so that the
//! wrong codes of others never delay it.
//!
//! # The styles
//! | style | random part | valid until | when requested again |
//! |---|---|---|---|
//! | typed code | a code of 96 bits, which is shown | the 5th wrong attempt, or 10 minutes have passed | a new code |
//! | wait | its duration, 5–10 s | 60 s after its end | a new wait; an attempt that is too early or too late begins one too |
//! | mailed code | a code of 6 digits | the 5th wrong attempt, or 10 minutes have passed (a policy may set up to 24 h) | a new code with the attempts that are left |
//!
//! Waits are whole seconds of the server's clock, so the time that passes can be up to a second
//! shorter than stated. Mails are sent at least 60 s apart, at most 5 for a confirmation and 10 a
//! day for an account. Of these 10, requests without login get 3, so nobody else can use up the
//! owner's mails. A code that was sent again without login expires no later than the previous one.
//! These counts are kept in a record of their own, which does not expire, so that no other action,
//! session or style resets them. Wrong mailed codes are also counted in the account's [guess
//! ledger](keywright_core::ledger), which limits wrong guesses, under the name
//! [`policy::MAILED_CODE`].
//!
//! # What an attacker can and cannot do
//! - However many requests carry the correct code, one is granted: the commit that grants also
//!   marks the confirmation as spent.
//! - The answer to a wrong attempt does not reveal what was wrong: the code, action, target,
//!   parameters or session. Only the security log has the reason. A flood of attempts where no code
//!   is pending writes nothing, and a flood of requests for codes writes one event an hour, so
//!   nobody can fill the security log with them.
//! - Whatever is pending becomes void if the account's credentials or factors change, if the clock
//!   goes back, or if it was begun before the keyring's *fence*, a time that the operator sets
//!   after restoring a backup ([`Keyring::with_fence`](keywright_core::Keyring::with_fence)). A
//!   clock that goes forward ends waits and lifetimes early.
//! - The database without the keyring reveals no code. With the keyring, a mailed code can be found
//!   by trying a million values; a typed code cannot be found.
//!
//! A mailed code confirms that the user can read the mailbox. It is **not** a second factor.
//!
//! # For hosts
//! - The *host* is the server program that uses this crate. It should notify the owner of a pending
//!   confirmation, and put a link with the [`CancelToken`] in the notice. That link must show a
//!   button on GET and act on POST only.
//! - If an action erases the account in the same draft that granted the confirmation, pass
//!   [`KEEP_ON_ERASE`] to [`Draft::erase`](keywright_store::Draft::erase), so that the day's count
//!   of mails is not lost.
//! - If the wrong mailed codes of others lock out an owner, any client that has entered a correct
//!   one before still works. A session with a fresh proof of the same or a stronger factor can
//!   admit a client with [`guess::admit_client`](keywright_store::guess::admit_client), and the
//!   operator can clear the lock with [`guess::unlock`](keywright_store::guess::unlock). Both
//!   functions take [`policy::MAILED_CODE`] and [`policy::MAILED_GENERATION`].
//! - Action names must be unique in a server; write a test for that.
//!
//! # Requirements met
//! OWASP Transaction Authorization 1.5, 2.2, 2.4, 2.6, 2.8–2.10; ASVS 5.0 2.3.1, 2.3.4, 2.4.2,
//! 6.5.1, 6.5.3–6.5.5, 6.5.8, 6.6.2, 6.6.3, 11.2.4, 15.4.2, 16.2.5; NIST SP 800-63B-4 § 3.1.3.2.
//! Left to the host: sending the notice (ASVS 6.3.7), and writing each function that performs an
//! action so that it takes the proof.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod action;
mod code;
mod context;
mod error;
pub mod events;
mod mailed;
mod outbox;
mod outcome;
pub mod policy;
mod repeats;
mod service;
mod state;
mod step;
mod typed;
mod wait;

pub use action::{AccountAction, Action, Confirmed};
pub use code::{CancelToken, CancelTokenError, MailedCode, TypedCode, Wait};
pub use error::ConfirmError;
pub use outcome::{Confirmation, Denial, SendOutcome, WaitOutcome};
pub use policy::{ConfirmPolicy, ConfirmPolicyBuilder, ConfirmPolicyError};
pub use service::Confirmations;
pub use step::{ConfirmSteps, KEEP_ON_ERASE, SLOTS};

/// The kinds of slots that this crate declares, to be passed to the driver's builder.
pub const SLOT_KINDS: &[keywright_store::SlotKind] = &[state::PENDING.kind(), state::COUNTS.kind()];
