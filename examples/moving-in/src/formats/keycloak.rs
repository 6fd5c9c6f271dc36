//! Keycloak: the export of a realm with its users (`kc.sh export --users same_file`).
//!
//! A credential of type `otp` has its secret in `secretData` and its parameters in `credentialData`,
//! each the text of a JSON object. The secret is the text itself, unless `secretEncoding` says that it
//! is base32. Recovery codes (type `recovery-authn-codes`) are SHA-512 digests in base64 of twelve
//! upper-case letters and digits; older versions call the digest `RS512`. Used ones are removed.
//! Keycloak keeps which time steps were used in a cache: import at least two minutes after the last
//! log-in there.

use keywright::twofactor::import::ImportedUser;
use keywright::twofactor::recovery::{Digest, ImportedCodes, LetterCase, Spelling};
use keywright::twofactor::{Algorithm, ImportedDevice, Parameters, TotpSecret};
use serde_json::Value;

use super::{Entry, Fault, FileFault, entry, number, text};

/// Reads an export. Users get their `id` as account id, after the prefix.
///
/// # Errors
/// Returns [`FileFault`] if the file is not such an export.
pub fn read(file: &str, prefix: &str) -> Result<Vec<Entry>, FileFault> {
    let realm: Value = serde_json::from_str(file).map_err(|error| FileFault { line: error.line() })?;
    let users = realm.get("users").and_then(Value::as_array).ok_or(FileFault { line: 0 })?;
    let read = |user: &Value| {
        let id = user.get("id").and_then(Value::as_str).ok_or(FileFault { line: 0 })?;
        Ok(entry(id, prefix, read_user(user)))
    };
    users.iter().map(read).collect()
}

fn read_user(user: &Value) -> Result<ImportedUser, Fault> {
    let mut imported = ImportedUser::new();
    for credential in user.get("credentials").and_then(Value::as_array).into_iter().flatten() {
        match text(credential, "type")? {
            "otp" => imported = imported.device(read_device(credential)?),
            "recovery-authn-codes" => {
                let codes = read_codes(credential)?;
                if !codes.is_empty() {
                    let codes = ImportedCodes::digests(Digest::Sha512, codes);
                    imported = imported.recovery(codes.spelled(Spelling::new(LetterCase::Upper)));
                }
            }
            _ => {}
        }
    }
    Ok(imported)
}

fn read_device(credential: &Value) -> Result<ImportedDevice, Fault> {
    let (data, secret) = (inner(credential, "credentialData")?, inner(credential, "secretData")?);
    if text(&data, "subType")? != "totp" {
        return Err(Fault::Unsupported("a counter-based code"));
    }
    let algorithm = match text(&data, "algorithm")? {
        "HmacSHA1" => Algorithm::Sha1,
        "HmacSHA256" => Algorithm::Sha256,
        "HmacSHA512" => Algorithm::Sha512,
        _ => return Err(Fault::Unsupported("the algorithm")),
    };
    let digits = u8::try_from(number(&data, "digits")?).map_err(|_| Fault::Field("digits"))?;
    let parameters = Parameters::new(algorithm, digits, number(&data, "period")?)?;
    let value = text(&secret, "value")?;
    let secret = match data.get("secretEncoding").and_then(Value::as_str) {
        None => TotpSecret::from_slice(value.as_bytes())?,
        Some(encoding) if encoding.eq_ignore_ascii_case("base32") => TotpSecret::from_base32(value)?,
        Some(_) => return Err(Fault::Unsupported("the encoding of the secret")),
    };
    let name = text(credential, "userLabel").ok().filter(|name| !name.is_empty()).unwrap_or("authenticator");
    Ok(ImportedDevice::new(name, secret).with_parameters(parameters))
}

fn read_codes(credential: &Value) -> Result<Vec<String>, Fault> {
    let (data, secret) = (inner(credential, "credentialData")?, inner(credential, "secretData")?);
    if !matches!(text(&data, "algorithm")?, "SHA-512" | "RS512") || number(&data, "hashIterations").unwrap_or(1) != 1 {
        return Err(Fault::Unsupported("the hash of the recovery codes"));
    }
    let codes = secret.get("codes").and_then(Value::as_array).ok_or(Fault::Field("codes"))?;
    codes.iter().map(|code| text(code, "encodedHashedValue").map(str::to_owned)).collect()
}

/// Reads the JSON that is the text of a field.
fn inner(of: &Value, field: &'static str) -> Result<Value, Fault> {
    serde_json::from_str(text(of, field)?).map_err(|_| Fault::Field(field))
}
