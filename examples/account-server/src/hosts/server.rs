//! What the hosts of all protocols share.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::accounts::directory::Accounts;
use crate::mail::Mailer;
use crate::notices::Notices;
use crate::options::PublicUrl;

/// The server's own parts: accounts, mail, and the sweep of due work.
pub(crate) struct Server {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) mailer: Arc<Mailer>,
    pub(crate) notices: Notices,
    pub(crate) public_url: PublicUrl,
    /// Wakes the sweep of due work.
    pub(crate) wake: Notify,
}

impl Server {
    /// Wakes the sweep for mails that are due, if a mail server would otherwise hold up the
    /// request. Returns whether it did.
    pub(crate) fn sends_later(&self) -> bool {
        let remote = self.mailer.remote().is_some();
        if remote {
            self.wake.notify_one();
        }
        remote
    }
}
