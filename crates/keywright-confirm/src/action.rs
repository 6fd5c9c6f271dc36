//! The action to be confirmed, and the proof that it was.

use std::fmt;

use keywright_core::{AccountId, ActionName, SessionId, append_lp};
use keywright_store::{Draft, StepError};
use sha2::{Digest, Sha256};

/// The label of the digest (`docs/security.md` § 9).
const DIGEST_LABEL: &[u8] = b"keywright/v1/confirm";

/// The label of the digest of the (action, session) that identifies a pending confirmation.
const PLACE_LABEL: &[u8] = b"keywright/v1/confirm.place";

/// An action that must be confirmed before it is performed, with everything that determines its
/// effect.
///
/// Everything that changes the effect belongs in [`target`](Self::target) or
/// [`parameters`](Self::parameters): a confirmation of one value is void for any other.
pub trait Action: Send + Sync {
    /// The name of the kind of action: 1 to 64 printable ASCII characters, unique in the server. It
    /// is written to the security log. A call with any other name does not compile.
    const NAME: &'static str;

    /// Returns the id of what the action affects, or an empty string if it is the account itself.
    fn target(&self) -> &str;

    /// Returns all other parameters in **one** canonical form: equal actions must have equal bytes,
    /// and different ones different bytes. Use [`append_lp`](keywright_core::append_lp) to join
    /// several.
    fn parameters(&self) -> Vec<u8>;
}

/// An [`Action`] on the account itself that has no parameters, such as its deletion. Whoever confirms
/// it confirms nothing but its name, so it must have the same effect whenever it is performed.
///
/// ```
/// use keywright_confirm::{AccountAction, Action};
///
/// struct DeleteAccount;
/// impl AccountAction for DeleteAccount {
///     const NAME: &'static str = "account.delete";
/// }
/// assert_eq!((DeleteAccount.target(), DeleteAccount.parameters()), ("", Vec::new()));
/// ```
pub trait AccountAction: Send + Sync {
    /// The name of the kind of action, as [`Action::NAME`].
    const NAME: &'static str;
}

impl<A: AccountAction> Action for A {
    const NAME: &'static str = <A as AccountAction>::NAME;

    fn target(&self) -> &str {
        ""
    }

    fn parameters(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// The proof that an action was confirmed. It can be used once, and only a commit creates one.
///
/// It is not `Clone` or `Serialize` and has no public constructor. The function that acts takes it
/// by value and takes the account and the action **from it**. So that function cannot be called
/// without a proof, and cannot do anything other than what was confirmed:
///
/// ```
/// # use keywright_confirm::{Action, Confirmed};
/// # struct DeleteVault; impl Action for DeleteVault { const NAME: &'static str = "vault.delete";
/// # fn target(&self) -> &str { "" } fn parameters(&self) -> Vec<u8> { Vec::new() } }
/// fn delete_vault(proof: Confirmed<DeleteVault>) {
///     let (account, action) = proof.into_parts();
///     // …
/// # let _ = (account, action);
/// }
/// ```
///
/// ```compile_fail
/// # use keywright_confirm::{Action, Confirmed};
/// fn twice<A: Action>(proof: Confirmed<A>) -> [Confirmed<A>; 2] {
///     [proof.clone(), proof] // no such method
/// }
/// ```
#[must_use = "a proof that nobody takes confirms nothing"]
pub struct Confirmed<A> {
    account: AccountId,
    action: A,
}

impl<A: Action> Confirmed<A> {
    pub(crate) const fn new(account: AccountId, action: A) -> Self {
        Self { account, action }
    }

    /// Returns the account that confirmed.
    #[must_use]
    pub const fn account(&self) -> &AccountId {
        &self.account
    }

    /// Returns the action that was confirmed.
    #[must_use]
    pub const fn action(&self) -> &A {
        &self.action
    }

    /// Returns the account and the action, for the one function that acts.
    #[must_use]
    pub fn into_parts(self) -> (AccountId, A) {
        (self.account, self.action)
    }
}

impl<A: Action> fmt::Debug for Confirmed<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Confirmed({})", A::NAME)
    }
}

/// The digest of an (action name, session), for which at most one confirmation is pending.
pub(crate) type Place = [u8; 32];

/// What a confirmation is bound to.
pub(crate) struct Binding {
    pub(crate) account: AccountId,
    pub(crate) action: &'static str,
    pub(crate) place: Place,
    pub(crate) digest: [u8; 32],
}

impl Binding {
    /// Creates the binding for the draft's account.
    pub(crate) fn of<A: Action>(draft: &Draft<'_>, action: &A, session: SessionId) -> Result<Self, StepError> {
        let account = draft.partition().as_account().ok_or(StepError::NoAccount)?;
        let place = place::<A>(session);
        let parts = [
            A::NAME.as_bytes(),
            account.as_str().as_bytes(),
            action.target().as_bytes(),
            &action.parameters(),
            session.as_bytes(),
        ];
        let digest = hash(DIGEST_LABEL, &parts);
        Ok(Self { account, action: A::NAME, place, digest })
    }
}

/// Returns the digest that identifies the pending confirmation of an action in a session.
pub(crate) fn place<A: Action>(session: SessionId) -> Place {
    // A name that is none does not compile.
    const { std::mem::forget(ActionName::new(A::NAME)) };
    hash(PLACE_LABEL, &[A::NAME.as_bytes(), session.as_bytes()])
}

fn hash(label: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let size = parts.iter().fold(label.len(), |sum, part| sum.saturating_add(part.len()).saturating_add(4));
    let mut message = Vec::with_capacity(size);
    message.extend_from_slice(label);
    append_lp(&mut message, parts);
    Sha256::digest(&message).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `docs/security.md` § 9, computed independently: SHA-256 of the label and five parts, each
    /// preceded by its length.
    #[test]
    fn the_digest_is_fixed_to_the_byte() {
        let by_hand: [u8; 32] = Sha256::digest(
            b"keywright/v1/confirm\0\0\0\x0cvault.delete\0\0\0\x06user-1\0\0\0\x01t\0\0\0\x02pp\0\0\0\x03sid",
        )
        .into();
        assert_eq!(hash(DIGEST_LABEL, &[b"vault.delete", b"user-1", b"t", b"pp", b"sid"]), by_hand);
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(hash(DIGEST_LABEL, &[b"ab", b"c"]), hash(DIGEST_LABEL, &[b"a", b"bc"]));
    }
}
