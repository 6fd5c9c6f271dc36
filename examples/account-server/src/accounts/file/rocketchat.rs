//! `[account.rocketchat]`: what an account has on that wire.

use keywright::rocketchat::Permission;
use keywright::twofactor::TotpSecret;
use keywright::twofactor::recovery::{CodeSet, Preset};
use keywright::{SecretString, SystemEntropy, UnixSeconds};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{AccountsFileError, MAX_NAME_BYTES, Reader, is_email};
use crate::accounts::rocketchat::permission_name;

const PLACE: &str = "`[account.rocketchat]`";
const KEYS: [&str; 7] =
    ["user_id", "auth_tokens", "permissions", "verified_emails", "email_2fa", "totp_secret", "recovery_codes"];
const PERMISSIONS: [Permission; 3] =
    [Permission::EditOtherUserE2ee, Permission::EditOtherUserTotp, Permission::BypassRateLimit];

/// The table as it stands in the file.
#[derive(Debug)]
pub(crate) struct NewChat {
    pub(crate) user_id: String,
    pub(crate) auth_tokens: Vec<SecretString>,
    pub(crate) permissions: Vec<String>,
    pub(crate) verified_emails: Vec<String>,
    pub(crate) email_2fa: bool,
    pub(crate) totp_secret: Option<TotpSecret>,
    /// Checked: they make one set.
    pub(crate) recovery_codes: Vec<SecretString>,
}

impl Reader<'_> {
    pub(super) fn rocketchat(&self, fields: &DeTable<'_>) -> Result<Option<NewChat>, AccountsFileError> {
        let Some(value) = fields.get("rocketchat") else { return Ok(None) };
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.wrong("rocketchat", value, "a table: `[account.rocketchat]`"))?;
        self.known_keys(table, &KEYS, PLACE)?;
        let user_id = self
            .string(table, "user_id", "an id of 1 to 190 visible ASCII characters", is_user_id)?
            .ok_or_else(|| AccountsFileError::NoUserId { line: self.line(value.span().start) })?;
        Ok(Some(NewChat {
            user_id,
            auth_tokens: secrets(self.list(table, "auth_tokens", "a list of texts of visible ASCII", is_header)?),
            permissions: self.list(
                table,
                "permissions",
                "a list of permissions that this server knows",
                is_permission,
            )?,
            verified_emails: self.list(table, "verified_emails", "a list of e-mail addresses", is_email)?,
            email_2fa: self.switch(table, "email_2fa")?,
            totp_secret: self.totp_secret(table)?,
            recovery_codes: self.recovery_codes(table)?,
        }))
    }

    fn switch(&self, table: &DeTable<'_>, key: &'static str) -> Result<bool, AccountsFileError> {
        let Some(value) = table.get(key) else { return Ok(false) };
        value.get_ref().as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    fn totp_secret(&self, table: &DeTable<'_>) -> Result<Option<TotpSecret>, AccountsFileError> {
        let Some(value) = table.get("totp_secret") else { return Ok(None) };
        let secret = value.get_ref().as_str().and_then(|text| TotpSecret::from_base32(text).ok());
        secret.map(Some).ok_or_else(|| self.wrong("totp_secret", value, "base32 of 80 bits or more"))
    }

    fn recovery_codes(&self, table: &DeTable<'_>) -> Result<Vec<SecretString>, AccountsFileError> {
        const EXPECTED: &str = "a list of different codes of 8 ASCII letters and digits, 32 at most";
        let codes = self.list(table, "recovery_codes", EXPECTED, |code| is_set(&[code]))?;
        let texts: Vec<&str> = codes.iter().map(String::as_str).collect();
        match table.get("recovery_codes") {
            Some(value) if !codes.is_empty() && !is_set(&texts) => Err(self.wrong("recovery_codes", value, EXPECTED)),
            Some(_) | None => Ok(secrets(codes)),
        }
    }

    /// A list of texts; without the key an empty one.
    pub(super) fn list(
        &self,
        fields: &DeTable<'_>,
        key: &'static str,
        expected: &'static str,
        good: fn(&str) -> bool,
    ) -> Result<Vec<String>, AccountsFileError> {
        let Some(value) = fields.get(key) else { return Ok(Vec::new()) };
        let list = value.get_ref().as_array().ok_or_else(|| self.wrong(key, value, expected))?;
        let text = |entry: &Spanned<DeValue<'_>>| {
            let text = entry.get_ref().as_str().filter(|text| good(text));
            text.map(str::to_owned).ok_or_else(|| self.wrong(key, entry, expected))
        };
        list.iter().map(text).collect()
    }
}

pub(super) fn secrets(texts: Vec<String>) -> Vec<SecretString> {
    texts.into_iter().map(SecretString::new).collect()
}

/// Ids and tokens come in headers.
fn is_header(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_user_id(text: &str) -> bool {
    is_header(text) && text.len() <= MAX_NAME_BYTES
}

fn is_permission(text: &str) -> bool {
    PERMISSIONS.into_iter().any(|permission| permission_name(permission) == Some(text))
}

/// Whether the codes will be taken when the account is made. The set made here is thrown away.
fn is_set(codes: &[&str]) -> bool {
    CodeSet::import(&SystemEntropy, Preset::RocketChat, UnixSeconds::EPOCH, codes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    const HEAD: &str = "[[account]]\nname = \"a\"\n[account.rocketchat]\nuser_id = \"aliceId\"\n";

    #[test]
    fn only_the_id_is_required() {
        let accounts = parse(HEAD).unwrap();
        let chat = accounts.first().unwrap().rocketchat.as_ref().unwrap();
        assert_eq!((chat.user_id.as_str(), chat.email_2fa), ("aliceId", false));
        assert!(chat.auth_tokens.is_empty() && chat.permissions.is_empty() && chat.verified_emails.is_empty());
        assert!(chat.totp_secret.is_none() && chat.recovery_codes.is_empty());

        let accounts = parse(&format!(
            "{HEAD}auth_tokens = [\"t1\"]\npermissions = [\"edit-other-user-e2ee\", \"edit-other-user-totp\", \
             \"api-bypass-rate-limit\"]\nverified_emails = [\"a@example.org\"]\nemail_2fa = true\n\
             totp_secret = \"jbsw y3dp ehpk 3pxp\"\nrecovery_codes = [\"AbCdEf23\", \"AbCdEf24\"]\n"
        ));
        let accounts = accounts.unwrap();
        let chat = accounts.first().unwrap().rocketchat.as_ref().unwrap();
        assert!(chat.email_2fa && chat.permissions.len() == 3 && chat.recovery_codes.len() == 2);
        assert_eq!(chat.totp_secret.as_ref().map(TotpSecret::bits), Some(80));
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
