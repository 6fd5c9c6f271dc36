//! The part of a form that asks for a proof, and the mail that it may take.

use http::StatusCode;
use keywright_wire::Reply;

use crate::act::mailed::{self, Sending};
use crate::act::proof::{self, Need, Refused};
use crate::answer::Failure;
use crate::context::{Call, Context};
use crate::host::Host;
use crate::html::parts::{Asking, refusal};
use crate::html::view::Page;
use crate::texts::Text;

/// Why a form is shown.
pub(crate) enum Why {
    /// It was opened.
    Opened,
    /// What was typed as a proof is refused.
    Refused(Refused),
    /// Its button asked for a mail.
    Mail(Sending),
}

impl Why {
    /// Mails a code if the form's button asks for one and one is of use.
    pub(crate) async fn of_mail<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Option<Self>, Failure> {
        if call.form.get("send") != "1" {
            return Ok(None);
        }
        if proof::need(cx, call.caller).await?.need != Need::Mailed {
            return Ok(Some(Self::Opened));
        }
        Ok(Some(Self::Mail(mailed::send(cx, call.caller).await?)))
    }
}

/// Returns what a form asks for now, and what it says about the last attempt.
pub(crate) async fn asking<H: Host>(cx: &Context<H>, call: &Call<'_>, why: &Why) -> Result<Asking, Failure> {
    let (view, needed) = (call.view, proof::need(cx, call.caller).await?);
    let need = needed.need;
    let mut asking = Asking { need, address: needed.address, mailed_until: None, refused: None, status: None };
    if need == Need::Mailed {
        asking.mailed_until = mailed::pending(cx, call.caller).await?;
    }
    match why {
        Why::Opened => {}
        Why::Refused(refused) => asking.refused = Some((*refused, refusal(view, need, *refused))),
        Why::Mail(Sending::Sent { expires }) => {
            asking.mailed_until = Some(*expires);
            asking.status = Some(view.say(Text::ProofMailSent).to_owned());
        }
        Why::Mail(Sending::NotYet { retry_after }) => {
            let message = view.fill(Text::ProofMailNotYet, &[&view.texts.duration(*retry_after)]);
            asking.refused = Some((Refused::Wait(Some(*retry_after)), message));
        }
    }
    Ok(asking)
}

/// Returns the answer with a form. One that refuses something says so in its status.
pub(crate) fn reply<H: Host>(cx: &Context<H>, call: &Call<'_>, asking: &Asking, page: Page) -> Reply {
    let refused = asking.refused.as_ref().map(|(refused, _)| *refused);
    let page = if refused.is_some() { page.failed(call.view, status(refused)) } else { page };
    call.view.reply(&*cx.host, page.retry_after(refused.and_then(Refused::retry_after)))
}

/// Returns the status of a page that refuses a proof.
pub(crate) const fn status(refused: Option<Refused>) -> StatusCode {
    match refused {
        Some(Refused::Wait(_)) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    }
}
