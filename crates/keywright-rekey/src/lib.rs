//! Re-encryption of a whole vault: parsing it, checking that it covers the vault exactly, and
//! replacing either all ciphers or none.
//!
//! A *vault* is the set of a user's *ciphers*, which are the encrypted entries of a password
//! manager. The server stores each cipher as the *text* that the client encrypted, and may add a
//! *note*, which is data of the application. When a password changes, a client decrypts every text,
//! encrypts it under the new key, and sends all of them as a *submission*. This crate parses the
//! submission in one pass over the body and compares it with the vault. It then replaces all texts
//! in one commit, together with the new credential, or replaces nothing. This replacement is called
//! a *swap*. A submission *covers* the vault if it has exactly one text for every cipher of the
//! vault and no others. Only a submission that covers the vault yields a [`SwapPlan`], without
//! which no swap is possible.
//!
//! # What a server cannot verify
//! **The server cannot verify that the client encrypted under the right key, that a text can be
//! decrypted at all, or that it contains what the old one contained.** By design, it has no key. It
//! can verify that every cipher was sent once, that each text has the form of an encrypted envelope
//! (nonce, ciphertext and tag), that no text was left unchanged, and that no nonce occurs twice. A
//! faulty client can still replace a vault with noise, so it should decrypt its new texts before it
//! sends them. A server that must be able to restore the old vault has to keep a copy of its rows
//! elsewhere.
//!
//! This crate never decrypts a client's cipher and reads no clock itself. It logs nothing but
//! damage to stored data. It draws randomness only from the [`Entropy`](keywright_core::Entropy)
//! that it is given. A refused submission writes nothing.
//!
//! ```
//! # #[cfg(feature = "json")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use keywright_rekey::{CipherList, Fault, Hex, Limits, VaultManifest, parse_id};
//! use keywright_store::{ClientNonce, Mark, Revision, RowMarks};
//!
//! // The manifest of a vault of two ciphers, each with its nonce. In a server, `Vaults::manifest` returns it.
//! let ids = ["1d2f8a60-43c1-4c39-9d1c-1c6a7f1b8a01", "7e0c5b1a-90ab-4f43-8f5e-0d6d4c3b2a02"];
//! let ids = ids.map(parse_id).into_iter().collect::<Option<Vec<_>>>().ok_or("no UUID")?;
//! let row = |id, nonce| RowMarks { id, text: Mark([1; 16]), note: Mark([2; 16]), nonce: ClientNonce([nonce; 16]) };
//! let head = Some(Revision::from_bytes([1; 16]));
//! let manifest = VaultManifest::unverified(head, vec![row(ids[0], 8), row(ids[1], 9)]);
//!
//! // What a client sent: one cipher is missing, and another is not in the vault.
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
//! // The correct submission; any order is accepted.
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
//! - [`CipherList`] parses a body into a [`Submission`], from any format of `serde` or, more
//!   quickly, from JSON. A text is checked by its [`Format`] ([`Hex`], [`Base64`], or a host's own)
//!   without being decoded, and stays in the body.
//! - [`Submission::against`] checks it against a [`VaultManifest`] and returns a [`SwapPlan`], or a
//!   [`Difference`] that counts every [`Fault`] and lists the ids of the first hundred of each. A
//!   new vault can also be stored beside the current one, as a *stage*; [`check_nonces`] checks a
//!   stage against the manifest in the same way, by its ids and nonces.
//! - [`SealedSwap`], [`VaultSteps`] and [`Vaults`] encrypt the new texts once more (*seal* them)
//!   and commit them. A new vault can be committed immediately. It can also be stored as a stage,
//!   either as a whole, to be held until it is confirmed, or in parts (an *upload*). The stage is
//!   then *promoted*: it replaces the current vault.
//! - [`Vaults::accept_damaged`] is for an operator, to restore access to a vault that is denied
//!   because its rows were tampered with.
//! - [`events`] are the entries about the vault in an account's security log.
//! - `client` (feature `client`) is the client half, which re-encrypts on all cores.
//!
//! # What it guarantees
//! - **All or none.** One commit replaces every text and changes two numbers of the account, the
//!   *key epoch* and the *credential epoch*, so that sessions from before it are void. It also
//!   includes what the caller's own step adds, namely the new credential. In the commit, the store
//!   checks once more that the new ciphers are exactly those of the vault.
//! - **No concurrent change is overwritten.** The vault has a *head*, a record whose revision
//!   changes with every change of a cipher. A swap states the revision of the head that it was
//!   checked against. If the vault was changed in the meantime, the outcome is `HeadMoved` and
//!   nothing happens.
//! - **An unknown outcome is never reported as a refusal.** If the store's answer is lost and
//!   cannot be recovered, [`VaultError::is_unknown`] is true. Either the old vault with the old key
//!   is stored, or the new one with the new key, and the client must try both.
//! - **A device with an old key cannot write.** An edit states the key epoch of its session. If
//!   that is not the present one, the edit is refused before the vault is read.
//! - **A dump of the database contains no text as the client sent it.** Texts and notes are
//!   encrypted once more under keys of the account, which are stored in the vault's sealed head.
//! - **A vault is returned whole or not at all.** The sealed head keeps a count and a keyed digest
//!   of all rows. Every read, and every check of a submission, compares them with the rows of the
//!   same snapshot. If a row was deleted, added, moved, or replaced by an older version, the result
//!   is [`VaultError::Damaged`], an event and a line in the log; a client never receives a shorter
//!   vault. If a vault has more than [`VaultPolicy::checked_with_single_reads`] ciphers (5,000),
//!   only reads of the whole vault make this comparison; reads and edits of single ciphers do not.
//! - **An altered text or note is detected when it is read.** Reads and edits decrypt the texts and
//!   notes that they concern. If one was altered, the result is [`VaultError::Open`], and the
//!   altered text or note is neither omitted nor overwritten.
//! - **A stage is checked before it is promoted.** Each of its texts is decrypted first, because
//!   the texts that it replaces are lost by the promotion. A held vault is promoted only if its
//!   rows are those that were held.
//!
//! An attacker who can write to the database but lacks the keyring can still do the following. The
//! whole account can be replaced by an earlier state of it, or deleted. In an **upload** that is
//! not finished, a part can be replaced by what the client had sent before for the same ciphers,
//! because a part is stored without comparing any revision. The client's nonces are not
//! authenticated: altered ones can make a check refuse, or miss that a text was left unchanged. A
//! **swap** compares all rows with the head, but does not decrypt the texts that it replaces,
//! because that would cost more than the rest of the swap. The client has read every text before,
//! and those reads decrypted it. If a text was altered since then, the swap replaces it by the
//! client's re-encryption of the unaltered text. A swap leaves notes unchanged; the next read
//! decrypts them.
//!
//! # What it costs
//! In addition to the body and the manifest, a check needs at most 32 bytes per cipher: 24 in the
//! submission (id, position, fingerprint), and 8 while it is compared. If a body has escaped texts,
//! these are copied. The running time is linear in the number of ciphers, except that a refused
//! submission may have to be sorted. It does not depend on a secret. The digest of the rows takes
//! about 20 ns per row. A promotion reads and decrypts every text of the stage once more, 500 at a
//! time, which costs as much as one read of the whole vault.
//!
//! # Features
//! - `json` (default): [`CipherList::read_json`], [`CipherList::split_json`].
//! - `client`: re-encryption on all cores, with `rayon`.
//!
//! # Types of other crates in the public API
//! The public API names the traits of `serde::de`, and types of `keywright-core` and
//! `keywright-store`.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
    AtRest, Limits, LimitsBuilder, MAX_CHECKED_WITH_SINGLE_READS, MAX_CIPHERS, MAX_ENTRIES, MAX_MAX_CIPHERS,
    MAX_MAX_ENTRIES, MAX_MAX_TEXT, MAX_TEXT, STAGE_GRACE_SECONDS, VaultPolicy, VaultPolicyBuilder, VaultPolicyError,
};
pub use report::{Difference, Fault, NAMED};
pub use seal::{SEALED_OVERHEAD, SealedSwap};
pub use service::{Cipher, Contents, Unreadable, VaultSteps, Vaults};
pub use stage::{CheckedStage, StagedSwap};
pub use state::{SLOT_KINDS, VAULT_SLOT, VAULT_SLOTS};
pub use step::{Edit, Existing, Head, Put};
