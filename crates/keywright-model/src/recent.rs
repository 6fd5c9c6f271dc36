//! The revisions that a root remembers, with a bound that a search can reach.
//!
//! It behaves like `keywright_store::Recent`, whose bound is always sixteen; `tests/same_rules.rs`
//! compares the two. The rule that reads them, `keywright_store`'s `settle`, takes a list of any
//! length, so the model runs that very function.

/// The most revisions that a root of the model remembers.
pub const MAX_DEPTH: usize = 3;

/// The revisions before a root's own, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recent<R, const MAX: usize = MAX_DEPTH> {
    len: u8,
    revisions: [R; MAX],
}

impl<R: Copy + Default, const MAX: usize> Default for Recent<R, MAX> {
    fn default() -> Self {
        Self { len: 0, revisions: [R::default(); MAX] }
    }
}

impl<R: Copy + Default, const MAX: usize> Recent<R, MAX> {
    /// Puts the revision that is being replaced in front, and drops the oldest beyond `depth`.
    pub fn push(&mut self, replaced: R, depth: usize) {
        let depth = depth.min(MAX);
        if depth == 0 {
            return;
        }
        let kept = self.as_slice().len().min(depth - 1);
        self.revisions.copy_within(..kept, 1);
        self.revisions[0] = replaced;
        self.revisions[kept + 1..].fill(R::default());
        self.len = u8::try_from(kept + 1).unwrap_or(u8::MAX);
    }

    /// A seeded fault: once `depth` revisions are remembered, the newest are lost instead of the
    /// oldest.
    pub(crate) fn push_unless_full(&mut self, replaced: R, depth: usize) {
        if self.as_slice().len() < depth.min(MAX) {
            self.push(replaced, depth);
        }
    }

    /// Returns the revisions, newest first.
    #[must_use]
    pub fn as_slice(&self) -> &[R] {
        &self.revisions[..usize::from(self.len)]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [R] {
        &mut self.revisions[..usize::from(self.len)]
    }
}
