//! The stored form of the ledger, which is treated as hostile input.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};

use super::entry::Entry;
use super::guess_ledger::GuessLedger;
use super::place::Place;
use super::policy::{
    MAIL_ADMISSIONS, MAX_ADMISSIONS, MAX_ADMITTED_TRIES, MAX_IN_FLIGHT, MAX_KNOWN_CLIENTS, MAX_MAIL_PAUSE, MAX_PENDING,
};
use crate::ledger::secret::SecretName;
use crate::time::UnixSeconds;

/// The most secrets of an account. Kinds are constants of the crates that own them; there are six
/// at present.
pub const MAX_SECRETS: usize = 16;

/// The stored form before its bounds are checked.
#[derive(Deserialize)]
#[serde(rename = "GuessLedger")]
struct StoredLedger {
    secrets: Vec<(SecretName, Entry)>,
    admissions: Vec<UnixSeconds>,
}

#[derive(Serialize)]
#[serde(rename = "GuessLedger")]
struct Borrowed<'a> {
    secrets: Vec<(&'a SecretName, &'a Entry)>,
    admissions: &'a [UnixSeconds],
}

impl Serialize for GuessLedger {
    /// Writes the entries as a sequence, because a decoder of maps keeps the last of two equal
    /// keys. A ledger that the decoder would refuse is not written: the commit fails instead of the
    /// account.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.entries.len() > MAX_SECRETS {
            return Err(S::Error::custom(StoredLedgerError::Secrets));
        }
        let secrets = self.entries.iter().collect();
        Borrowed { secrets, admissions: &self.admissions }.serialize(serializer)
    }
}

/// Why stored bytes are not a valid ledger. It contains nothing of what was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum StoredLedgerError {
    #[error("a guess ledger has more than {MAX_SECRETS} secrets, a repeated secret, or secrets out of order")]
    Secrets,
    #[error("a guess ledger has more than {MAX_ADMISSIONS} admissions in a day")]
    Admissions,
    #[error("an entry of a guess ledger has more than {MAX_KNOWN_CLIENTS} known clients, or a repeated one")]
    Known,
    #[error(
        "an entry of a guess ledger has more than {MAX_ADMISSIONS} admitted clients, a repeated one, or too many tries"
    )]
    Admitted,
    #[error("an entry of a guess ledger has too many unjudged guesses, or a repeated one")]
    Pending,
    #[error("an entry of a guess ledger has a mail with a pause or admissions beyond the limits")]
    Mail,
}

impl<'de> Deserialize<'de> for GuessLedger {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StoredLedger::deserialize(deserializer)?.try_into().map_err(D::Error::custom)
    }
}

impl TryFrom<StoredLedger> for GuessLedger {
    type Error = StoredLedgerError;
    fn try_from(stored: StoredLedger) -> Result<Self, Self::Error> {
        let StoredLedger { secrets, admissions } = stored;
        if secrets.len() > MAX_SECRETS || !secrets.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(StoredLedgerError::Secrets);
        }
        if admissions.len() > MAX_ADMISSIONS {
            return Err(StoredLedgerError::Admissions);
        }
        for (_, entry) in &secrets {
            check(entry)?;
        }
        Ok(Self { entries: secrets.into_iter().collect::<BTreeMap<_, _>>(), admissions })
    }
}

fn check(entry: &Entry) -> Result<(), StoredLedgerError> {
    let Entry { known, admitted, pending, mail, .. } = entry;
    if known.len() > MAX_KNOWN_CLIENTS || has_twins(known.iter().map(|known| known.tag)) {
        return Err(StoredLedgerError::Known);
    }
    if admitted.len() > MAX_ADMISSIONS
        || has_twins(admitted.iter().map(|admitted| admitted.tag))
        || admitted.iter().any(|admitted| admitted.tries > MAX_ADMITTED_TRIES)
    {
        return Err(StoredLedgerError::Admitted);
    }
    let crowded = |place: Place| {
        place != Place::Counted && pending.iter().filter(|other| other.place == place).count() > MAX_IN_FLIGHT
    };
    if pending.len() > MAX_PENDING
        || has_twins(pending.iter().map(|pending| pending.id))
        || pending.iter().any(|pending| crowded(pending.place))
    {
        return Err(StoredLedgerError::Pending);
    }
    match mail {
        Some(mail) if mail.pause > MAX_MAIL_PAUSE || mail.admissions > MAIL_ADMISSIONS => Err(StoredLedgerError::Mail),
        _ => Ok(()),
    }
}

fn has_twins<T: Ord>(items: impl Iterator<Item = T>) -> bool {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    !items.is_sorted_by(|a, b| a < b)
}
