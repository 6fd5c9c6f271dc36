//! Names that a server chooses for actions and purposes, checked when they are created.

use core::fmt;
use std::borrow::Cow;

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 64;

const fn is_name(name: &str) -> bool {
    let mut rest = name.as_bytes();
    if rest.is_empty() || rest.len() > MAX_NAME_BYTES {
        return false;
    }
    while let [first, others @ ..] = rest {
        if !first.is_ascii_graphic() {
            return false;
        }
        rest = others;
    }
    true
}

/// A text is not a valid [`ActionName`] or [`Purpose`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("a name must be 1 to {MAX_NAME_BYTES} printable ASCII characters without spaces")]
pub struct NameError;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Cow<'static, str>);

        impl $name {
            /// The longest name, in bytes. Names are stored in records and events, so their length
            /// is bounded.
            pub const MAX_BYTES: usize = MAX_NAME_BYTES;

            /// Creates a name from a literal. It is a `const fn`, for constants.
            ///
            /// # Panics
            /// Panics if `name` is not 1 to 64 printable ASCII characters without spaces. In a
            /// constant, that is a compile-time error.
            #[must_use]
            pub const fn new(name: &'static str) -> Self {
                assert!(is_name(name), "a name has 1 to 64 printable ASCII characters and no spaces");
                Self(Cow::Borrowed(name))
            }

            /// Creates a name from a string that is known only at run time.
            ///
            /// # Errors
            /// Returns [`NameError`] if `name` is not 1 to 64 printable ASCII characters without
            /// spaces.
            pub fn parse(name: impl Into<String>) -> Result<Self, NameError> {
                let name: String = name.into();
                if is_name(&name) { Ok(Self(Cow::Owned(name))) } else { Err(NameError) }
            }

            /// Returns the name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// The name of an action that requires a step-up or a confirmation: 1 to 64 printable ASCII
    /// characters without spaces, unique in a server.
    ///
    /// ```
    /// # use keywright_core::ActionName;
    /// const DELETE_VAULT: ActionName = ActionName::new("vault.delete");
    /// assert_eq!(DELETE_VAULT, ActionName::parse("vault.delete")?);
    /// assert!(ActionName::parse("delete vault").is_err());
    /// # Ok::<(), keywright_core::NameError>(())
    /// ```
    ///
    /// ```compile_fail
    /// # use keywright_core::ActionName;
    /// const DELETE_VAULT: ActionName = ActionName::new("delete vault"); // a blank
    /// # let _ = DELETE_VAULT;
    /// ```
    ActionName
}

name! {
    /// The name of what a second factor's code is accepted for, such as logging in: 1 to 64
    /// printable ASCII characters without spaces. In a step-up, the purpose is the name of the
    /// action.
    ///
    /// ```
    /// # use keywright_core::{ActionName, Purpose};
    /// const LOG_IN: Purpose = Purpose::new("log-in");
    /// assert_eq!(Purpose::from(ActionName::new("log-in")), LOG_IN);
    /// ```
    Purpose
}

impl From<ActionName> for Purpose {
    fn from(action: ActionName) -> Self {
        Self(action.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_bounded() {
        for good in ["a", "vault.delete", &"x".repeat(64)] {
            assert!(ActionName::parse(good).is_ok() && Purpose::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "two words", "a\n", "ä", &"x".repeat(65)] {
            assert_eq!((ActionName::parse(bad), Purpose::parse(bad)), (Err(NameError), Err(NameError)), "{bad}");
        }
    }
}
