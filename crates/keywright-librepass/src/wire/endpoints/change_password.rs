//! `PATCH user/password`: changes the key and the whole vault under it, or nothing.

use keywright_rekey::SwapOutcome;
use keywright_store::{Draft, Plain};
use keywright_wire::Reply;

use crate::account::credential::Credential;
use crate::account::mails::{self, Kind};
use crate::account::pending;
use crate::account::tokens::{self, Login};
use crate::events::CREDENTIAL_CHANGED;
use crate::protocol::change::ChangeOfPassword;
use crate::protocol::error::ApiError;
use crate::wire::answer::{Failure, empty};
use crate::wire::change::{self, Changer};
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let changer = Changer { caller, network: cx.network(input) };
    let body = cx.compute(input.body, || ChangeOfPassword::read(input.body, &cx.policy))??;
    let (known, ()) = change::check_keys(cx, changer, &body.keys, |_| Ok(())).await?;
    let sealed = change::check_batch(cx, caller, known, (input.body, &body.ciphers)).await?;
    let act = |draft: &mut Draft<'_>, login: &Login, mut credential: Credential| {
        if !change::is_known(login, &sealed) {
            return Ok(Err(ApiError::MISSING_CIPHER));
        }
        let dropped = cx.vaults.steps().staged_in(draft)?;
        let SwapOutcome::Done { .. } = cx.vaults.steps().swap_in(draft, &sealed)? else {
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
    let dropped = change::commit_change(cx, changer, &body.keys, act).await?;
    change::unstage(cx, caller.account(), dropped).await;
    Ok(empty())
}
