//! The accounts file. It holds passwords in the clear, so errors name keys and lines only and never
//! quote it.

pub(crate) mod error;
mod reader;
mod rocketchat;
pub(crate) mod values;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use keywright::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::accounts::file::error::AccountsFileError;
use crate::accounts::file::reader::{Reader, secrets};
use crate::accounts::file::values::is_name;
use crate::accounts::file::values::{is_email, is_password};
use crate::accounts::new_account::NewAccount;

const ACCOUNT_KEYS: [&str; 5] = ["name", "email", "login_password", "app_passwords", "rocketchat"];

/// Reads the file.
///
/// # Errors
/// An [`AccountsFileError`] if the file or one of its values is invalid.
pub(crate) fn read(path: &Path) -> Result<Vec<NewAccount>, AccountsFileError> {
    let mut file = File::open(path)?;
    check_mode(&file)?;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    parse(SecretString::new(text).expose())
}

/// The file holds passwords, so nobody but its owner may write it, and nobody but its owner and
/// its group may read it.
#[cfg(unix)]
fn check_mode(file: &File) -> Result<(), AccountsFileError> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    if metadata.is_file() && metadata.mode() & 0o027 != 0 {
        return Err(AccountsFileError::Mode { mode: metadata.mode() & 0o777 });
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &File) -> Result<(), AccountsFileError> {
    Ok(())
}

fn parse(text: &str) -> Result<Vec<NewAccount>, AccountsFileError> {
    let reader = Reader { text };
    // The parser's own message quotes the line.
    let document = DeTable::parse(text)
        .map_err(|error| AccountsFileError::Syntax { line: error.span().map_or(1, |span| reader.line(span.start)) })?;
    reader.known_keys(document.get_ref(), &["account"], "the file")?;
    let Some(list) = document.get_ref().get("account") else { return Ok(Vec::new()) };
    let tables = list.get_ref().as_array().ok_or_else(|| reader.wrong("account", list, "a list: `[[account]]`"))?;
    let accounts = tables.iter().map(|table| account(&reader, table)).collect::<Result<Vec<_>, _>>()?;
    unambiguous(&accounts)?;
    Ok(accounts)
}

/// Refuses anything that would make a login ambiguous, such as a name or an app password that
/// occurs twice.
fn unambiguous(accounts: &[NewAccount]) -> Result<(), AccountsFileError> {
    let (mut names, mut app_passwords) = (HashSet::new(), HashSet::new());
    let (mut ids, mut tokens, mut addresses) = (HashSet::new(), HashSet::new(), HashSet::new());
    for account in accounts {
        if !names.insert(account.name.to_lowercase()) {
            return Err(AccountsFileError::Twice { what: "the name", name: account.name.clone() });
        }
        if !account.app_passwords.iter().all(|password| app_passwords.insert(password.expose())) {
            return Err(AccountsFileError::Twice { what: "an app password", name: account.name.clone() });
        }
        let Some(user) = &account.rocketchat else { continue };
        let twice = if !ids.insert(user.user_id.as_str()) {
            "the Rocket.Chat user id"
        } else if !user.auth_tokens.iter().all(|token| tokens.insert(token.expose())) {
            "an auth token"
        } else if !user.verified_emails.iter().all(|address| addresses.insert(address.to_lowercase())) {
            "a verified address"
        } else {
            continue;
        };
        return Err(AccountsFileError::Twice { what: twice, name: account.name.clone() });
    }
    Ok(())
}

fn account(reader: &Reader<'_>, table: &Spanned<DeValue<'_>>) -> Result<NewAccount, AccountsFileError> {
    let fields = table.get_ref().as_table().ok_or_else(|| reader.wrong("account", table, "a table: `[[account]]`"))?;
    reader.known_keys(fields, &ACCOUNT_KEYS, "`[[account]]`")?;
    let name = reader
        .string(fields, "name", "a name of 1 to 190 bytes without colon or control character", is_name)?
        .ok_or_else(|| AccountsFileError::NoName { line: reader.line(table.span().start) })?;
    let email = reader.string(fields, "email", "an e-mail address", is_email)?;
    let login_password = reader.string(fields, "login_password", "a text that is not empty", is_password)?;
    Ok(NewAccount {
        name,
        email,
        login_password: login_password.map(SecretString::new),
        app_passwords: secrets(reader.list(
            fields,
            "app_passwords",
            "a list of texts that are not empty",
            is_password,
        )?),
        rocketchat: rocketchat::read(reader, fields)?,
    })
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
