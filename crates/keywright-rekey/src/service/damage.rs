//! Handling of a vault whose rows do not match its head: this is reported, and access is denied
//! until an operator accepts the vault.

use keywright_core::{AccountId, Event};
use keywright_store::{CipherId, Damage, Draft, Partition, Row, StepError, VaultRows, VaultWrite, Which};

use super::Vaults;
use super::harm::Harm;
use super::reading::{HeadSnapshot, TRIES};
use crate::digest::Digest;
use crate::error::VaultError;
use crate::events::{VAULT_ACCEPTED, VAULT_DAMAGED};
use crate::outcome::Acceptance;
use crate::seal::{self, Sealer};
use crate::state::{DAMAGE_REPORT, DamageReport, VAULT, VAULT_SLOT};
use crate::step;

/// The minimum time between two events about damage, in seconds, however often it is encountered:
/// one hour.
const REPORT_INTERVAL: u64 = 3_600;

/// What to do with the ciphers of a damaged vault that do not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "they stay, or they go")]
pub enum Unreadable {
    /// Report them, and change nothing.
    Report,
    /// Drop them for good.
    Drop,
}

/// The result of accepting a vault, before it is committed.
struct Salvage {
    digest: Digest,
    text_bytes: u64,
    unreadable: Vec<CipherId>,
}

impl Vaults {
    /// Accepts a damaged vault as it is. This is for an **operator**, after finding out what
    /// happened. One commit sets the count and digest in the vault's head to those of the rows that
    /// are present and can be opened, and emits an event. Rows that were deleted stay lost, and if
    /// somebody replaced a cipher by an older version, that version stays.
    ///
    /// The vault's head moves, so clients that follow it read the whole vault once.
    ///
    /// # Errors
    /// Returns a [`VaultError`] if the store, the clock or the generator fails, the account is
    /// busy, or stored data is damaged; then nothing is accepted.
    pub async fn accept_damaged(&self, account: &AccountId, unreadable: Unreadable) -> Result<Acceptance, VaultError> {
        let partition = Partition::account(account);
        for _ in 0..TRIES {
            let Some(seen) = self.look(account).await? else { return Ok(Acceptance::NoVault) };
            let VaultRows { root, rows, .. } =
                self.store.read(&partition, Which::All).await.map_err(VaultError::Load)?;
            if root != seen.root {
                continue;
            }
            let salvage = salvage(account, &seen, &rows);
            if salvage.unreadable.is_empty() && salvage.digest == seen.record.digest() {
                return Ok(Acceptance::Undamaged);
            }
            if !salvage.unreadable.is_empty() && unreadable == Unreadable::Report {
                return Ok(Acceptance::Unreadable(salvage.unreadable));
            }
            let slots = [VAULT_SLOT, DAMAGE_REPORT.name()];
            let step = |draft: &mut Draft<'_>| accept(draft, &seen, &salvage);
            if !self.driver.named("vault.accept_damaged").transact(&partition, &slots, step).await? {
                continue;
            }
            tracing::warn!(
                %account,
                ciphers = salvage.digest.count,
                dropped = salvage.unreadable.len(),
                "a damaged vault was accepted as it is"
            );
            let (ciphers, counted) = (salvage.digest.count, seen.record.count);
            return Ok(Acceptance::Accepted { ciphers, counted, dropped: salvage.unreadable });
        }
        Err(VaultError::Restless)
    }

    /// Reports damage: to the log, to the driver's observer, and to the account's security log,
    /// which gets one event an hour. A failure in this function does not change the answer, which
    /// denies.
    pub(super) async fn report(&self, account: &AccountId, harm: Harm) {
        tracing::error!(%account, %harm, "a vault is damaged and access was denied");
        let partition = Partition::account(account);
        // The driver reports to its observer what a step returns as damage.
        let look = |_: &mut Draft<'_>| -> Result<(), StepError> { Err(StepError::Damaged(Damage::Vault)) };
        drop(self.driver.named("vault.report").observe(&partition, &[], look).await);
        let reported = self
            .driver
            .named("vault.report")
            .transact(&partition, &[DAMAGE_REPORT.name()], |draft| report(draft, harm))
            .await;
        if let Err(error) = reported {
            tracing::warn!(%account, error = &error as &dyn std::error::Error, "damage could not be recorded in the security log");
        }
    }
}

/// Emits the event, unless damage was reported within the hour. A time in the future does not
/// count.
fn report(draft: &mut Draft<'_>, harm: Harm) -> Result<(), StepError> {
    let now = draft.now();
    if draft.read(DAMAGE_REPORT)?.is_some_and(|reported| reported.at <= now && now < reported.at.plus(REPORT_INTERVAL))
    {
        return Ok(());
    }
    draft.put_until(DAMAGE_REPORT, &DamageReport { at: now }, now.plus(REPORT_INTERVAL))?;
    draft.event(Event::new(&VAULT_DAMAGED).with("part", harm.part()));
    Ok(())
}

/// Determines which rows open, and their count and digest.
fn salvage(account: &AccountId, seen: &HeadSnapshot, rows: &[Row]) -> Salvage {
    let mut texts = Sealer::new(&seen.record.key, account);
    let mut notes = Sealer::new(&seen.record.note_key, account);
    let mut opens = |row: &&Row| texts.open_text(seen.record.as_sent, row).is_some() && notes.open_note(row).is_some();
    let (good, bad): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| opens(row));
    Salvage {
        digest: Digest::of(&seen.record.digest_key, good.iter().map(|row| &row.marks)),
        text_bytes: good.iter().fold(0, |sum: u64, row| sum.saturating_add(seal::text_bytes(row))),
        unreadable: bad.iter().map(|row| row.marks.id).collect(),
    }
}

/// Stages a head for the rows that are present. Returns `false` if the vault has changed since it
/// was read.
fn accept(draft: &mut Draft<'_>, seen: &HeadSnapshot, salvage: &Salvage) -> Result<bool, StepError> {
    let Some((_, mut head)) = step::open(draft)?.filter(|(revision, _)| *revision == seen.head.revision) else {
        return Ok(false);
    };
    head.set_digest(salvage.digest);
    head.text_bytes = salvage.text_bytes;
    draft.put(VAULT, &head)?;
    draft.write_vault(VaultWrite::Edit { put: Vec::new(), delete: salvage.unreadable.clone() })?;
    if draft.read(DAMAGE_REPORT)?.is_some() {
        draft.delete(DAMAGE_REPORT)?;
    }
    let dropped = u64::try_from(salvage.unreadable.len()).unwrap_or(u64::MAX);
    draft.event(Event::new(&VAULT_ACCEPTED).with("ciphers", salvage.digest.count).with("dropped", dropped));
    Ok(true)
}
