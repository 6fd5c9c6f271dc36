//! The guess ledger (placeholder while the house goes up).
use serde::{Deserialize, Serialize};
/// The secret that guesses are charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Door {
    /// The PWDv1r1 secret.
    Challenge,
    /// The host's login password.
    LoginPassword,
    /// The LibrePass shared key.
    SharedKey,
    /// All TOTP devices of the account together.
    Totp,
    /// Recovery codes.
    Recovery,
    /// Mailed codes.
    Mailed,
}
/// placeholder
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GuessLedger;
/// placeholder
#[derive(Debug, Clone, Default)]
pub struct LedgerPolicy;
