//! Running the cases.

use std::sync::Arc;

pub use crate::case::{Case, all, find};
use crate::fixture::Fixture;
use crate::history::plan::Plan;
use crate::report::Report;
use crate::verdict::{CaseVerdict, Part};
pub use crate::violation::PATIENCE;
use crate::violation::Violation;

/// The number of threads that work on a case. It is more than one, so that tasks run truly in
/// parallel.
const WORKERS: usize = 4;

/// Runs cases on stores from a factory, which makes a fresh and empty one for each case.
///
/// ```
/// use std::sync::Arc;
/// use keywright_store::MemoryStore;
/// use keywright_store_conformance::{FaultStore, Part, Suite};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let suite = Suite::new(async || Arc::new(FaultStore::new(Arc::new(MemoryStore::new()))));
/// let report = suite.run_parts(&[Part::LostReplies, Part::LateCommits])?;
/// assert!(report.failed().next().is_none(), "{report}");
/// assert!(!report.passes(&[]), "what was not run is not proven");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Suite<F> {
    factory: F,
    plan: Plan,
}

impl<F, X> Suite<F>
where
    F: AsyncFn() -> X,
    X: Fixture + 'static,
{
    /// Creates a suite over the stores of a factory. It checks as many histories as
    /// [`Plan::from_env`] returns.
    #[must_use]
    pub fn new(factory: F) -> Self {
        Self { factory, plan: Plan::from_env() }
    }

    /// Uses another plan for the histories.
    #[must_use]
    pub fn histories(self, plan: Plan) -> Self {
        Self { plan, ..self }
    }

    /// Runs every case.
    ///
    /// # Errors
    /// [`Violation::Suite`] if the runtime cannot be started.
    pub fn run(&self) -> Result<Report, Violation> {
        self.run_parts(&Part::ALL)
    }

    /// Runs the cases of the given parts.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub fn run_parts(&self, parts: &[Part]) -> Result<Report, Violation> {
        let runtime = runtime()?;
        let mut report = Report::default();
        for case in all().iter().filter(|case| parts.contains(&case.part())) {
            report.add(*case, runtime.block_on(self.on_fresh(case)));
        }
        Ok(report)
    }

    /// Runs the case with this name.
    ///
    /// # Errors
    /// As [`run`](Self::run), and [`Violation::Suite`] if there is no such case.
    pub fn run_case(&self, name: &str) -> Result<CaseVerdict, Violation> {
        let case = find(name).ok_or_else(|| Violation::suite("there is no case of this name"))?;
        Ok(runtime()?.block_on(self.on_fresh(&case)))
    }

    async fn on_fresh(&self, case: &Case) -> CaseVerdict {
        // Kept until the end, because it may own the directory that the store is in.
        let fixture: Arc<dyn Fixture> = Arc::new((self.factory)().await);
        case.verdict(fixture, &self.plan).await
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Violation> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().map_err(Violation::suite)
}
