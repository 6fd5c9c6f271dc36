//! django-allauth: `manage.py dumpdata mfa`, with the default adapter, which encrypts nothing. If
//! yours does, decrypt `secret`, `seed` and `migrated_codes` first.
//!
//! The recovery codes follow from a seed: an HMAC-SHA-1 under it is fed one counter after the other,
//! and each code is the beginning of what it is then, as a number. A mask tells which ones are used.
//! Users who came from django-allauth-2fa have a list instead. The time steps that were used are in
//! Django's cache, not in the database: import at least two minutes after the last log-in there.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use keywright::twofactor::import::ImportedUser;
use keywright::twofactor::recovery::ImportedCodes;
use keywright::twofactor::{ImportedDevice, TotpSecret};
use serde_json::Value;
use sha1::Sha1;

use super::{Entry, Fault, FileFault, entry, id, number, rows, text, texts};

/// The defaults of `MFA_RECOVERY_CODE_COUNT` and `MFA_RECOVERY_CODE_DIGITS`.
const CODES: u32 = 10;
const DIGITS: usize = 8;

/// Reads a dump. Users get their primary key as account id, after the prefix. Security keys are left
/// out.
///
/// # Errors
/// Returns [`FileFault`] if the file is not such a dump.
pub fn read(file: &str, prefix: &str) -> Result<Vec<Entry>, FileFault> {
    let rows = rows(file)?;
    let mut users: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.get("model").and_then(Value::as_str) == Some("mfa.authenticator")) {
        let fields = row.get("fields").ok_or(FileFault { line: 0 })?;
        let user = fields.get("user").and_then(id).ok_or(FileFault { line: 0 })?;
        users.entry(user).or_default().push(fields);
    }
    Ok(users.into_iter().map(|(user, parts)| entry(&user, prefix, read_user(&parts))).collect())
}

fn read_user(parts: &[&Value]) -> Result<ImportedUser, Fault> {
    let mut user = ImportedUser::new();
    for fields in parts {
        let data = fields.get("data").ok_or(Fault::Field("data"))?;
        match text(fields, "type")? {
            "totp" => {
                let secret = TotpSecret::from_base32(text(data, "secret")?)?;
                user = user.device(ImportedDevice::new("authenticator", secret));
            }
            "recovery_codes" => {
                let codes = unused(data)?;
                if !codes.is_empty() {
                    user = user.recovery(ImportedCodes::in_clear(codes));
                }
            }
            _ => {}
        }
    }
    Ok(user)
}

fn unused(data: &Value) -> Result<Vec<String>, Fault> {
    if data.get("migrated_codes").is_some() {
        return texts(data, "migrated_codes");
    }
    let (seed, used) = (text(data, "seed")?, number(data, "used_mask")?);
    let mut mac = Hmac::<Sha1>::new_from_slice(seed.as_bytes()).map_err(|_| Fault::Field("seed"))?;
    let mut codes = Vec::new();
    for nth in 0..CODES {
        mac.update(format!("{nth:3},").as_bytes());
        let hash = mac.clone().finalize().into_bytes();
        let value = hash.iter().take(DIGITS / 2).fold(0_u64, |value, byte| (value << 8) | u64::from(*byte));
        if used.checked_shr(nth).unwrap_or(0) & 1 == 0 {
            codes.push(format!("{:0DIGITS$}", value % 100_000_000));
        }
    }
    Ok(codes)
}
