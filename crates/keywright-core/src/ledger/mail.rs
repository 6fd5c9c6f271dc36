//! The mail to an owner whom others have locked out: when it may be sent, and how often its link
//! may be used.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::outcome::Ticket;
use super::policy::{MAIL_ADMISSIONS, MAIL_PAUSE, MAX_MAIL_PAUSE};
use crate::time::UnixSeconds;

/// The last mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnlockMail {
    pub(super) sent: UnixSeconds,
    /// The seconds after which the next mail may be sent. The link works until then.
    pub(super) pause: u64,
    pub(super) clicked: bool,
    /// The number of admissions that the link can still grant.
    pub(super) admissions: u8,
    pub(super) ticket: Ticket,
}

impl UnlockMail {
    /// Returns the record of a mail that is sent now, after `last`.
    pub(super) fn after(last: Option<&Self>, ticket: Ticket, now: UnixSeconds) -> Self {
        let pause = match last {
            Some(last) if !last.clicked => last.pause.saturating_mul(2).clamp(MAIL_PAUSE, MAX_MAIL_PAUSE),
            _ => MAIL_PAUSE,
        };
        Self { sent: now, pause, clicked: false, admissions: MAIL_ADMISSIONS, ticket }
    }

    pub(super) fn settle(&mut self, now: UnixSeconds) {
        self.sent = self.sent.min(now);
    }

    /// The end of the pause, at which the link expires too.
    pub(super) fn next(&self) -> UnixSeconds {
        self.sent.plus(self.pause)
    }

    /// Uses the link once. Somebody reads the mails, so the next one may be sent a day from now
    /// instead of after a long pause.
    pub(super) fn click(&mut self, ticket: Ticket, now: UnixSeconds) -> bool {
        let right = bool::from(self.ticket.0.ct_eq(&ticket.0));
        if !right || now >= self.next() || self.admissions == 0 {
            return false;
        }
        self.admissions = self.admissions.saturating_sub(1);
        self.clicked = true;
        self.pause = self.pause.min(now.since(self.sent).saturating_add(MAIL_PAUSE));
        true
    }
}
