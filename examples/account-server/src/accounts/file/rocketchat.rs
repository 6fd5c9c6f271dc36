//! `[account.rocketchat]`: what an account has in the Rocket.Chat protocol.

use keywright::twofactor::TotpSecret;
use keywright::twofactor::recovery::{CodeSet, Preset};
use keywright::{SecretString, SystemEntropy, UnixSeconds};
use toml::de::DeTable;

use crate::accounts::file::error::AccountsFileError;
use crate::accounts::file::reader::{Reader, secrets};
use crate::accounts::file::values::{is_email, is_header, is_user_id};
use crate::accounts::new_account::NewRocketChatUser;
use crate::accounts::permissions::is_permission;

const PLACE: &str = "`[account.rocketchat]`";
const KEYS: [&str; 7] =
    ["user_id", "auth_tokens", "permissions", "verified_emails", "email_2fa", "totp_secret", "recovery_codes"];

/// Reads the table. Returns `None` if there is none.
///
/// # Errors
/// An [`AccountsFileError`] if the file or one of its values is invalid.
pub(super) fn read(reader: &Reader<'_>, fields: &DeTable<'_>) -> Result<Option<NewRocketChatUser>, AccountsFileError> {
    let Some(value) = fields.get("rocketchat") else { return Ok(None) };
    let table = value.get_ref().as_table();
    let table = table.ok_or_else(|| reader.wrong("rocketchat", value, "a table: `[account.rocketchat]`"))?;
    reader.known_keys(table, &KEYS, PLACE)?;
    let user_id = reader
        .string(table, "user_id", "an id of 1 to 190 visible ASCII characters", is_user_id)?
        .ok_or_else(|| AccountsFileError::NoUserId { line: reader.line(value.span().start) })?;
    Ok(Some(NewRocketChatUser {
        user_id,
        auth_tokens: secrets(reader.list(table, "auth_tokens", "a list of texts of visible ASCII", is_header)?),
        permissions: reader.list(
            table,
            "permissions",
            "a list of permissions that this server knows",
            is_permission,
        )?,
        verified_emails: reader.list(table, "verified_emails", "a list of e-mail addresses", is_email)?,
        email_2fa: reader.switch(table, "email_2fa")?,
        totp_secret: totp_secret(reader, table)?,
        recovery_codes: recovery_codes(reader, table)?,
    }))
}

fn totp_secret(reader: &Reader<'_>, table: &DeTable<'_>) -> Result<Option<TotpSecret>, AccountsFileError> {
    let Some(value) = table.get("totp_secret") else { return Ok(None) };
    let secret = value.get_ref().as_str().and_then(|text| TotpSecret::from_base32(text).ok());
    secret.map(Some).ok_or_else(|| reader.wrong("totp_secret", value, "base32 of 80 bits or more"))
}

fn recovery_codes(reader: &Reader<'_>, table: &DeTable<'_>) -> Result<Vec<SecretString>, AccountsFileError> {
    const EXPECTED: &str = "a list of different codes of 8 ASCII letters and digits, 32 at most";
    let codes = reader.list(table, "recovery_codes", EXPECTED, |code| is_set(&[code]))?;
    let texts: Vec<&str> = codes.iter().map(String::as_str).collect();
    match table.get("recovery_codes") {
        Some(value) if !codes.is_empty() && !is_set(&texts) => Err(reader.wrong("recovery_codes", value, EXPECTED)),
        Some(_) | None => Ok(secrets(codes)),
    }
}

/// Whether the codes will be accepted when the account is created. The set made here is dropped.
fn is_set(codes: &[&str]) -> bool {
    CodeSet::import(&SystemEntropy, Preset::RocketChat, UnixSeconds::EPOCH, codes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::file::parse;

    const HEAD: &str = "[[account]]\nname = \"a\"\n[account.rocketchat]\nuser_id = \"aliceId\"\n";

    #[test]
    fn only_the_id_is_required() {
        let accounts = parse(HEAD).unwrap();
        let user = accounts.first().unwrap().rocketchat.as_ref().unwrap();
        assert_eq!((user.user_id.as_str(), user.email_2fa), ("aliceId", false));
        assert!(user.auth_tokens.is_empty() && user.permissions.is_empty() && user.verified_emails.is_empty());
        assert!(user.totp_secret.is_none() && user.recovery_codes.is_empty());

        let accounts = parse(&format!(
            "{HEAD}auth_tokens = [\"t1\"]\npermissions = [\"edit-other-user-e2ee\", \"edit-other-user-totp\", \
             \"api-bypass-rate-limit\"]\nverified_emails = [\"a@example.org\"]\nemail_2fa = true\n\
             totp_secret = \"jbsw y3dp ehpk 3pxp\"\nrecovery_codes = [\"AbCdEf23\", \"AbCdEf24\"]\n"
        ));
        let accounts = accounts.unwrap();
        let user = accounts.first().unwrap().rocketchat.as_ref().unwrap();
        assert!(user.email_2fa && user.permissions.len() == 3 && user.recovery_codes.len() == 2);
        assert_eq!(user.totp_secret.as_ref().map(TotpSecret::bits), Some(80));
    }

    #[test]
    fn errors_name_keys_and_lines_and_quote_no_value() {
        let two = |one: &str, other: &str| format!("{HEAD}{one}\n{}{other}", HEAD.replace("\"a\"", "\"b\""));
        for (text, expected) in [
            (format!("{HEAD}totp_seed = \"sesame\""), "unknown in `[account.rocketchat]`: `totp_seed` (line 5)"),
            ("[[account]]\nname = \"a\"\nrocketchat = 1".into(), "`rocketchat` in line 3 is not a table"),
            ("[[account]]\nname = \"a\"\n[account.rocketchat]\n".into(), "the table `[account.rocketchat]` in line 3"),
            (HEAD.replace("aliceId", "se same"), "`user_id` in line 4 is not"),
            (format!("{HEAD}auth_tokens = [\"\"]"), "`auth_tokens` in line 5 is not"),
            (format!("{HEAD}permissions = [\"sesame\"]"), "`permissions` in line 5 is not"),
            (format!("{HEAD}verified_emails = [\"sesame\"]"), "`verified_emails` in line 5 is not"),
            (format!("{HEAD}email_2fa = \"sesame\""), "`email_2fa` in line 5 is not true or false"),
            (format!("{HEAD}totp_secret = \"sesame\""), "`totp_secret` in line 5 is not base32 of 80 bits"),
            (format!("{HEAD}totp_secret = \"sesame1!\""), "`totp_secret` in line 5 is not base32"),
            (format!("{HEAD}recovery_codes = [\n\"sesame\"]"), "`recovery_codes` in line 6 is not"),
            (format!("{HEAD}recovery_codes = [\"sesame23\", \"sesame23\"]"), "`recovery_codes` in line 5 is not"),
            (two("", ""), "the Rocket.Chat user id of `b` is there twice"),
            (
                two("auth_tokens = [\"sesame\"]", "auth_tokens = [\"sesame\"]").replacen("aliceId", "other", 1),
                "an auth token of `b` is there twice",
            ),
            (
                two("verified_emails = [\"a@b\"]", "verified_emails = [\"A@b\"]").replacen("aliceId", "other", 1),
                "a verified address of `b` is there twice",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(error.to_string().starts_with(expected), "{text}: {shown}");
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }
}
