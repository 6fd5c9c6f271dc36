//! devise-two-factor: rows of the users' table as JSON, an array or one a line, with `id`,
//! `otp_secret`, `consumed_timestep`, `otp_required_for_login` and `otp_backup_codes`.
//!
//! Rails encrypts `otp_secret` (Active Record Encryption, and `attr_encrypted` before version 5), so
//! let Rails write the rows: they must hold the **decrypted** secret, which is base32. The backup
//! codes are bcrypt hashes of 32 hex digits, or whatever `Devise.pepper` made of them: with a pepper
//! they cannot be compared elsewhere, so leave them out.

use keywright::twofactor::import::ImportedUser;
use keywright::twofactor::recovery::{ImportedCodes, LetterCase, Spelling};
use keywright::twofactor::{ImportedDevice, TotpSecret};
use serde_json::Value;

use super::{Entry, Fault, FileFault, entry, id, rows, text, texts};

/// Reads rows. Users get their `id` as account id, after the prefix. Those who do not need a code at
/// log-in are imported without factors.
///
/// # Errors
/// Returns [`FileFault`] if the file is not JSON.
pub fn read(file: &str, prefix: &str) -> Result<Vec<Entry>, FileFault> {
    let rows = rows(file)?;
    let read = |row: &Value| {
        let user = row.get("id").and_then(id).ok_or(FileFault { line: 0 })?;
        Ok(entry(&user, prefix, read_user(row)))
    };
    rows.iter().map(read).collect()
}

fn read_user(row: &Value) -> Result<ImportedUser, Fault> {
    if row.get("otp_required_for_login").and_then(Value::as_bool) != Some(true) {
        return Ok(ImportedUser::new());
    }
    let device = ImportedDevice::new("authenticator", TotpSecret::from_base32(text(row, "otp_secret")?)?);
    let device = match row.get("consumed_timestep").and_then(Value::as_u64) {
        Some(step) => device.with_last_step(step),
        None => device,
    };
    let user = ImportedUser::new().device(device);
    if row.get("otp_backup_codes").is_none_or(Value::is_null) {
        return Ok(user);
    }
    let codes = texts(row, "otp_backup_codes")?;
    let spelling = Spelling::new(LetterCase::Lower);
    Ok(if codes.is_empty() { user } else { user.recovery(ImportedCodes::hashes(codes).spelled(spelling)) })
}
