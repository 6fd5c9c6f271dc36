//! `PATCH user/email`: a new address, and with it a new key, because the address is the salt.
//!
//! The account stays unchanged until the link that is mailed to the new address is opened; until
//! then the vault under the new key is stored beside it. The old address is notified immediately,
//! without a link. Where the policy requires no verification, the change is made immediately.
//!
//! An address that equals the current one, or differs from it only in letter case, is a change like
//! any other: the text that its owner types is the salt, so the key changes, and no other account
//! can be in the way. An address that another account owns is refused here already, but only behind
//! the password, and only so many times a day. The address is claimed when the link is opened
//! (`docs/decisions.md` 31).

use keywright_core::SecretBytes;
use keywright_rekey::{HoldOutcome, SealedSwap, SwapOutcome};
use keywright_store::names::{self, NameIndex};
use keywright_store::{Draft, Plain, TransactError};
use keywright_wire::Reply;

use crate::account::claim::{Taking, move_in};
use crate::account::credential::Credential;
use crate::account::mails::{self, Kind};
use crate::account::pending::{self, Asked, PENDING};
use crate::account::tokens::{self, Login};
use crate::events::ADDRESS_CHANGE_ASKED;
use crate::policy::LINK_SECONDS;
use crate::protocol::change::ChangeOfAddress;
use crate::protocol::error::ApiError;
use crate::wire::answer::{Answered, Failure, empty};
use crate::wire::change::{self, Changer};
use crate::wire::claim::{self, TRIES};
use crate::wire::context::{Caller, Context};
use crate::wire::host::Host;
use crate::wire::request::Input;

pub(crate) async fn run<H: Host>(cx: &Context<H>, caller: &Caller, input: &Input<'_>) -> Result<Reply, Failure> {
    let changer = Changer { caller, network: cx.network(input) };
    let body = cx.compute(input.body, || ChangeOfAddress::read(input.body, &cx.policy))??;
    let name = body.address.index(cx.driver.keyring());
    let look = |draft: &mut Draft<'_>| names::owns(draft, &name);
    let (known, own) = change::check_keys(cx, changer, &body.keys, look).await?;
    let sealed = change::check_batch(cx, caller, known, (input.body, &body.ciphers)).await?;
    book(cx, caller).await?;
    if !own && cx.is_taken(&name).await? {
        return Err(ApiError::DUPLICATED.into());
    }
    if !cx.policy.verify_email {
        return move_at_once(cx, changer, &body, &name, &sealed).await;
    }
    ask(cx, changer, &body, sealed).await
}

/// Counts the request, before it costs anything.
async fn book<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<(), Failure> {
    let step = |draft: &mut Draft<'_>| match tokens::verify_in(draft, &caller.token)?.filter(Login::may_act) {
        Some(_) => Ok(pending::book_in(draft)?.map_err(ApiError::too_many_mails)),
        None => Ok(Err(ApiError::INVALID_TOKEN)),
    };
    Ok(cx.step(caller.account(), &[caller.login.slot(), PENDING.name()], step).await??)
}

/// Stages the new vault beside the vault, then makes one commit in which the staged vault is held,
/// the change waits, and both addresses get their mails.
async fn ask<H: Host>(
    cx: &Context<H>,
    changer: Changer<'_>,
    body: &ChangeOfAddress<'_>,
    sealed: SealedSwap,
) -> Answered {
    let account = changer.caller.account();
    let known = sealed.head();
    let until = cx.driver.clock().now().map_err(TransactError::from)?.plus(LINK_SECONDS);
    let staged = cx.vaults.stage(sealed, until).await?;
    let act = |draft: &mut Draft<'_>, login: &Login, credential: Credential| {
        if login.head().is_some() && login.head() != known {
            return Ok(Err(ApiError::MISSING_CIPHER));
        }
        let replaced = cx.vaults.steps().staged_in(draft)?;
        let Some(head) = cx.vaults.steps().revision_in(draft) else { return Ok(Err(ApiError::MISSING_CIPHER)) };
        let HoldOutcome::Held = cx.vaults.steps().hold_in(draft, &staged)? else {
            return Ok(Err(ApiError::MISSING_CIPHER));
        };
        let code = SecretBytes::<32>::random(draft.entropy())?;
        let code = crate::protocol::keys::digits(code.expose());
        let asked = Asked {
            address: &body.address,
            public_key: &body.keys.new_public,
            code: pending::code_hash(&cx.links, &login.user, code.expose()),
            until,
            head,
            asked_by: changer.tags(draft, login),
        };
        pending::ask_in(draft, asked)?;
        draft.event(&ADDRESS_CHANGE_ASKED);
        let link =
            format!("{}/api/user/verifyNewEmail?user={}&code={}", cx.policy.public_url, login.user, code.expose());
        mails::letter_in(draft, &body.address, Kind::VerifyNewAddress { link }, until)?;
        mails::notice_in(draft, &credential.address()?, Kind::AddressChangeAsked)?;
        Ok(Ok(Plain(replaced)))
    };
    let committed = change::commit_change(cx, changer, &body.keys, act).await;
    // Only a vault that is certainly not held: a commit whose outcome is unknown may have
    // succeeded.
    if let Err(Failure::Refused(_)) = &committed {
        change::unstage(cx, account, Some(staged.stage())).await;
    }
    change::unstage(cx, account, committed?).await;
    Ok(empty())
}

/// Changes the address without a verification: the address is claimed, and then one commit changes
/// everything.
async fn move_at_once<H: Host>(
    cx: &Context<H>,
    changer: Changer<'_>,
    body: &ChangeOfAddress<'_>,
    name: &NameIndex,
    sealed: &SealedSwap,
) -> Answered {
    let account = changer.caller.account();
    for _ in 0..TRIES {
        let taking = claim::claim_address(cx, account, name).await?;
        if matches!(taking, Taking::Taken) {
            return Err(ApiError::DUPLICATED.into());
        }
        let act = |draft: &mut Draft<'_>, login: &Login, credential: Credential| {
            if !change::is_known(login, sealed) {
                return Ok(Err(ApiError::MISSING_CIPHER));
            }
            if !taking.take_in(draft, name)? {
                return Ok(Ok(None));
            }
            let dropped = cx.vaults.steps().staged_in(draft)?;
            let SwapOutcome::Done { .. } = cx.vaults.steps().swap_in(draft, sealed)? else {
                return Ok(Err(ApiError::MISSING_CIPHER));
            };
            let changed_by = changer.tags(draft, login);
            let new_public = &body.keys.new_public;
            let released = move_in(draft, credential, &body.address, new_public, &changed_by)?;
            Ok(Ok(Some((released, Plain(dropped)))))
        };
        if let Some((released, dropped)) = change::commit_change(cx, changer, &body.keys, act).await? {
            change::unstage(cx, account, dropped).await;
            if let Some(released) = released {
                claim::drop_claim(cx, &released).await;
            }
            return Ok(empty());
        }
    }
    Err(ApiError::BUSY.into())
}
