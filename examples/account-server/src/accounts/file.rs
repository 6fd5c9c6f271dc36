//! The accounts file. It holds passwords in clear, so no error quotes it: keys and lines only.

pub(crate) mod rocketchat;

use std::collections::HashSet;
use std::io;
use std::path::Path;

use keywright::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub(crate) use rocketchat::NewChat;
use rocketchat::secrets;

use crate::mail;

/// As long as an account's id may be.
const MAX_NAME_BYTES: usize = 190;
/// RFC 5321 § 4.5.3.1.3, without the angle brackets.
const MAX_EMAIL_BYTES: usize = 254;
const ACCOUNT_KEYS: [&str; 5] = ["name", "email", "login_password", "app_passwords", "rocketchat"];

/// An account as it stands in the file.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) login_password: Option<SecretString>,
    pub(crate) app_passwords: Vec<SecretString>,
    pub(crate) rocketchat: Option<NewChat>,
}

/// Reads the file.
///
/// # Errors
/// [`AccountsFileError`].
pub(crate) fn read(path: &Path) -> Result<Vec<NewAccount>, AccountsFileError> {
    let text = SecretString::new(std::fs::read_to_string(path)?);
    parse(text.expose())
}

fn parse(text: &str) -> Result<Vec<NewAccount>, AccountsFileError> {
    let reader = Reader { text };
    // The parser's own message quotes the line.
    let document = DeTable::parse(text)
        .map_err(|error| AccountsFileError::Syntax { line: error.span().map_or(1, |span| reader.line(span.start)) })?;
    reader.known_keys(document.get_ref(), &["account"], "the file")?;
    let Some(list) = document.get_ref().get("account") else { return Ok(Vec::new()) };
    let tables = list.get_ref().as_array().ok_or_else(|| reader.wrong("account", list, "a list: `[[account]]`"))?;
    let accounts = tables.iter().map(|table| reader.account(table)).collect::<Result<Vec<_>, _>>()?;
    unambiguous(&accounts)?;
    Ok(accounts)
}

/// What would make a login ambiguous: a name twice, an app password twice, and the like.
fn unambiguous(accounts: &[NewAccount]) -> Result<(), AccountsFileError> {
    let (mut names, mut app_passwords) = (HashSet::new(), HashSet::new());
    let (mut ids, mut tokens, mut addresses) = (HashSet::new(), HashSet::new(), HashSet::new());
    for account in accounts {
        if !names.insert(account.name.to_ascii_lowercase()) {
            return Err(AccountsFileError::Twice { what: "the name", name: account.name.clone() });
        }
        if !account.app_passwords.iter().all(|password| app_passwords.insert(password.expose())) {
            return Err(AccountsFileError::Twice { what: "an app password", name: account.name.clone() });
        }
        let Some(chat) = &account.rocketchat else { continue };
        let twice = if !ids.insert(chat.user_id.as_str()) {
            "the Rocket.Chat user id"
        } else if !chat.auth_tokens.iter().all(|token| tokens.insert(token.expose())) {
            "an auth token"
        } else if !chat.verified_emails.iter().all(|address| addresses.insert(address.to_ascii_lowercase())) {
            "a verified address"
        } else {
            continue;
        };
        return Err(AccountsFileError::Twice { what: twice, name: account.name.clone() });
    }
    Ok(())
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count().saturating_add(1)
    }

    fn wrong(&self, key: &'static str, at: &Spanned<DeValue<'_>>, expected: &'static str) -> AccountsFileError {
        AccountsFileError::Wrong { key, line: self.line(at.span().start), expected }
    }

    fn known_keys(&self, table: &DeTable<'_>, known: &[&str], place: &str) -> Result<(), AccountsFileError> {
        let unknown: Vec<_> = table
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
            .map(|key| format!("`{}` (line {})", key.get_ref().escape_debug(), self.line(key.span().start)))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        Err(AccountsFileError::UnknownKeys { keys: unknown.join(", "), place: place.to_owned() })
    }

    fn account(&self, table: &Spanned<DeValue<'_>>) -> Result<NewAccount, AccountsFileError> {
        let fields =
            table.get_ref().as_table().ok_or_else(|| self.wrong("account", table, "a table: `[[account]]`"))?;
        self.known_keys(fields, &ACCOUNT_KEYS, "`[[account]]`")?;
        let name = self
            .string(fields, "name", "a name of 1 to 190 bytes without colon or control character", is_name)?
            .ok_or_else(|| AccountsFileError::NoName { line: self.line(table.span().start) })?;
        let email = self.string(fields, "email", "an e-mail address", is_email)?;
        let login_password = self.string(fields, "login_password", "a text that is not empty", is_password)?;
        Ok(NewAccount {
            name,
            email,
            login_password: login_password.map(SecretString::new),
            app_passwords: secrets(self.list(
                fields,
                "app_passwords",
                "a list of texts that are not empty",
                is_password,
            )?),
            rocketchat: self.rocketchat(fields)?,
        })
    }

    fn string(
        &self,
        fields: &DeTable<'_>,
        key: &'static str,
        expected: &'static str,
        good: fn(&str) -> bool,
    ) -> Result<Option<String>, AccountsFileError> {
        let Some(value) = fields.get(key) else { return Ok(None) };
        let text = value.get_ref().as_str().filter(|text| good(text));
        text.map(|text| Some(text.to_owned())).ok_or_else(|| self.wrong(key, value, expected))
    }
}

/// HTTP Basic ends the name at the first colon.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME_BYTES && !text.contains(|c: char| c == ':' || c.is_control())
}

/// An address that mail can be sent to, by the parser that sends. Whether it arrives is another matter.
fn is_email(text: &str) -> bool {
    let plain = text.len() <= MAX_EMAIL_BYTES && !text.contains(|c: char| c.is_control() || c.is_whitespace());
    plain && mail::recipient(text).is_some()
}

fn is_password(text: &str) -> bool {
    !text.is_empty()
}

/// Why an accounts file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AccountsFileError {
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    #[error("line {line} is not TOML")]
    Syntax { line: usize },
    #[error("unknown in {place}: {keys}")]
    UnknownKeys { keys: String, place: String },
    #[error("`{key}` in line {line} is not {expected}")]
    Wrong { key: &'static str, line: usize, expected: &'static str },
    #[error("the account in line {line} has no `name`")]
    NoName { line: usize },
    #[error("the table `[account.rocketchat]` in line {line} has no `user_id`")]
    NoUserId { line: usize },
    #[error("{what} of `{name}` is there twice")]
    Twice { what: &'static str, name: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_name_is_optional() {
        assert!(parse("").unwrap().is_empty());
        assert!(parse("# nobody\n").unwrap().is_empty());
        let accounts = parse(
            "[[account]]\nname = \"alice\"\nemail = \"a@example.org\"\nlogin_password = \"x: ü\"\n\
             app_passwords = [\"one\", \"two\"]\n[[account]]\nname = \"Bob B.\"\n",
        );
        let accounts = accounts.unwrap();
        let [alice, bob] = accounts.as_slice() else { panic!("{accounts:?}") };
        assert_eq!((alice.name.as_str(), alice.email.as_deref()), ("alice", Some("a@example.org")));
        assert_eq!(alice.login_password.as_ref().map(SecretString::expose), Some("x: ü"));
        assert_eq!(alice.app_passwords.iter().map(SecretString::expose).collect::<Vec<_>>(), ["one", "two"]);
        assert_eq!(bob.name, "Bob B.");
        assert!(bob.email.is_none() && bob.login_password.is_none() && bob.app_passwords.is_empty());
    }

    #[test]
    fn errors_name_keys_and_lines_and_quote_no_value() {
        let long = format!("[[account]]\nname = \"{}\"", "n".repeat(191));
        for (text, expected) in [
            ("accounts = 1", "unknown in the file: `accounts` (line 1)"),
            ("[account]\nname = \"a\"", "`account` in line 1 is not a list: `[[account]]`"),
            ("account = [1]", "`account` in line 1 is not a table: `[[account]]`"),
            (
                "[[account]]\nname = \"a\"\npasswort = \"sesame\"\nemial = 1",
                "unknown in `[[account]]`: `emial` (line 4), `passwort` (line 3)",
            ),
            (
                "[[account]]\nname = \"a\"\n[account.librepass]\nuser_id = 1",
                "unknown in `[[account]]`: `librepass` (line 3)",
            ),
            ("[[account]]\nemail = \"a@b\"", "the account in line 1 has no `name`"),
            ("[[account]]\nname = 7", "`name` in line 2 is not a name of 1 to 190 bytes without"),
            ("[[account]]\nname = \"a:sesame\"", "`name` in line 2 is not a name"),
            ("[[account]]\nname = \"\"", "`name` in line 2 is not a name"),
            (&long, "`name` in line 2 is not a name"),
            ("[[account]]\nname = \"a\"\nemail = \"sesame\"", "`email` in line 3 is not an e-mail address"),
            ("[[account]]\nname = \"a\"\nemail = \"sesame@\"", "`email` in line 3 is not an e-mail address"),
            ("[[account]]\nname = \"a\"\nemail = \"sesame..x@b.org\"", "`email` in line 3 is not an e-mail address"),
            ("[[account]]\nname = \"a\"\nemail = \"a@b_sesame,c\"", "`email` in line 3 is not an e-mail address"),
            ("[[account]]\nname = \"a\"\nemail = \"<a@sesame.org>\"", "`email` in line 3 is not an e-mail address"),
            ("[[account]]\nname = \"a\"\nemail = \"a@b\\nBcc: sesame\"", "`email` in line 3 is not an e-mail address"),
            ("[[account]]\nname = \"a\"\nlogin_password = [\"sesame\"]", "`login_password` in line 3 is not a text"),
            ("[[account]]\nname = \"a\"\nlogin_password = \"\"", "`login_password` in line 3 is not a text"),
            ("[[account]]\nname = \"a\"\napp_passwords = \"sesame\"", "`app_passwords` in line 3 is not a list"),
            ("[[account]]\nname = \"a\"\napp_passwords = [\n\"\"]", "`app_passwords` in line 4 is not a list"),
            ("[[account]]\nname = \"a\"\nlogin_password = \"sesame", "line 3 is not TOML"),
            ("[[account]]\nname = \"a\"\nname = \"sesame\"", "line 3 is not TOML"),
            ("[[account]]\nname = \"a\"\n[[account]]\nname = \"A\"", "the name of `A` is there twice"),
            (
                "[[account]]\nname = \"a\"\napp_passwords = [\"sesame\"]\n\
                 [[account]]\nname = \"b\"\napp_passwords = [\"sesame\"]",
                "an app password of `b` is there twice",
            ),
        ] {
            let error = parse(text).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(error.to_string().starts_with(expected), "{text}: {shown}");
            assert!(!shown.contains("sesame"), "{shown}");
        }
    }
}
