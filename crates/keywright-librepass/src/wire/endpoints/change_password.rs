//! `PATCH user/password`: a new key, and the whole vault under it, or nothing.

use keywright_rekey::Swapping;
use keywright_store::{Draft, Plain};

use crate::account::change::{self, Changer};
use crate::account::credential::Credential;
use crate::account::mails::{self, Kind};
use crate::account::pending;
use crate::account::tokens::{self, Login};
use crate::events::CREDENTIAL_CHANGED;
use crate::protocol::change::ChangeOfPassword;
use crate::wire::error::ApiError;
use crate::wire::host::Host;
use crate::wire::request::Input;
use crate::wire::service::{Answered, Caller, Parts, Reply};

pub(crate) async fn run<H: Host>(parts: &Parts<H>, caller: &Caller, input: &Input<'_>) -> Answered {
    let changer = Changer { caller, network: parts.network(input) };
    let body = ChangeOfPassword::read(input.body, &parts.policy)?;
    let (known, ()) = parts.check_keys(changer, &body.keys, |_| Ok(())).await?;
    let sealed = parts.check_batch(caller, known, &body.ciphers).await?;
    let act = |draft: &mut Draft<'_>, login: &Login, mut credential: Credential| {
        if !change::is_known(login, &sealed) {
            return Ok(Err(ApiError::MISSING_CIPHER));
        }
        let dropped = parts.vaults.steps().staged_in(draft)?;
        let Swapping::Done { .. } = parts.vaults.steps().swap_in(draft, &sealed)? else {
            return Ok(Err(ApiError::MISSING_CIPHER));
        };
        credential.hint.clone_from(&body.hint);
        credential.parameters = body.parameters;
        let changed_by = changer.tags(draft, login);
        credential.replace_key(draft, &body.keys.new_public, &changed_by)?;
        credential.changed = draft.now();
        credential.put(draft)?;
        tokens::end_all_in(draft)?;
        pending::drop_in(draft)?;
        draft.event(&CREDENTIAL_CHANGED);
        mails::notice_in(draft, &credential.address()?, Kind::PasswordChanged)?;
        Ok(Ok(Plain(dropped)))
    };
    let dropped = parts.commit_change(changer, &body.keys, act).await?;
    parts.unstage(caller.account(), dropped).await;
    Ok(Reply::empty())
}
