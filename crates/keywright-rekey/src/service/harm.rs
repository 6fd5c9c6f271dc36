//! The kinds of damage to the rows of a vault.

use std::fmt;

use keywright_store::CipherId;

use crate::error::VaultError;

/// A kind of damage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// The rows are not those of the vault's head.
    Rows,
    /// A cipher does not open.
    Cipher(CipherId),
    /// The rows of a held or uploaded vault are not those that were staged.
    Held,
}

impl Harm {
    pub(super) const fn part(self) -> &'static str {
        match self {
            Self::Rows => "vault",
            Self::Cipher(_) => "cipher",
            Self::Held => "held",
        }
    }
}

impl fmt::Display for Harm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows => f.write_str("its rows do not match its head"),
            Self::Cipher(id) => write!(f, "the cipher {id:?} does not open"),
            Self::Held => f.write_str("the rows of a staged vault are not those that were staged"),
        }
    }
}

impl From<Harm> for VaultError {
    fn from(harm: Harm) -> Self {
        match harm {
            Harm::Rows | Harm::Held => Self::Damaged,
            Harm::Cipher(id) => Self::Open(id),
        }
    }
}
