//! Runs a program in its own folder, and a server on a free port.
//!
//! The program takes `--listen ADDRESS`. Once it listens, it prints `listening on URL` as its last
//! line. Its log goes to `log.txt` in its folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A line of the log is in its file within this time.
const WRITTEN_WITHIN: Duration = Duration::from_millis(100);

/// A folder with the files of a program, removed at the end.
#[derive(Debug)]
pub struct Folder {
    files: TempDir,
    program: PathBuf,
}

impl Folder {
    /// Creates an empty folder for a program: `env!("CARGO_BIN_EXE_…")` in a test of the program's
    /// own crate.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self { files: tempfile::tempdir().unwrap(), program: program.as_ref().to_owned() }
    }

    /// Returns the path of a file.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a file. A new one is accessible only to its owner, as files with secrets must be.
    pub fn write(&self, name: &str, text: &str) {
        let mut options = File::options();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Reads a file.
    #[must_use]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn program(&self, options: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.files.path()).args(options).stdin(Stdio::null());
        command
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = self.program(options);
        if !options.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        command
    }

    /// Starts a server in this folder, and waits until it reports that it is listening.
    #[must_use]
    pub fn start(&self, options: &[&str]) -> Server {
        let log = File::options().create(true).append(true).open(self.path("log.txt")).unwrap();
        let mut child = self.command(options).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        let url = loop {
            let mut line = String::new();
            if output.read_line(&mut line).unwrap() == 0 {
                panic!("the server ended:\n{printed}\n{}", self.read("log.txt"));
            }
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.trim_end().to_owned();
            }
            printed.push_str(&line);
        };
        Server { child, output, printed, url, log: self.path("log.txt") }
    }

    /// Runs a server that must not start, and returns its error output.
    #[must_use]
    pub fn refuse(&self, options: &[&str]) -> String {
        complaint(self.command(options))
    }

    /// Runs an operator's command that must fail, and returns its error output.
    #[must_use]
    pub fn refuse_command(&self, options: &[&str]) -> String {
        complaint(self.program(options))
    }

    /// Runs an operator's command that prints something and fails. Returns both outputs.
    #[must_use]
    pub fn fail(&self, options: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.program(options).output().unwrap();
        let (printed, complaint) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(1), "{printed}\n{complaint}");
        (printed, complaint)
    }

    /// Runs an operator's command that must succeed, and returns what it printed.
    pub fn run(&self, options: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.program(options).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// Runs an operator's command, and returns what it printed if it succeeded.
    #[must_use]
    pub fn try_run(&self, options: &[&str]) -> Option<String> {
        let Output { status, stdout, .. } = self.program(options).output().unwrap();
        status.success().then(|| String::from_utf8(stdout).unwrap())
    }

    /// Returns the exit code for an invalid command line.
    #[must_use]
    pub fn usage(&self, options: &[&str]) -> Option<i32> {
        self.command(options).output().unwrap().status.code()
    }
}

fn complaint(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let complaint = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{complaint}");
    assert!(!String::from_utf8(stdout).unwrap().contains("listening on"));
    assert!(!complaint.contains("panicked"), "{complaint}");
    complaint
}

/// The process, which ends at the latest when this is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What the process printed before it was listening.
    pub printed: String,
    /// The URL that it listens on, with the scheme.
    pub url: String,
    log: PathBuf,
}

impl Server {
    /// Returns the address that it listens on: `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the log so far, including that of earlier servers in the same folder.
    /// A thread of the server writes it, so this waits until nothing more comes.
    #[must_use]
    pub fn log(&self) -> String {
        let mut before = fs::read_to_string(&self.log).unwrap();
        loop {
            std::thread::park_timeout(WRITTEN_WITHIN);
            let log = fs::read_to_string(&self.log).unwrap();
            if log == before {
                return log;
            }
            before = log;
        }
    }

    /// Sends a signal, by its name in `kill`.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for the end of the process, and returns its exit status.
    pub fn wait(mut self) -> ExitStatus {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "nothing is printed after `listening on`");
        self.child.wait().unwrap()
    }

    /// Ends the process in order, and asserts that it exited in order.
    pub fn stop(self) {
        self.signal("TERM");
        let log = self.log.clone();
        assert!(self.wait().success(), "{}", fs::read_to_string(log).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If the process has ended already, both calls are harmless.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
