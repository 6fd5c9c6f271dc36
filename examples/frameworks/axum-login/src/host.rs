//! What the server had before: its users behind axum-login, and its sessions in tower-sessions.

use std::{convert::Infallible, sync::Arc};

use axum::extract::FromRequestParts;
use axum::http::{HeaderMap, header::COOKIE, request::Parts};
use axum_login::{AuthSession, AuthUser, AuthnBackend};
use keywright::tower::{Caller, Refused};
use keywright::twofactor::Proven;
use keywright::{AccountId, Client, Clock, Keywright, SessionId, SystemClock};
use shop::{Shop, User};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) shop: Arc<Shop>,
    pub(crate) keywright: Keywright,
}

#[derive(Debug, Clone)]
pub(crate) struct Member(pub(crate) User);

impl AuthUser for Member {
    type Id = String;

    fn id(&self) -> String {
        self.0.id.clone()
    }

    fn session_auth_hash(&self) -> &[u8] {
        self.0.stamp.as_bytes() // a new one ends the sessions; a real host gives the user one with a new password too
    }
}

/// What proves who signs in is the proof of a second factor.
impl AuthnBackend for App {
    type User = Member;
    type Credentials = Proven;
    type Error = Infallible;

    async fn authenticate(&self, proof: Proven) -> Result<Option<Member>, Infallible> {
        Ok(self.shop.user(proof.account().as_str()).map(Member))
    }

    async fn get_user(&self, id: &String) -> Result<Option<Member>, Infallible> {
        Ok(self.shop.user(id).map(Member))
    }
}

/// Who is signed in.
pub(crate) struct Session {
    pub(crate) app: App,
    pub(crate) user: User,
    pub(crate) account: AccountId,
    pub(crate) id: SessionId,
    pub(crate) client: Client,
}

impl Session {
    pub(crate) fn of(parts: &Parts) -> Option<Self> {
        let auth = parts.extensions.get::<AuthSession<App>>()?;
        let (app, user, session) = (auth.backend.clone(), auth.user.clone()?.0, auth.session.id()?);
        let account = AccountId::new(&user.id).ok()?;
        let client = client(&app, &account, &parts.headers).ok()?;
        Some(Self { app, user, account, id: SessionId::new(session.0.to_be_bytes()), client })
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::new(self.account.clone(), self.id, self.client)
    }
}

impl<S: Sync> FromRequestParts<S> for Session {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        Self::of(parts).ok_or_else(|| Refused::unauthorized("not_signed_in"))
    }
}

/// The sender of a request. Once it had a right code, the wrong ones of strangers do not delay it.
pub(crate) fn client(app: &App, account: &AccountId, headers: &HeaderMap) -> Result<Client, Refused> {
    let device = app.keywright.device_cookie(headers.get_all(COOKIE))?;
    Ok(app.keywright.client(account, device.as_bytes()))
}

/// The present time, in seconds since 1970.
pub(crate) fn now() -> Result<u64, Refused> {
    Ok(SystemClock.now().map_err(Refused::unavailable)?.get())
}
