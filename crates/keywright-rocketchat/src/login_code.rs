//! Login codes: a log-in that is complete, handed on to another client by a code that works once
//! (protocol § 15).

use keywright_core::{AccountId, SecretString, random_bytes};
use keywright_store::{Draft, Epochs, Partition, StepError, Tentative, TransactError};

use crate::answer::Failure;
use crate::context::Context;
use crate::error::ApiError;
use crate::events::{LOGGED_IN, LOGIN_CODE_MADE};
use crate::host::Host;
use crate::issue::{Issued, issue};
use crate::state::{LOGIN_CODE, LoginCode};

/// The random bytes of a code: 64 characters of hex.
const CODE_BYTES: usize = 32;

/// Makes a code for an account.
pub(crate) async fn create<H>(cx: &Context<H>, account: &AccountId) -> Result<SecretString, TransactError> {
    let code = SecretString::new(hex::encode(random_bytes::<CODE_BYTES>(&**cx.driver.entropy())?));
    let own = Partition::account(account);
    let epochs = cx.driver.transact(&own, &[], |draft| {
        draft.event(&LOGIN_CODE_MADE);
        Ok(draft.root()?.epochs())
    });
    let epochs = epochs.await?;
    let put = |draft: &mut Draft<'_>| {
        let record = LoginCode::new(draft, account.clone(), epochs);
        draft.put_until(LOGIN_CODE, &record, record.expires())?;
        draft.expire_partition(record.expires())
    };
    cx.driver.transact(&partition(cx, &code), &[LOGIN_CODE.name()], put).await?;
    Ok(code)
}

/// Lets the bearer of a code in, once. The code is spent in a commit of its own partition; then the
/// token is issued only if the account's epochs are still those in which the code was made.
pub(crate) async fn redeem<H: Host>(cx: &Context<H>, code: &SecretString) -> Result<Issued, Failure> {
    let is_code = code.expose().len() == CODE_BYTES * 2 && code.expose().bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_code {
        return Err(ApiError::invalid_code().into());
    }
    let spent = cx.driver.run(&partition(cx, code), &[LOGIN_CODE.name()], spend).await?;
    let (account, epochs) = spent.ok_or_else(ApiError::invalid_code)?;
    let stands = |draft: &mut Draft<'_>| {
        let stands = match draft.root() {
            // The account was erased meanwhile, and nothing is left of it.
            Err(StepError::NoAccount) => false,
            root => root?.epochs() == epochs,
        };
        if stands {
            draft.event(&LOGGED_IN);
        }
        Ok(stands.then(|| draft.tentative(())))
    };
    if cx.step(&account, &[], stands).await?.is_none() {
        return Err(ApiError::invalid_code().into());
    }
    issue(cx, &account, epochs, ApiError::user_not_found).await
}

fn spend(draft: &mut Draft<'_>) -> Result<Option<Tentative<(AccountId, Epochs)>>, StepError> {
    let Some(found) = draft.read(LOGIN_CODE)? else { return Ok(None) };
    let Some(epochs) = found.epochs(draft) else { return Ok(None) };
    draft.delete(LOGIN_CODE)?;
    Ok(Some(draft.tentative((found.account, epochs))))
}

fn partition<H>(cx: &Context<H>, code: &SecretString) -> Partition {
    Partition::name(&cx.index.mac(&[b"rocketchat-login-code", code.expose().as_bytes()]))
}
