//! What a run of the suite has shown, part by part.

use std::fmt;

use crate::suite::Case;
use crate::violation::Violation;

/// A part of the suite. What one hook makes testable is a part of its own, so that what a backend
/// does not offer is named in its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Part {
    /// Guards, batches, races, loads, events. Every backend.
    Records,
    /// Horizon, sweeps, listings. Every backend.
    Upkeep,
    /// Random concurrent histories, checked for strict serialisability. Every backend.
    Histories,
    /// The vault: edits, swaps, stages. Backends that keep one.
    Vault,
    /// Replies lost before and after the write. Needs
    /// [`FaultHooks::lose_next_reply`](crate::FaultHooks::lose_next_reply).
    LostReplies,
    /// A `COMMIT` that fails. Needs [`FaultHooks::fail_next_commit`](crate::FaultHooks::fail_next_commit).
    FailedCommits,
    /// A commit that arrives late. Needs [`FaultHooks::hold_next_commit`](crate::FaultHooks::hold_next_commit).
    LateCommits,
    /// Rows that are left without a root. Needs [`LostRootHook`](crate::LostRootHook).
    LostRoots,
    /// Batches inside a host's own transaction. Needs [`HostHook`](crate::HostHook).
    HostTransactions,
    /// A process that is killed, and the store opened again. Needs [`CrashHook`](crate::CrashHook).
    Durability,
}

impl Part {
    /// Every part, in the order of a run.
    pub const ALL: [Self; 10] = [
        Self::Records,
        Self::Upkeep,
        Self::Histories,
        Self::Vault,
        Self::LostReplies,
        Self::FailedCommits,
        Self::LateCommits,
        Self::LostRoots,
        Self::HostTransactions,
        Self::Durability,
    ];

    /// The part's name, as a report prints it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Upkeep => "upkeep",
            Self::Histories => "histories",
            Self::Vault => "vault",
            Self::LostReplies => "lost replies",
            Self::FailedCommits => "failed commits",
            Self::LateCommits => "late commits",
            Self::LostRoots => "lost roots",
            Self::HostTransactions => "host transactions",
            Self::Durability => "durability",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What came of one case.
#[derive(Debug)]
#[expect(clippy::exhaustive_enums, reason = "a case passed, failed, or could not be run")]
pub enum CaseVerdict {
    /// The promise held, as far as this run could see.
    Passed,
    /// The backend offers no hook for it.
    NotProven,
    /// The promise was broken.
    Failed(Violation),
}

/// What came of a part: failed if any of its cases did, not proven if any of them was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a part passed, failed, or could not be run")]
pub enum PartVerdict {
    /// Every case passed.
    Passed,
    /// A case could not be run, and none has failed.
    NotProven,
    /// A case has failed.
    Failed,
}

/// What came of every case that was run.
#[derive(Debug, Default)]
#[must_use = "a report that nobody asks proves nothing"]
pub struct Report {
    cases: Vec<(Case, CaseVerdict)>,
}

impl Report {
    pub(crate) fn add(&mut self, case: Case, verdict: CaseVerdict) {
        self.cases.push((case, verdict));
    }

    /// Every case with its verdict, in the order of the run.
    pub fn cases(&self) -> impl Iterator<Item = (&Case, &CaseVerdict)> {
        self.cases.iter().map(|(case, verdict)| (case, verdict))
    }

    /// Every case that has failed.
    pub fn failed(&self) -> impl Iterator<Item = (&Case, &Violation)> {
        self.cases().filter_map(|(case, verdict)| match verdict {
            CaseVerdict::Failed(violation) => Some((case, violation)),
            CaseVerdict::Passed | CaseVerdict::NotProven => None,
        })
    }

    /// The verdict on a part; a part of which nothing was run is not proven.
    #[must_use]
    pub fn part(&self, part: Part) -> PartVerdict {
        let mut verdict = None;
        for (_, of_case) in self.cases().filter(|(case, _)| case.part() == part) {
            verdict = Some(match (of_case, verdict) {
                (CaseVerdict::Failed(_), _) | (_, Some(PartVerdict::Failed)) => PartVerdict::Failed,
                (CaseVerdict::NotProven, _) | (_, Some(PartVerdict::NotProven)) => PartVerdict::NotProven,
                (CaseVerdict::Passed, _) => PartVerdict::Passed,
            });
        }
        verdict.unwrap_or(PartVerdict::NotProven)
    }

    /// Whether every part has passed but those that are named, and none has failed.
    #[must_use]
    pub fn passes(&self, not_proven: &[Part]) -> bool {
        Part::ALL.into_iter().all(|part| match self.part(part) {
            PartVerdict::Passed => true,
            PartVerdict::NotProven => not_proven.contains(&part),
            PartVerdict::Failed => false,
        })
    }

    /// Requires that every part has passed.
    ///
    /// # Panics
    /// With the report, if a part has failed or is not proven.
    pub fn assert_passes(&self) {
        self.assert_passes_but(&[]);
    }

    /// Requires that every part has passed, but for the parts that this backend is known not to
    /// prove: they are printed as *not proven*, and nobody may say of them that the backend passes.
    ///
    /// # Panics
    /// With the report, if a part has failed, or is not proven and not named here.
    pub fn assert_passes_but(&self, not_proven: &[Part]) {
        assert!(self.passes(not_proven), "the store does not pass:\n{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in Part::ALL {
            let of_part = || self.cases().filter(|(case, _)| case.part() == part);
            let passed = of_part().filter(|(_, verdict)| matches!(verdict, CaseVerdict::Passed)).count();
            let word = match self.part(part) {
                PartVerdict::Passed => "passed",
                PartVerdict::NotProven => "not proven",
                PartVerdict::Failed => "FAILED",
            };
            writeln!(f, "{part:<18}{word:<12}{passed} of {} cases passed", of_part().count())?;
            for (case, verdict) in of_part() {
                match verdict {
                    CaseVerdict::Passed => {}
                    CaseVerdict::NotProven => writeln!(f, "    {}: not proven", case.name())?,
                    CaseVerdict::Failed(violation) => writeln!(f, "    {}: {}", case.name(), Chain(violation))?,
                }
            }
        }
        Ok(())
    }
}

/// An error with its sources.
struct Chain<'a>(&'a Violation);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        // What a history has to say is in the message already.
        if matches!(self.0, Violation::History(_)) {
            return Ok(());
        }
        let mut source = std::error::Error::source(self.0);
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
