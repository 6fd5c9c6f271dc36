//! Re-encryption of a whole vault: parse, check exact cover, swap all ciphers or none.
//!
//! When a password changes, a client decrypts every cipher, encrypts it under the new key, and sends the whole vault. This
//! crate reads that in one pass over the body, checks it against the vault, and swaps everything in one commit, with the
//! new credential, or nothing. A [`SwapPlan`] comes only from a complete check, and what swaps takes nothing else.
//!
//! # What a server cannot verify
//! **The server cannot tell that the client encrypted under the right key, nor that a text decrypts at all, nor that it
//! holds what the old one held.** It has no key, and that is the point of it. It can tell that every cipher was sent, once,
//! as something that could be an envelope, that no text was left as it was, and that no nonce comes twice. A client with
//! a fault can still replace a vault by noise: it should decrypt what it made before it sends it. Who needs a way back
//! keeps the old rows elsewhere.
//!
//! This crate never decrypts a client's cipher, never logs, reads no clock by itself, and draws only from the
//! [`Entropy`](keywright_core::Entropy) it is given. A refused submission writes nothing.
//!
//! ```
//! # #[cfg(feature = "json")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keywright_rekey::{CipherList, Fault, Hex, Limits, VaultManifest, parse_id};
//! use keywright_store::{ClientNonce, Mark, Revision, RowMarks};
//!
//! // The vault: two ciphers, each with the nonce of its envelope. `Vaults::manifest` reads and verifies one.
//! let ids = ["1d2f8a60-43c1-4c39-9d1c-1c6a7f1b8a01", "7e0c5b1a-90ab-4f43-8f5e-0d6d4c3b2a02"];
//! let ids = ids.map(parse_id).into_iter().collect::<Option<Vec<_>>>().ok_or("no UUID")?;
//! let row = |id, nonce| RowMarks { id, text: Mark([1; 16]), note: Mark([2; 16]), nonce: ClientNonce([nonce; 16]) };
//! let head = Some(Revision::from_bytes([1; 16]));
//! let manifest = VaultManifest::unverified(head, vec![row(ids[0], 8), row(ids[1], 9)]);
//!
//! // What a client sent: one cipher is missing, another nobody knows.
//! let body = format!(
//!     r#"[{{"id": "1d2f8a60-43c1-4c39-9d1c-1c6a7f1b8a01", "data": "{}"}},
//!         {{"id": "00000000-0000-4000-8000-000000000003", "data": "{}"}}]"#,
//!     "a1".repeat(40), "a2".repeat(40),
//! );
//! let submission = CipherList::new(body.as_bytes(), Limits::default(), &Hex).read_json()?;
//! let difference = submission.against(&manifest).unwrap_err();
//! assert_eq!(difference.faults().collect::<Vec<_>>(), [Fault::Missing, Fault::Unknown]);
//! assert_eq!(difference.ids(Fault::Missing), [ids[1]]);
//!
//! // The right one, in any order.
//! let body = body.replace("00000000-0000-4000-8000-000000000003", "7E0C5B1A-90AB-4F43-8F5E-0D6D4C3B2A02");
//! let submission = CipherList::new(body.as_bytes(), Limits::default(), &Hex).read_json()?;
//! let plan = submission.against(&manifest)?;
//! assert!(plan.rows().map(|(id, ..)| id).eq(ids));
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "json"))]
//! # fn main() {}
//! ```
//!
//! # Map
//! - [`CipherList`] reads a body into a [`Submission`]: from any format of `serde`, or, quicker, from JSON. A text is
//!   checked by its [`Format`] ([`Hex`], [`Base64`], a host's own) without being decoded, and stays in the body.
//! - [`Submission::against`] a [`VaultManifest`]: a [`SwapPlan`], or a [`Difference`] with every [`Fault`], counted, the
//!   first hundred of each by id. [`check_nonces`] does the same for a stage.
//! - [`SealedSwap`], [`VaultSteps`] and [`Vaults`]: the plan sealed and committed, at once, held for a confirmation, or
//!   uploaded in parts.
//! - [`Vaults::accept_damaged`]: what an operator does about a vault that is denied because its rows were tampered with.
//! - [`events`]: what an account's security log says of its vault.
//! - `client` (feature `client`): the other half, on all cores.
//!
//! # What is promised
//! - **All or none.** One commit replaces every cipher, brings the vault's new head, moves the key epoch and the credential
//!   epoch, and carries whatever the caller's own step adds: the new credential. The cover is checked again inside it.
//! - **Nothing is overwritten unseen.** Every change of a cipher moves the head. A swap names the head that it was checked
//!   against; if somebody wrote meanwhile it is `HeadMoved`, and nothing happens.
//! - **Unknown is not refused.** If the store's answer is lost and stays lost, [`VaultError::is_unknown`] says so: the old
//!   vault with the old key is there, or the new one with the new. The client must try both.
//! - **A stale device is fenced.** An edit names the key epoch of its session; of an older one it is refused, before the
//!   vault is looked at.
//! - **A dump holds no text.** Texts and notes are sealed under keys of the account that lie in the sealed head.
//! - **A vault is given out whole or not at all.** The sealed head keeps a count and a keyed digest of all rows. Every read,
//!   and every check of a submission, compares them with the rows of the same snapshot: a row that was dropped, added,
//!   moved, or put back from an earlier time is [`VaultError::Damaged`], an event and a line in the log, and a client is
//!   never shown a shorter vault. Reads and edits open the texts and notes that they are about: one that was altered is
//!   [`VaultError::Open`], and is neither left out nor overwritten. Reads and edits of single ciphers in vaults above
//!   [`VaultPolicy::checked_with_single_reads`] (5,000) leave that to the next full read. A held vault is promoted only if
//!   its rows are those that were held, and a held or uploaded one only after each of its texts was opened: the texts that it
//!   replaces are gone then.
//!
//! What is left to somebody who writes the database without the keyring: the whole account can be put back to an earlier
//! state, or deleted. In an **upload** that is not finished yet a part can be put back to what the client had put for the
//! same ciphers before, because parts are not guarded. The client's nonces are not authenticated: altered ones can make a
//! check refuse, or miss that a text was left unchanged.
//! A **swap** compares all rows with the head, but does not open the texts that it replaces: to read and open a whole vault
//! would cost more than the rest of the swap. A client that swaps has read every text before, by reads that open them; a
//! text that was altered since is replaced by what the client made of the true one. Notes stay as they are, and are opened
//! by the next read.
//!
//! # What it costs
//! Beyond the body and the manifest a check needs at most 32 bytes a cipher: 24 in the submission (id, place, fingerprint),
//! 8 while it is compared. A body with escaped texts is copied as far as they go. Every step is linear in the number of
//! ciphers; only a refusal may sort. Nothing depends on a secret, and a hostile submission costs no more than a sort. The
//! digest takes about 20 ns a row. A promotion reads and opens every staged text once more, 500 at a time: as much as one
//! read of the whole vault.
//!
//! # Features
//! - `json` (default): [`CipherList::read_json`], [`CipherList::split_json`].
//! - `client`: re-encryption on all cores, with `rayon`.
//!
//! # Foreign types
//! The public API names the traits of `serde::de`, and types of `keywright-core` and `keywright-store`.
#![forbid(unsafe_code)]

mod check;
#[cfg(feature = "client")]
pub mod client;
mod digest;
mod error;
pub mod events;
mod fingerprint;
mod format;
mod outcome;
mod parse;
mod policy;
mod report;
mod seal;
mod service;
mod stage;
mod state;
mod step;

pub use check::{SwapPlan, VaultManifest, check_nonces};
pub use error::VaultError;
pub use format::{Base64, Format, Hex, MIN_ENVELOPE_BYTES, Malformed, NONCE_BYTES, TAG_BYTES};
pub use outcome::{
    Acceptance, Coverage, CreateOutcome, EditOutcome, HoldOutcome, PartOutcome, PlanOutcome, Promotion, Swap,
    SwapOutcome, UploadStart,
};
pub use parse::{CipherList, Submission, id_text, parse_id};
#[cfg(feature = "json")]
pub use parse::{JsonError, Split};
pub use policy::{
    AtRest, Limits, LimitsError, MAX_CHECKED_WITH_SINGLE_READS, MAX_CIPHERS, MAX_ENTRIES, MAX_MAX_CIPHERS,
    MAX_MAX_ENTRIES, MAX_MAX_TEXT, MAX_TEXT, STAGE_GRACE_SECONDS, VaultPolicy,
};
pub use report::{Difference, Fault, NAMED};
pub use seal::{SEALED_OVERHEAD, SealedSwap};
pub use service::{Cipher, Contents, Unreadable, VaultSteps, Vaults};
pub use stage::{CheckedStage, StagedSwap};
pub use state::{SLOT_KINDS, VAULT_SLOT, VAULT_SLOTS};
pub use step::{Edit, Existing, Head, Put};
