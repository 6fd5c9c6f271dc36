//! `POST users.2fa.sendEmailCode`: sends a fresh code for what a call **with** a login has started, and nothing else. No
//! login, so the answer is always the same: known or not, sent or not, failed or not.

use keywright_confirm::SLOTS;
use keywright_store::{Draft, Partition, TransactError};

use super::Input;
use crate::guard::{Act, send_code};
use crate::host::{Host, Named};
use crate::service::{Answered, Failure, Parts, Reply};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, input: &Input) -> Answered {
    match resend(parts, input).await {
        Ok(()) => {}
        // Anybody can bring this about, so it is no line of the log that an operator watches.
        Err(Failure::Moved | Failure::Transact(TransactError::Busy)) => {
            tracing::debug!("an account was busy, a code was not sent again");
        }
        Err(failure) => tracing::error!(error = &failure as &dyn std::error::Error, "a code was not sent again"),
    }
    Ok(Ok(Reply::success()))
}

async fn resend<H: Host>(parts: &Parts<H>, input: &Input) -> Result<(), Failure> {
    let Input::EmailOrUsername(name) = input else { return Ok(()) };
    let user = parts.host.find_user(Named::EmailOrUsername(name)).await?;
    let user = user.filter(|user| !user.verified_emails.is_empty());
    // The same look for a name that is nobody's, at a partition that has nothing.
    let decoy = || Partition::name(&parts.index.mac(&[b"rocketchat-decoy", name.as_bytes()]));
    let partition = user.as_ref().map_or_else(decoy, |user| Partition::account(&user.account));
    // An account that has switched mailed codes off has nothing pending: the factor epoch moved. Where nothing is to be
    // sent the step changes nothing, so it takes no place in the owner's queue.
    let resend = |draft: &mut Draft<'_>| parts.confirmations.resend_in::<Act>(draft, None);
    let mail = parts.driver.run(&partition, SLOTS, resend).await?;
    if let (Some(user), Some(mail)) = (user, mail) {
        // Its failure is in the log; the answer is the same.
        let _ = send_code(parts, &user, &mail).await;
    }
    Ok(())
}
