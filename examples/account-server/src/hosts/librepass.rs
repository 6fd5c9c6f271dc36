//! The host of the LibrePass protocol. It has no accounts here, because its users register
//! themselves.

use std::net::IpAddr;
use std::sync::Arc;

use keywright::AccountId;
use keywright::librepass::{Admittance, Endpoint, Host, HostError, Mail, Peer, Subject};

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

use crate::hosts::server::Server;
use crate::http::peer::socket_address;
use crate::limits::token_bucket::{Counted, TokenBuckets};
use crate::mail::Message;

/// This server, as that protocol sees it.
pub(crate) struct LibrePassHost {
    pub(crate) server: Arc<Server>,
    /// The request limits, or `None` for no limits.
    pub(crate) limits: Option<Arc<TokenBuckets>>,
}

impl Host for LibrePassHost {
    /// The mail is delivered, not queued: one that fails stays due, and is sent again.
    async fn mail(&self, mail: Mail<'_>) -> Result<(), HostError> {
        let message = Message { to: mail.to.to_owned(), subject: mail.message.subject(), text: mail.message.text() };
        self.server.mailer.deliver(message).await.map_err(HostError::new)
    }

    /// No request waits for a mail server, because the sweep is woken and sends the mail. A file
    /// has the mail when the request is answered.
    fn mails_due(&self, _: &AccountId) -> bool {
        self.server.sends_later()
    }

    /// Counted by the client's address.
    fn admit(&self, endpoint: Endpoint, peer: Peer<'_>, subject: Subject<'_>) -> Admittance {
        let Some(limits) = &self.limits else { return Admittance::Open };
        let counted = match subject {
            Subject::Peer => socket_address(peer.extensions).map(Counted::Peer),
            Subject::Address(address) => Some(Counted::Address(address)),
            Subject::Account(account) => Some(Counted::Account(account)),
            Subject::Named(account) => Some(Counted::Named(account)),
            _ => None,
        };
        counted.map_or(Admittance::Open, |counted| limits.admit(endpoint, counted))
    }

    /// Other requests go on in another thread meanwhile.
    fn compute(&self, work: &mut (dyn FnMut() + Send)) {
        match Handle::try_current().map(|runtime| runtime.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => block_in_place(work),
            _ => work(),
        }
    }

    fn client_address(&self, peer: Peer<'_>) -> Option<IpAddr> {
        socket_address(peer.extensions)
    }
}
