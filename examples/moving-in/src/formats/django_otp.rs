//! django-otp: `manage.py dumpdata otp_totp otp_static`.
//!
//! A `TOTPDevice` has its key in hex, and in `last_t` the last step that was used, counted as here.
//! A `StaticToken` is a recovery code in clear and is deleted when it is used.

use std::collections::BTreeMap;

use keywright::twofactor::import::ImportedUser;
use keywright::twofactor::recovery::ImportedCodes;
use keywright::twofactor::{Algorithm, ImportedDevice, Parameters, TotpSecret};
use serde_json::Value;

use super::{Entry, Fault, FileFault, entry, id, number, rows, text};

#[derive(Default)]
struct User<'a> {
    devices: Vec<&'a Value>,
    tokens: Vec<String>,
}

/// Reads a dump. Users get their primary key as account id, after the prefix. Devices that were not
/// confirmed are left out.
///
/// # Errors
/// Returns [`FileFault`] if the file is not such a dump.
pub fn read(file: &str, prefix: &str) -> Result<Vec<Entry>, FileFault> {
    let rows = rows(file)?;
    let mut users: BTreeMap<String, User<'_>> = BTreeMap::new();
    // The ids of the sets of tokens, and whose they are.
    let mut sets = BTreeMap::new();
    let fields = |model: &'static str| {
        let of_model = move |row: &&Value| row.get("model").and_then(Value::as_str) == Some(model);
        rows.iter().filter(of_model).filter_map(|row| Some((row, row.get("fields")?)))
    };
    let confirmed = |fields: &Value| fields.get("confirmed").and_then(Value::as_bool) != Some(false);
    for (_, fields) in fields("otp_totp.totpdevice").filter(|(_, fields)| confirmed(fields)) {
        let user = fields.get("user").and_then(id).ok_or(FileFault { line: 0 })?;
        users.entry(user).or_default().devices.push(fields);
    }
    for (row, fields) in fields("otp_static.staticdevice").filter(|(_, fields)| confirmed(fields)) {
        if let (Some(set), Some(user)) = (row.get("pk").and_then(id), fields.get("user").and_then(id)) {
            sets.insert(set, user);
        }
    }
    for (_, fields) in fields("otp_static.statictoken") {
        let user = fields.get("device").and_then(id).and_then(|set| sets.get(&set));
        if let (Some(user), Some(token)) = (user, fields.get("token").and_then(Value::as_str)) {
            users.entry(user.clone()).or_default().tokens.push(token.to_owned());
        }
    }
    Ok(users.into_iter().map(|(user, parts)| entry(&user, prefix, read_user(parts))).collect())
}

fn read_user(parts: User<'_>) -> Result<ImportedUser, Fault> {
    let mut user = ImportedUser::new();
    for fields in parts.devices {
        user = user.device(read_device(fields)?);
    }
    Ok(if parts.tokens.is_empty() { user } else { user.recovery(ImportedCodes::in_clear(parts.tokens)) })
}

fn read_device(fields: &Value) -> Result<ImportedDevice, Fault> {
    if fields.get("t0").and_then(Value::as_i64).unwrap_or(0) != 0 {
        return Err(Fault::Unsupported("a start of time other than 1970 (`t0`)"));
    }
    let key = hex::decode(text(fields, "key")?).map_err(|_| Fault::Field("key"))?;
    let digits = u8::try_from(number(fields, "digits")?).map_err(|_| Fault::Field("digits"))?;
    let parameters = Parameters::new(Algorithm::Sha1, digits, number(fields, "step")?)?;
    let name = text(fields, "name").ok().filter(|name| !name.is_empty()).unwrap_or("authenticator");
    let device = ImportedDevice::new(name, TotpSecret::from_slice(&key)?).with_parameters(parameters);
    // -1 if no code was used yet.
    Ok(match fields.get("last_t").and_then(Value::as_u64) {
        Some(step) => device.with_last_step(step),
        None => device,
    })
}
