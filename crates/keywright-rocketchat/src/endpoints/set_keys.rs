//! `POST e2e.setUserPublicAndPrivateKeys`: stores the caller's end-to-end key pair as it was sent.
//! It is what `users.resetE2EKey` removes.

use keywright_wire::Reply;

use crate::answer::{Failure, success};
use crate::context::{Caller, Context};
use crate::error::ApiError;
use crate::host::Host;
use crate::user::{EndToEndKeys, KeysStored};

pub(crate) async fn run<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    keys: &EndToEndKeys,
    replace: bool,
) -> Result<Reply, Failure> {
    match cx.host.store_keys(&caller.user.account, &caller.token, keys, replace).await? {
        KeysStored::Stored => Ok(success()),
        KeysStored::Exists => Err(ApiError::keys_exist().into()),
        KeysStored::LoginEnded => Err(ApiError::unauthorized().into()),
    }
}
