//! better-auth: rows of the table `twoFactor` as JSON, an array or one a line, with `userId`,
//! `secret` and `backupCodes`.
//!
//! better-auth encrypts both under its own secret: decrypt them first, with its `symmetricDecrypt`.
//! The secret is then a text of 32 characters whose **bytes** are the key (apps are shown its
//! base32), and the backup codes are a JSON array of texts such as `aB3dE-fGh1J`.

use keywright::twofactor::import::ImportedUser;
use keywright::twofactor::recovery::ImportedCodes;
use keywright::twofactor::{ImportedDevice, TotpSecret};
use serde_json::Value;

use super::{Entry, Fault, FileFault, entry, id, rows, text, texts};

/// Reads rows. Users get their `userId` as account id, after the prefix.
///
/// # Errors
/// Returns [`FileFault`] if the file is not JSON.
pub fn read(file: &str, prefix: &str) -> Result<Vec<Entry>, FileFault> {
    let rows = rows(file)?;
    let read = |row: &Value| {
        let user = row.get("userId").and_then(id).ok_or(FileFault { line: 0 })?;
        Ok(entry(&user, prefix, read_user(row)))
    };
    rows.iter().map(read).collect()
}

fn read_user(row: &Value) -> Result<ImportedUser, Fault> {
    let secret = TotpSecret::from_slice(text(row, "secret")?.as_bytes())?;
    let user = ImportedUser::new().device(ImportedDevice::new("authenticator", secret));
    let codes = match row.get("backupCodes") {
        // As it is decrypted: the text of an array.
        Some(Value::String(inner)) => serde_json::from_str(inner).map_err(|_| Fault::Field("backupCodes"))?,
        Some(Value::Array(_)) => texts(row, "backupCodes")?,
        _ => Vec::new(),
    };
    Ok(if codes.is_empty() { user } else { user.recovery(ImportedCodes::in_clear(codes)) })
}
