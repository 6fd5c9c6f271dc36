//! A program that runs with a clock that is off, by `faketime` (Debian's package of that name).

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A program that runs another one with a shifted clock. Only the time of day is shifted; what the
/// program measures with a monotonic clock is right.
#[derive(Debug)]
pub struct Shifted {
    place: TempDir,
}

impl Shifted {
    /// Makes the program. Its clock is right until [`set`](Self::set).
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        // `faketime` runs a program as its child, which would not get our signals. What it sets up
        // is set up here instead.
        let library = Command::new("faketime").args(["-m", "-f", "+0s", "sh", "-c", "echo \"$LD_PRELOAD\""]).output();
        let Ok(library) = library else { panic!("faketime is missing: on Debian, `apt-get install faketime`") };
        let library = String::from_utf8(library.stdout).unwrap();
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("program");
        let text = format!(
            "#!/bin/sh\nFAKETIME=\"$(cat '{}')\"\nLD_PRELOAD='{}'\nFAKETIME_DONT_FAKE_MONOTONIC=1\n\
             export FAKETIME LD_PRELOAD FAKETIME_DONT_FAKE_MONOTONIC\nexec '{}' \"$@\"\n",
            place.path().join("shift").display(),
            library.trim(),
            program.as_ref().display(),
        );
        std::fs::write(&script, text).unwrap();
        #[cfg(unix)]
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        let shifted = Self { place };
        shifted.set(0);
        shifted
    }

    /// Returns the path of the program.
    #[must_use]
    pub fn program(&self) -> PathBuf {
        self.place.path().join("program")
    }

    /// Sets by how many seconds the clock of the next run is ahead.
    pub fn set(&self, seconds: i64) {
        std::fs::write(self.place.path().join("shift"), format!("{seconds:+}s")).unwrap();
    }
}
