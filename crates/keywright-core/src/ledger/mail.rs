//! The mail to an owner whom others have shut out: when it may go, and what its link may do.

use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::outcome::Ticket;
use super::policy::{MAIL_ADMISSIONS, MAIL_PAUSE, MAX_MAIL_PAUSE};
use crate::time::UnixSeconds;

/// The last mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct UnlockMail {
    pub(super) sent: UnixSeconds,
    /// The seconds after which the next one may go; the link works until then.
    pub(super) pause: u64,
    pub(super) clicked: bool,
    /// The admissions that the link may still give.
    pub(super) admissions: u8,
    pub(super) ticket: Ticket,
}

impl UnlockMail {
    /// A mail that goes out now, after `last`.
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

    /// The end of the pause, which is the end of the link.
    pub(super) fn next(&self) -> UnixSeconds {
        self.sent.plus(self.pause)
    }

    /// Uses the link once. Somebody reads the mails, so the next one may go a day from now instead of after a long pause.
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
