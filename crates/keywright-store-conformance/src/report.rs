//! The results of a run of the suite, part by part.

use std::fmt;

use crate::case::Case;
use crate::verdict::{CaseVerdict, Part, PartVerdict};
use crate::violation::Violation;

/// The verdicts on all cases that were run.
#[derive(Debug, Default)]
#[must_use = "a report that nobody asks proves nothing"]
pub struct Report {
    cases: Vec<(Case, CaseVerdict)>,
}

impl Report {
    pub(crate) fn add(&mut self, case: Case, verdict: CaseVerdict) {
        self.cases.push((case, verdict));
    }

    /// Returns every case with its verdict, in the order of the run.
    pub fn cases(&self) -> impl Iterator<Item = (&Case, &CaseVerdict)> {
        self.cases.iter().map(|(case, verdict)| (case, verdict))
    }

    /// Returns every case that has failed.
    pub fn failed(&self) -> impl Iterator<Item = (&Case, &Violation)> {
        self.cases().filter_map(|(case, verdict)| match verdict {
            CaseVerdict::Failed(violation) => Some((case, violation)),
            CaseVerdict::Passed | CaseVerdict::NotProven => None,
        })
    }

    /// Returns the verdict on a part. A part of which no case was run is not proven.
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

    /// Returns whether no part has failed and every part has passed, except for those named.
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
    /// Panics with the report if a part has failed or is not proven.
    pub fn assert_passes(&self) {
        self.assert_passes_but(&[]);
    }

    /// Requires that every part has passed, except for the parts that this backend is known not to
    /// prove. These are printed as *not proven*, and such a backend must not be said to pass.
    ///
    /// # Panics
    /// Panics with the report if a part has failed, or if a part is not proven and not named here.
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
        // The message of a history already contains its details.
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
