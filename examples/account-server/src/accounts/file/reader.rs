//! Reads values from tables. Errors name keys and lines only and never quote a value.

use keywright::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::accounts::file::error::AccountsFileError;

/// The text of an accounts file, and readers for the values of its tables.
pub(super) struct Reader<'t> {
    pub(super) text: &'t str,
}

impl Reader<'_> {
    /// Returns the line, counted from 1, of a position in the text.
    pub(super) fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or(self.text).matches('\n').count().saturating_add(1)
    }

    /// Returns the error for a value of an unexpected kind.
    pub(super) fn wrong(
        &self,
        key: &'static str,
        at: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> AccountsFileError {
        AccountsFileError::Wrong { key, line: self.line(at.span().start), expected }
    }

    /// # Errors
    /// [`AccountsFileError::UnknownKeys`] if the table has any other keys.
    pub(super) fn known_keys(&self, table: &DeTable<'_>, known: &[&str], place: &str) -> Result<(), AccountsFileError> {
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

    /// Reads a string. Returns `None` without the key.
    pub(super) fn string(
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

    /// Reads a boolean. Returns false without the key.
    pub(super) fn switch(&self, table: &DeTable<'_>, key: &'static str) -> Result<bool, AccountsFileError> {
        let Some(value) = table.get(key) else { return Ok(false) };
        value.get_ref().as_bool().ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    /// Reads a list of strings. Returns an empty list without the key.
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
