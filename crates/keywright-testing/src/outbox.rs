//! Catches mails instead of sending them.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Catches mails of any kind, and fails on request.
pub struct Outbox<M> {
    mails: Mutex<Vec<M>>,
    tried: AtomicUsize,
    is_down: AtomicBool,
}

/// The outbox was set to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "there is nothing to say beyond it")]
pub struct OutboxDown;

impl fmt::Display for OutboxDown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("made to fail")
    }
}

impl std::error::Error for OutboxDown {}

impl<M> Outbox<M> {
    /// Catches a mail.
    ///
    /// # Errors
    /// [`OutboxDown`] while the outbox is down. The mail is then dropped.
    pub fn send(&self, mail: M) -> Result<(), OutboxDown> {
        self.tried.fetch_add(1, Ordering::SeqCst);
        if self.is_down.load(Ordering::SeqCst) {
            return Err(OutboxDown);
        }
        self.mails.lock().unwrap().push(mail);
        Ok(())
    }

    /// Makes mails fail from now on, or succeed again.
    pub fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// Returns how many mails were sent, including those that failed.
    #[must_use]
    pub fn tried(&self) -> usize {
        self.tried.load(Ordering::SeqCst)
    }

    /// Removes the mails so far, and returns them, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<M> {
        std::mem::take(&mut self.mails.lock().unwrap())
    }
}

impl<M: Clone> Outbox<M> {
    /// Returns the mails so far, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<M> {
        self.mails.lock().unwrap().clone()
    }
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self { mails: Mutex::default(), tried: AtomicUsize::new(0), is_down: AtomicBool::new(false) }
    }
}

/// Shows how many mails there are, and nothing of their contents.
impl<M> fmt::Debug for Outbox<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbox({} mails)", self.mails.lock().unwrap().len())
    }
}
