//! How far long work has come, on a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A counter on standard error. It shows nothing where that is no terminal, and is removed at the
/// end.
pub(super) struct Progress(ProgressBar);

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let bar = ProgressBar::new_spinner().with_message(what);
        // The template is a constant that a test parses.
        if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
            bar.set_style(style);
        }
        Self(bar)
    }

    pub(super) fn at(&self, count: u64) {
        self.0.set_position(count);
    }

    /// Takes the counter away while something else is printed.
    pub(super) fn pause<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

const TEMPLATE: &str = "{spinner} {msg}: {pos} ({elapsed})";

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
