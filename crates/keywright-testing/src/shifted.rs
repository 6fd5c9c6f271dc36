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
    /// Makes the program. The clock of its next run is right until [`set`](Self::set).
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self::by(program.as_ref(), "FAKETIME=\"$(cat 'SHIFT')\"")
    }

    /// Makes a program whose clock follows [`set`](Self::set) while it runs.
    #[must_use]
    pub fn live(program: impl AsRef<Path>) -> Self {
        Self::by(program.as_ref(), "unset FAKETIME; FAKETIME_TIMESTAMP_FILE='SHIFT' FAKETIME_NO_CACHE=1")
    }

    /// `setting` sets the variables that name the shift; `SHIFT` stands for the file.
    fn by(program: &Path, setting: &str) -> Self {
        // `faketime` runs a program as its child, which would not get our signals. What it sets up
        // is set up here instead.
        let library = Command::new("faketime").args(["-m", "-f", "+0s", "sh", "-c", "echo \"$LD_PRELOAD\""]).output();
        let Ok(library) = library else { panic!("faketime is missing: on Debian, `apt-get install faketime`") };
        let library = String::from_utf8(library.stdout).unwrap();
        let place = tempfile::tempdir().unwrap();
        let script = place.path().join("program");
        let text = format!(
            "#!/bin/sh
set -a
{}
LD_PRELOAD='{}'
FAKETIME_DONT_FAKE_MONOTONIC=1
exec '{}' \"$@\"
",
            setting.replace("SHIFT", &place.path().join("shift").display().to_string()),
            library.trim(),
            program.display(),
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

    /// Sets by how many seconds the clock is ahead, of the next run or, of a [`live`](Self::live)
    /// program, from now on.
    pub fn set(&self, seconds: i64) {
        std::fs::write(self.place.path().join("shift"), format!("{seconds:+}s")).unwrap();
    }
}
