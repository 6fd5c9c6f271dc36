//! The settings that users of Nextcloud Passwords have set. They are in the account's own
//! partition, so a reset and an erasure remove them in their commits.

use keywright::nextcloud::Settings;
use keywright::store::{Draft, Partition, StepError};
use keywright::{AccountId, TransactError};
use serde_json::Value;

use crate::accounts::directory::Accounts;
use crate::accounts::slots::{SETTINGS, UserSettings};

/// The most bytes of names and values of one account. The settings of stock applications need less
/// than a tenth of it.
const MAX_BYTES: usize = 16 * 1024;
/// The longest name or value, in bytes.
const MAX_FIELD: usize = 1024;

impl UserSettings {
    fn read(draft: &mut Draft<'_>) -> Result<Self, StepError> {
        Ok(draft.read(SETTINGS)?.unwrap_or_default())
    }

    fn bytes(&self) -> usize {
        self.0.iter().fold(0, |bytes, (name, value)| bytes.saturating_add(name.len()).saturating_add(value.len()))
    }

    /// Keeps a value if there is room for it; null forgets it.
    fn set(&mut self, name: &str, value: &Value) {
        let old = self.0.remove(name);
        if value.is_null() {
            return;
        }
        let text = value.to_string();
        let bytes = self.bytes().saturating_add(name.len()).saturating_add(text.len());
        if name.len() <= MAX_FIELD && text.len() <= MAX_FIELD && bytes <= MAX_BYTES {
            self.0.insert(name.to_owned(), text);
        } else if let Some(old) = old {
            // What is answered is what is stored, so the client sees that its value was not kept.
            self.0.insert(name.to_owned(), old);
        }
    }

    fn shown(self) -> Settings {
        // A value that is not JSON cannot have been stored.
        self.0.into_iter().map(|(name, text)| (name, serde_json::from_str(&text).unwrap_or(Value::Null))).collect()
    }
}

impl Accounts {
    /// Returns what the account has set.
    pub(crate) async fn settings(&self, account: &AccountId) -> Result<Settings, TransactError> {
        let look = |draft: &mut Draft<'_>| UserSettings::read(draft);
        let partition = Partition::account(account);
        Ok(self.driver.observe(&partition, &[SETTINGS.name()], look).await?.shown())
    }

    /// Changes what the account has set, and returns what is stored then.
    pub(crate) async fn change_settings(
        &self,
        account: &AccountId,
        new: &[(&str, &Value)],
    ) -> Result<Settings, TransactError> {
        let step = |draft: &mut Draft<'_>| {
            // An account that was erased since the request was checked stays so.
            if draft.root()?.erased {
                return Err(StepError::NoAccount);
            }
            let mut settings = UserSettings::read(draft)?;
            for (name, value) in new {
                settings.set(name, value);
            }
            draft.put(SETTINGS, &settings)?;
            Ok(settings.0)
        };
        let partition = Partition::account(account);
        let stored = self.driver.transact(&partition, &[SETTINGS.name()], step).await?;
        Ok(UserSettings(stored).shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_does_not_fit_is_not_kept() {
        let mut settings = UserSettings::default();
        settings.set("client.a", &json!("old"));
        settings.set("client.a", &json!("x".repeat(MAX_FIELD)));
        assert_eq!(settings.0.get("client.a").map(String::as_str), Some("\"old\""));
        for nth in 0..100 {
            settings.set(&format!("client.{nth}"), &json!("x".repeat(1_000)));
        }
        assert!(settings.bytes() <= MAX_BYTES && settings.0.len() > 10);
        settings.set("client.0", &Value::Null);
        assert!(!settings.0.contains_key("client.0"));
    }
}
