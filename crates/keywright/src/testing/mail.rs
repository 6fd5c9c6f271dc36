//! A place for the mails that a test's server sends.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Catches mails of any type instead of sending them, and fails on request.
///
/// ```
/// use keywright::testing::CaughtMail;
///
/// let mail = CaughtMail::default();
/// mail.send(("owner@example.com", "your code is 123456"))?;
/// assert_eq!(mail.take(), [("owner@example.com", "your code is 123456")]);
/// mail.set_down(true);
/// assert!(mail.send(("owner@example.com", "lost")).is_err());
/// assert!(mail.take().is_empty());
/// # Ok::<(), keywright::testing::MailDown>(())
/// ```
pub struct CaughtMail<M> {
    inner: Mutex<Inner<M>>,
}

struct Inner<M> {
    mails: Vec<M>,
    is_down: bool,
}

/// The mails were set to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("mails were set to fail")]
#[non_exhaustive]
pub struct MailDown;

impl<M> CaughtMail<M> {
    /// Catches a mail.
    ///
    /// # Errors
    /// Returns [`MailDown`] while mails are set to fail. The mail is dropped.
    pub fn send(&self, mail: M) -> Result<(), MailDown> {
        let mut inner = self.inner();
        if inner.is_down {
            return Err(MailDown);
        }
        inner.mails.push(mail);
        Ok(())
    }

    /// Makes mails fail from now on, or succeed again.
    pub fn set_down(&self, is_down: bool) {
        self.inner().is_down = is_down;
    }

    /// Removes the mails so far and returns them, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut self.inner().mails)
    }

    fn inner(&self) -> MutexGuard<'_, Inner<M>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<M> Default for CaughtMail<M> {
    fn default() -> Self {
        Self { inner: Mutex::new(Inner { mails: Vec::new(), is_down: false }) }
    }
}

keywright_core::redacted_debug!(impl[M] CaughtMail<M>);
