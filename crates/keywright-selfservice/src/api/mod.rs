//! The JSON API: the same acts as the pages, for an application's own interface.
//! `docs/selfservice.openapi.json` of the repository describes it.

mod browsers;
pub(crate) mod reply;

use http::StatusCode;
use keywright_twofactor::DeviceId;
use keywright_wire::Reply;
use serde_json::{Value, json};

use self::reply::{bad_name, conflict, ok, refusal};
use crate::act::activity::recent;
use crate::act::confirm::{self, Attempted, Step};
use crate::act::factors::{self, Begun, Enrolled, Removed, Renamed};
use crate::act::mailed::{self, Sending};
use crate::act::proof::{Need, Refused, need};
use crate::act::sessions;
use crate::answer::Failure;
use crate::context::{Call, Context};
use crate::host::{ConfirmStyle, Host};
use crate::html::overview::sentence;
use crate::html::parts;
use crate::request::Endpoint;
use crate::texts::Text;

pub(crate) async fn run<H: Host>(cx: &Context<H>, call: &Call<'_>, endpoint: Endpoint) -> Result<Reply, Failure> {
    match endpoint {
        Endpoint::ApiSession => Ok(ok(&json!({ "name": call.caller.name, "form_token": call.view.token }))),
        Endpoint::ApiOverview => overview(cx, call).await,
        Endpoint::ApiActivity => activity(cx, call).await,
        Endpoint::ApiEnrol => enrol(cx, call).await,
        Endpoint::ApiEnrolConfirm => enrol_confirm(cx, call).await,
        Endpoint::ApiRemove => remove(cx, call).await,
        Endpoint::ApiRename => rename(cx, call).await,
        Endpoint::ApiMailedCode => mailed_code(cx, call).await,
        Endpoint::ApiBrowsers => browsers::list(cx, call).await,
        Endpoint::ApiBrowserRename => browsers::rename(cx, call).await,
        Endpoint::ApiBrowserForget => browsers::forget(cx, call).await,
        Endpoint::ApiBrowsersForget => browsers::forget_all(cx, call).await,
        Endpoint::ApiRecovery => recovery(cx, call).await,
        Endpoint::ApiRecoveryKeep => {
            if factors::keep_codes(cx, call.caller).await? {
                return Ok(ok(&json!({})));
            }
            Ok(conflict(call, "none_pending", Text::RecoveryGoneLead))
        }
        Endpoint::ApiSessionsEnd => {
            sessions::end_others(cx, call.caller).await?;
            Ok(ok(&json!({})))
        }
        Endpoint::ApiAddressCancel => {
            if !cx.host.cancel_address(call.caller).await? {
                return Err(Failure::NotFound);
            }
            Ok(ok(&json!({})))
        }
        Endpoint::ApiConfirm => confirm_begin(cx, call).await,
        Endpoint::ApiConfirmGrant => confirm_grant(cx, call).await,
        _ => Err(Failure::NotFound),
    }
}

const fn need_name(need: Need) -> &'static str {
    match need {
        Need::Nothing => "nothing",
        Need::Code => "code",
        Need::Recovery => "recovery_code",
        Need::Mailed => "mailed_code",
        Need::Password => "password",
        Need::Impossible => "impossible",
    }
}

async fn overview<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let enrolled = cx.two_factor.enrolled(&call.caller.account).await?;
    let device = |device: &keywright_twofactor::DeviceInfo| {
        json!({
            "id": device.id.to_string(), "name": device.name, "added": device.added.get(),
            "refused_until": device.refused_until.map(|until| until.get()),
        })
    };
    let devices: Vec<Value> = enrolled.devices.iter().map(device).collect();
    let factor = |factor: &keywright_twofactor::AttestedInfo| {
        json!({
            "id": factor.id.to_string(), "name": factor.name, "added": factor.added.get(), "method": factor.method,
        })
    };
    let factors: Vec<Value> = enrolled.attested.iter().map(factor).collect();
    let needed = need(cx, call.caller).await?;
    let address = cx.host.pending_address(call.caller).await?.map(|pending| pending.address);
    let actions = cx.host.actions(call.caller, call.view.texts.language()).await?;
    let action = |action: &crate::host::HostAction| {
        let style = match action.style {
            ConfirmStyle::TypedCode => "typed_code",
            ConfirmStyle::PasswordAndWait => "password_and_wait",
        };
        json!({ "id": action.id, "title": action.title, "description": action.description, "style": style })
    };
    Ok(ok(&json!({
        "authenticators": devices,
        "factors": factors,
        "mailed_codes": enrolled.email,
        "recovery_codes": enrolled.recovery,
        "proof": need_name(needed.need),
        "mail_address": needed.address,
        "pending_address": address,
        "actions": actions.iter().map(action).collect::<Vec<_>>(),
    })))
}

async fn activity<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let entries = recent(cx, call.caller, cx.policy.activity).await?;
    let entry = |entry: &crate::act::activity::Entry| {
        json!({
            "at": entry.at.get(), "kind": entry.kind, "text": sentence(call.view, entry),
            "authenticator": entry.device, "refused": entry.denied,
        })
    };
    Ok(ok(&json!({ "activity": entries.iter().map(entry).collect::<Vec<_>>() })))
}

/// Returns the refusal of a proof.
async fn refused<H: Host>(cx: &Context<H>, call: &Call<'_>, refused: Refused) -> Result<Reply, Failure> {
    let needed = need(cx, call.caller).await?;
    Ok(refused_of(call, needed.need, refused))
}

fn refused_of(call: &Call<'_>, need: Need, refused: Refused) -> Reply {
    let code = match refused {
        Refused::Missing => "proof_missing",
        Refused::Malformed => "proof_malformed",
        Refused::Wrong { .. } => "proof_wrong",
        Refused::Wait(Some(_)) => "wait",
        Refused::Wait(None) => "locked",
        Refused::Impossible => "impossible",
    };
    let status = match refused {
        Refused::Wait(_) => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    refusal(call.view, status, code, &parts::refusal(call.view, need, refused), refused.retry_after())
}

async fn enrol<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let form = call.form;
    let replaces = match form.get("replaces") {
        "" => None,
        text => Some(DeviceId::parse(text).map_err(|_| Failure::NotFound)?),
    };
    Ok(match factors::begin(cx, call.caller, form.get("name").trim(), replaces, form.get("proof")).await? {
        Begun::Pending(pending) => {
            let uri = pending.uri(&cx.policy.service, &call.caller.name).map_err(keywright_wire::HostError::new)?;
            let picture = keywright_twofactor::qr::svg(uri.expose()).ok();
            let parameters = pending.parameters();
            ok(&json!({
                "uri": uri.expose(), "key": pending.base32().expose(), "qr_svg": picture.as_ref().map(|svg| svg.expose()),
                "digits": parameters.digits(), "step_seconds": parameters.step_seconds(),
                "expires": pending.expires().get(),
            }))
        }
        Begun::Refused(why) => refused(cx, call, why).await?,
        Begun::TooMany => conflict(call, "too_many", Text::EnrolTooMany),
        Begun::Unknown => return Err(Failure::NotFound),
        Begun::BadName => bad_name(call),
    })
}

async fn enrol_confirm<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let view = call.view;
    let wrong = |code: &str, message: &str| refusal(view, StatusCode::UNPROCESSABLE_ENTITY, code, message, None);
    Ok(match factors::confirm(cx, call.caller, call.form.get("code")).await? {
        Enrolled::Active(codes) => {
            let codes = codes.as_ref().map(|codes| codes.iter().collect::<Vec<_>>());
            ok(&json!({ "recovery_codes": codes }))
        }
        Enrolled::Wrong => wrong("code_wrong", view.say(Text::EnrolWrong)),
        Enrolled::ClockOff(offset) => {
            let text = if offset.seconds() < 0 { Text::EnrolClockBehind } else { Text::EnrolClockAhead };
            wrong("clock_off", &view.fill(text, &[&offset.seconds().unsigned_abs().to_string()]))
        }
        Enrolled::Malformed => {
            let digits = cx.policy.two_factor.parameters().digits().to_string();
            wrong("code_malformed", &view.fill(Text::CodeMalformed, &[&digits]))
        }
        Enrolled::Gone => conflict(call, "none_pending", Text::EnrolGoneLead),
        Enrolled::TooMany => conflict(call, "too_many", Text::EnrolTooMany),
    })
}

async fn remove<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let id = DeviceId::parse(call.segment).map_err(|_| Failure::NotFound)?;
    Ok(match factors::remove(cx, call.caller, id, call.form.get("proof")).await? {
        Removed::Done => ok(&json!({})),
        Removed::Refused(why) => refused(cx, call, why).await?,
        Removed::Unknown => return Err(Failure::NotFound),
    })
}

async fn rename<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let id = DeviceId::parse(call.segment).map_err(|_| Failure::NotFound)?;
    let (name, proof) = (call.form.get("name").trim(), call.form.get("proof"));
    Ok(match factors::rename(cx, call.caller, id, name, proof).await? {
        Renamed::Done => ok(&json!({})),
        Renamed::Refused(why) => refused(cx, call, why).await?,
        Renamed::Unknown => return Err(Failure::NotFound),
        Renamed::BadName => bad_name(call),
    })
}

/// Mails the code for a change of factors, where that is what the change requires.
async fn mailed_code<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let needed = need(cx, call.caller).await?;
    if needed.need != Need::Mailed {
        return Ok(conflict(call, "no_mail_needed", Text::ProofMailNotNeeded));
    }
    Ok(match mailed::send(cx, call.caller).await? {
        Sending::Sent { expires } => ok(&json!({ "sent_to": needed.address, "expires": expires.get() })),
        Sending::NotYet { retry_after } => {
            let message = call.view.fill(Text::ProofMailNotYet, &[&call.view.texts.duration(retry_after)]);
            refusal(call.view, StatusCode::TOO_MANY_REQUESTS, "wait", &message, Some(retry_after))
        }
    })
}

async fn recovery<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    if !factors::takes_recovery_codes(&cx.two_factor.enrolled(&call.caller.account).await?) {
        return Ok(conflict(call, "no_authenticator", Text::RecoveryNeedsApp));
    }
    Ok(match factors::make_codes(cx, call.caller, call.form.get("proof")).await? {
        Ok(codes) => ok(&json!({ "recovery_codes": codes.iter().collect::<Vec<_>>() })),
        Err(why) => refused(cx, call, why).await?,
    })
}

async fn confirm_begin<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let action = confirm::find(cx, call.caller, call.segment, call.view.texts.language()).await?;
    Ok(match confirm::begin(cx, call.caller, &action).await? {
        Step::Type(code) => ok(&json!({ "code": code.expose(), "expires": code.expires().get() })),
        Step::Wait(wait) => ok(&json!({
            "wait_seconds": wait.seconds(), "earliest": wait.earliest().get(), "latest": wait.latest().get(),
        })),
    })
}

async fn confirm_grant<H: Host>(cx: &Context<H>, call: &Call<'_>) -> Result<Reply, Failure> {
    let action = confirm::find(cx, call.caller, call.segment, call.view.texts.language()).await?;
    let view = call.view;
    Ok(match confirm::attempt(cx, call.caller, &action, call.form.get("typed")).await? {
        Attempted::Granted(proof) => {
            cx.host.perform(proof).await?;
            ok(&json!({}))
        }
        Attempted::Denied => {
            refusal(view, StatusCode::UNPROCESSABLE_ENTITY, "denied", view.say(Text::ConfirmDenied), None)
        }
        Attempted::Waits(wait) => {
            let message = view.say(Text::ConfirmAgain);
            refusal(view, StatusCode::CONFLICT, "wait_begun", message, Some(wait.seconds()))
        }
        Attempted::Refused(why) => refused_of(call, Need::Password, why),
    })
}
