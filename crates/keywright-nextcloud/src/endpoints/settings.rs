//! `settings/get` and `settings/list`, which need no open session, and `settings/set` and
//! `settings/reset`, which the host may offer (protocol § 11).

use http::Method;
use keywright_challenge::SLOTS as CHALLENGE;
use keywright_store::Plain;
use keywright_wire::Reply;
use serde_json::Value;

use crate::answer::{Failure, ok};
use crate::body::{Input, texts};
use crate::context::{Caller, Context, Stepped};
use crate::error::ApiError;
use crate::guard::gate;
use crate::host::Host;
use crate::request::member;
use crate::settings::{MAX_NAMES, Settings, is_decided, is_settable};

/// `POST settings/get`: the values of a list of names.
pub(crate) async fn get<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let body = input.value()?;
    let names = names(&body)?;
    let (settings, stepped) = shown(cx, caller).await?;
    stepped.answer(|_| Ok(ok(&settings.named(names))))
}

/// `GET`, `POST settings/list`: all settings, or those of the `scopes` that the request names.
pub(crate) async fn list<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let params = if *input.method == Method::POST { input.params()? } else { input.query_params()? };
    let scopes = match (params.texts(member::SCOPES), params.text(member::SCOPES)) {
        (Ok(scopes), _) => scopes,
        (Err(_), Ok(scope)) => scope.map(|scope| vec![scope]),
        (Err(_), Err(_)) => return Err(ApiError::BAD_REQUEST.into()),
    };
    let (settings, stepped) = shown(cx, caller).await?;
    stepped.answer(|_| Ok(ok(&settings.of_scopes(scopes.as_deref()))))
}

/// `POST settings/set`: has the host store an object of settings, and answers them as stored.
pub(crate) async fn set<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let wanted: Settings = input.params()?.members().collect();
    let is_fine = |(name, value): (&str, &Value)| is_settable(name) && !value.is_array() && !value.is_object();
    if wanted.len() > MAX_NAMES || !wanted.iter().all(is_fine) {
        return Err(ApiError::BAD_REQUEST.into());
    }
    let stepped = gated(cx, caller).await?;
    let has_challenge = match stepped.value {
        Ok(has_challenge) => has_challenge,
        Err(error) => return Err(stepped.refuse(error)),
    };
    let for_host = wanted.iter().filter(|(name, _)| !is_decided(name));
    let for_host: Settings = for_host.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    let stored = cx.host.set_settings(&caller.account, &for_host).await?;
    let names: Vec<&str> = wanted.iter().map(|(name, _)| name).collect();
    answer(cx, stepped, stored, has_challenge, &names)
}

/// `POST settings/reset`: has the host forget the settings of a list of names, and answers their
/// defaults.
pub(crate) async fn reset<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let body = input.value()?;
    let names = names(&body)?;
    if !names.iter().all(|name| is_settable(name)) {
        return Err(ApiError::BAD_REQUEST.into());
    }
    let stepped = gated(cx, caller).await?;
    let has_challenge = match stepped.value {
        Ok(has_challenge) => has_challenge,
        Err(error) => return Err(stepped.refuse(error)),
    };
    let for_host: Vec<&str> = names.iter().copied().filter(|name| !is_decided(name)).collect();
    let stored = cx.host.reset_settings(&caller.account, &for_host).await?;
    answer(cx, stepped, stored, has_challenge, &names)
}

/// Reads a list of names: an array, as stock clients send it, or the fields of a form.
fn names(body: &Value) -> Result<Vec<&str>, ApiError> {
    let names = match body {
        Value::Array(values) => texts(values),
        Value::Object(members) => texts(members.values()),
        _ => return Err(ApiError::BAD_REQUEST),
    };
    names.ok().filter(|names| names.len() <= MAX_NAMES).ok_or(ApiError::BAD_REQUEST)
}

/// Returns the settings that the caller is shown, and the step that refreshed the session.
async fn shown<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<(Settings, Stepped<bool>), Failure> {
    let stepped = cx.step(caller, &[CHALLENGE], |draft, _| cx.challenges.exists_in(draft).map(Plain)).await?;
    let host = cx.host.settings(&caller.account).await?;
    Ok((Settings::shown(host, &cx.policy, stepped.value), stepped))
}

/// Runs a step that passes the gate. Its value is whether the account has a challenge.
async fn gated<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<Stepped<Result<bool, ApiError>>, Failure> {
    Ok(cx.step(caller, &[CHALLENGE], |draft, session| gate(cx, draft, session).map(Plain)).await?)
}

/// Returns the answer with what the host stored, or the protocol's 404 if it stores nothing.
fn answer<H: Host>(
    cx: &Context<H>,
    stepped: Stepped<Result<bool, ApiError>>,
    stored: Option<Settings>,
    has_challenge: bool,
    names: &[&str],
) -> Result<Reply, Failure> {
    let stored = stored.map(|stored| Settings::shown(stored, &cx.policy, has_challenge));
    stepped.answer(|_| stored.map(|stored| ok(&stored.named(names.iter().copied()))).ok_or(ApiError::NOT_FOUND))
}
