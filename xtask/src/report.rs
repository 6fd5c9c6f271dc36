//! The progress of a suite: a heading and a time for each step, and a summary at the end.

use std::time::{Duration, Instant};

use crate::count::Counts;
use crate::error::Error;

/// The times and counts of the steps so far.
#[derive(Debug)]
pub(crate) struct Report {
    started: Instant,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    name: &'static str,
    took: Duration,
    counts: Counts,
    passed: bool,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), steps: Vec::new() }
    }

    /// Runs one step under its heading.
    ///
    /// # Errors
    /// [`Error::Step`] with the step's name. The step's own error has been printed.
    pub(crate) fn step(
        &mut self,
        name: &'static str,
        run: impl FnOnce(&mut Counts) -> Result<(), Error>,
    ) -> Result<(), Error> {
        println!("\n=== {name}");
        let started = Instant::now();
        let mut counts = Counts::default();
        let mut outcome = run(&mut counts);
        if outcome.is_ok() && counts.failed > 0 {
            outcome = Err(Error::Check(format!("{} tests failed, though the program exited with 0", counts.failed)));
        }
        let took = started.elapsed();
        self.steps.push(Step { name, took, counts, passed: outcome.is_ok() });
        match outcome {
            Ok(()) => {
                println!("--- {name}: {:.1} s", took.as_secs_f64());
                Ok(())
            }
            Err(error) => {
                println!("--- {name}: FAILED after {:.1} s\n{error}", took.as_secs_f64());
                Err(Error::Step(name))
            }
        }
    }

    /// Prints every step and, alone on the last line, the sum of all tests.
    pub(crate) fn finish(self) {
        println!("\n=== summary, {:.0} s in all", self.started.elapsed().as_secs_f64());
        print!("{}", self.summary());
    }

    fn summary(&self) -> String {
        let mut text = String::new();
        let mut sum = Counts::default();
        for Step { name, took, counts, passed } in &self.steps {
            sum.add(*counts);
            let verdict = if *passed { "ok" } else { "FAILED" };
            let tests = match counts.passed.saturating_add(counts.failed) {
                0 => String::new(),
                all => format!(", {all} tests"),
            };
            text.push_str(&format!("{verdict:<6} {:>7.1} s  {name}{tests}\n", took.as_secs_f64()));
        }
        // A step that failed without counting a test (a lint, a missing tool) still counts as a
        // failure.
        let uncounted = self.steps.iter().filter(|step| !step.passed && step.counts.failed == 0).count();
        sum.add(Counts { passed: 0, failed: u64::try_from(uncounted).unwrap_or(u64::MAX) });
        text.push_str(&format!("{} passed, {} failed\n", sum.passed, sum.failed));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_stands_alone_on_the_last_line() {
        let mut report = Report::new();
        report
            .step("one", |counts| {
                counts.pass();
                Ok(())
            })
            .unwrap();
        report
            .step("two", |counts| {
                counts.add(Counts { passed: 4, failed: 0 });
                Ok(())
            })
            .unwrap();
        let summary = report.summary();
        assert!(summary.ends_with("\n5 passed, 0 failed\n"), "{summary}");
        assert!(summary.contains("two, 4 tests"), "{summary}");
    }

    #[test]
    fn a_failing_step_names_itself_and_is_never_zero_failures() {
        let mut report = Report::new();
        let error = report.step("lints", |_| Err(Error::Check("warning".to_owned()))).unwrap_err();
        assert_eq!(error.to_string(), "step failed: lints");
        assert!(report.summary().ends_with("\n0 passed, 1 failed\n"));
    }

    #[test]
    fn failed_tests_fail_the_step_even_if_the_program_says_otherwise() {
        let mut report = Report::new();
        let outcome = report.step("tests", |counts| {
            counts.add(Counts { passed: 1, failed: 1 });
            Ok(())
        });
        assert!(outcome.is_err());
        assert!(report.summary().ends_with("\n1 passed, 1 failed\n"));
    }
}
