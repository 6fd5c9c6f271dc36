//! `POST users.2fa.sendEmailCode`: sends a fresh code for what a call **with** a login has started,
//! and nothing else. It needs no login, so the answer is always the same, whether or not the user
//! is known and whether or not a mail was sent or failed.

use keywright_confirm::SLOTS;
use keywright_store::{Draft, Partition};
use keywright_wire::Reply;

use crate::act::Act;
use crate::answer::{Failure, success};
use crate::context::Context;
use crate::host::{Host, Named};
use crate::second_factor::send_code;

pub(crate) async fn run<H: Host>(cx: &Context<H>, name: &str) -> Result<Reply, Failure> {
    match resend(cx, name).await {
        Ok(()) => {}
        Err(Failure::Due(failure)) if !failure.is_busy() => {
            tracing::error!(error = &failure as &dyn std::error::Error, "a code was not sent again");
        }
        // Anybody can cause this, so it is not logged at a level that an operator watches.
        Err(_) => tracing::debug!("an account was busy, a code was not sent again"),
    }
    Ok(success())
}

async fn resend<H: Host>(cx: &Context<H>, name: &str) -> Result<(), Failure> {
    let user = cx.host.find_user(Named::EmailOrUsername(name)).await?;
    let user = user.filter(|user| !user.verified_emails.is_empty());
    // A name that does not exist gets the same read, at a partition that is empty.
    let decoy = || Partition::name(&cx.index.mac(&[b"rocketchat-decoy", name.as_bytes()]));
    let partition = user.as_ref().map_or_else(decoy, |user| Partition::account(&user.account));
    // An account that has switched mailed codes off has nothing pending, because the factor epoch
    // moved. Where nothing is to be sent the step changes nothing, so it takes no place in the
    // owner's queue.
    let resend = |draft: &mut Draft<'_>| cx.confirmations.resend_in::<Act>(draft, None);
    let mail = cx.driver.run(&partition, SLOTS, resend).await?;
    if let (Some(user), Some(mail)) = (user, mail) {
        // Its failure is in the log; the answer is the same.
        let _ = send_code(cx, &user, &mail, None).await;
    }
    Ok(())
}
