//! The check of the login password, which the host compares and the guess ledger limits.

use keywright_core::{Attempt, Charge, Generation, PendingGuess, Refusal, SecretKind, SecretString};
use keywright_store::guess::{self, LEDGER};
use keywright_store::{Draft, Partition, Plain, Receipt, Release, SlotName, StepError, TransactError, WrongReceipt};
use keywright_wire::queue::{Requester, withdraw_if_busy};

use crate::answer::Failure;
use crate::context::Context;
use crate::host::{Caller, Host};

/// The login password in the account's guess ledger. The protocols of the workspace count guesses
/// at the same secret, under the same name.
pub const LOGIN_PASSWORD: SecretKind = SecretKind::new("login-password");

/// What came of a password, together with what a right one was for.
pub(crate) enum Checked<T> {
    Right(T),
    Wrong(Option<Charge>),
    Refused(Refusal),
}

impl<T: Release> Release for Checked<T> {
    type Released = Checked<T::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Right(granted) => Checked::Right(granted.release(receipt)?),
            Self::Wrong(charge) => Checked::Wrong(charge),
            Self::Refused(refusal) => Checked::Refused(refusal),
        })
    }
}

/// Checks the password of a caller. A right one is recorded in the commit of `granted`, which
/// accesses `slots`.
pub(crate) async fn check<H: Host, T: Release + Send>(
    cx: &Context<H>,
    caller: &Caller,
    password: &str,
    slots: &[SlotName],
    mut granted: impl FnMut(&mut Draft<'_>) -> Result<T, StepError> + Send,
) -> Result<Checked<T::Released>, Failure> {
    let partition = Partition::account(&caller.account);
    let pending = match begin(cx, caller, &partition).await? {
        Ok(pending) => pending,
        Err(refusal) if refusal.is_unjudged() => return Err(TransactError::Busy.into()),
        Err(refusal) => return Ok(Checked::Refused(refusal)),
    };
    let requester = Requester::of_guess(partition, &pending);
    let right = match cx.host.check_password(caller, &SecretString::new(password.to_owned()), &requester).await {
        Ok(right) => right,
        Err(error) => {
            withdraw_if_busy(&cx.driver, &requester, &pending, &error).await;
            return Err(error.into());
        }
    };
    let slots: Vec<_> = slots.iter().copied().chain([LEDGER.name()]).collect();
    let settle = |draft: &mut Draft<'_>| {
        if !right {
            return Ok(Checked::Wrong(guess::settle_wrong(draft, &pending)?));
        }
        // A verdict that comes too late was charged already.
        if !guess::settle_right(draft, &pending)? {
            return Ok(Checked::Wrong(None));
        }
        granted(draft).map(Checked::Right)
    };
    Ok(cx.driver.run(requester.partition(), &slots, settle).await?)
}

async fn begin<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    partition: &Partition,
) -> Result<Result<PendingGuess, Refusal>, TransactError> {
    let attempt = Attempt::new(LOGIN_PASSWORD, Generation::HOST, caller.client);
    let begun = cx.driver.run(partition, &[LEDGER.name()], |draft| guess::begin(draft, &attempt).map(Plain)).await?;
    Ok(begun)
}
