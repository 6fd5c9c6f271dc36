//! Counts tests from the output of the runners, so that one number covers all of them.

/// Counts of tests that ran.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed = self.passed.saturating_add(other.passed);
        self.failed = self.failed.saturating_add(other.failed);
    }

    pub(crate) fn pass(&mut self) {
        self.add(Self { passed: 1, failed: 0 });
    }

    /// Parses one printed line: the closing line of nextest or of libtest, or one step of a client
    /// driver.
    pub(crate) fn of_line(line: &str) -> Option<Self> {
        let line = without_colour(line);
        let line = line.trim();
        if line.starts_with("ok - ") {
            return Some(Self { passed: 1, failed: 0 });
        }
        if line.starts_with("not ok - ") {
            return Some(Self { passed: 0, failed: 1 });
        }
        if let Some(result) = line.strip_prefix("test result: ") {
            let (_, counts) = result.split_once(". ")?;
            return Self::sum(counts.split(';'));
        }
        let (_, counts) = line.strip_prefix("Summary [")?.split_once(" run: ")?;
        Self::sum(counts.split(','))
    }

    /// Adds up parts such as `3 passed (1 slow)`, `2 failed`, `1 timed out`, `0 skipped`. The
    /// bracket may itself contain a comma.
    fn sum<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut counts = Self::default();
        for part in parts {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            if what.starts_with("passed") {
                counts.add(Self { passed: number, failed: 0 });
            } else if ["failed", "exec failed", "timed out"].iter().any(|kind| what.starts_with(kind)) {
                counts.add(Self { passed: 0, failed: number });
            }
        }
        Some(counts)
    }
}

/// Removes the escape sequences that colour a terminal: ESC `[` … letter.
fn without_colour(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        if character == '\u{1b}' {
            let _sequence = characters.by_ref().find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<(u64, u64)> {
        Counts::of_line(line).map(|counts| (counts.passed, counts.failed))
    }

    #[test]
    fn libtest_closing_lines() {
        let tail = "3 ignored; 0 measured; 9 filtered out; finished in 0.04s";
        assert_eq!(of(&format!("test result: ok. 12 passed; 0 failed; {tail}")), Some((12, 0)));
        assert_eq!(of(&format!("test result: FAILED. 7 passed; 2 failed; {tail}")), Some((7, 2)));
    }

    #[test]
    fn nextest_closing_lines() {
        assert_eq!(of("     Summary [   0.123s] 5 tests run: 5 passed, 0 skipped"), Some((5, 0)));
        assert_eq!(
            of("     Summary [  61.0s] 9 tests run: 5 passed (1 slow, 2 leaky), 4 failed, 1 skipped"),
            Some((5, 4))
        );
        assert_eq!(
            of("Summary [ 1.0s] 4/6 tests run: 1 passed, 1 failed, 1 exec failed, 1 timed out, 0 skipped"),
            Some((1, 3))
        );
        assert_eq!(of("     Summary [   0.001s] 1 test run: 1 passed, 0 skipped"), Some((1, 0)));
    }

    #[test]
    fn colour_does_not_hide_a_count() {
        assert_eq!(
            of("\u{1b}[32;1m     Summary\u{1b}[0m [ 0.1s] \u{1b}[1m2\u{1b}[0m tests run: 2 passed, 0 skipped"),
            Some((2, 0))
        );
        assert_eq!(of("test result: \u{1b}[32mok\u{1b}(B\u{1b}[m. 1 passed; 0 failed; 0 ignored"), Some((1, 0)));
    }

    #[test]
    fn driver_steps() {
        assert_eq!(of("ok - the right code resets the account"), Some((1, 0)));
        assert_eq!(of("not ok - the right code resets the account"), Some((0, 1)));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in ["", "running 5 tests", "test a::b ... ok", "Summary of the log", "it was ok - really", "5 passed"]
        {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
