//! A program in a folder of its own, and a server of it on a free port.
//!
//! The program takes `--listen ADDRESS`, and prints `listening on URL` as its last line once it does. What it logs goes to
//! `log.txt` in its folder.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};

use tempfile::TempDir;

/// Files for a program, removed at the end.
#[derive(Debug)]
pub struct Folder {
    files: TempDir,
    program: PathBuf,
}

impl Folder {
    /// An empty folder for a program: `env!("CARGO_BIN_EXE_…")` in a test of the program's own crate.
    #[must_use]
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self { files: tempfile::tempdir().unwrap(), program: program.as_ref().to_owned() }
    }

    /// Where a file lies.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
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

    /// Starts a server here, and waits until it says that it is listening.
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

    /// Runs a server that must not start. Returns its complaint.
    #[must_use]
    pub fn refuse(&self, options: &[&str]) -> String {
        complaint(self.command(options))
    }

    /// Runs an operator's command that must fail. Returns its complaint.
    #[must_use]
    pub fn refuse_command(&self, options: &[&str]) -> String {
        complaint(self.program(options))
    }

    /// Runs an operator's command that prints something and fails. Returns both.
    #[must_use]
    pub fn fail(&self, options: &[&str]) -> (String, String) {
        let Output { status, stdout, stderr } = self.program(options).output().unwrap();
        let (printed, complaint) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(1), "{printed}\n{complaint}");
        (printed, complaint)
    }

    /// Runs an operator's command that succeeds. Returns what it printed.
    pub fn run(&self, options: &[&str]) -> String {
        let Output { status, stdout, stderr } = self.program(options).output().unwrap();
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        String::from_utf8(stdout).unwrap()
    }

    /// The exit code for a command line that is none.
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

/// The process, ended at the latest when this is dropped.
#[derive(Debug)]
#[non_exhaustive]
pub struct Server {
    child: Child,
    output: BufReader<ChildStdout>,
    /// What it printed before it was listening.
    pub printed: String,
    /// Where it listens, with the scheme.
    pub url: String,
    log: PathBuf,
}

impl Server {
    /// Where it listens: `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.split_once("://").unwrap().1
    }

    /// What it logged so far, and the servers before it in the same folder.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Sends a signal, by the name that `kill` knows.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// Waits for its end. Returns how it ended.
    pub fn wait(mut self) -> ExitStatus {
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "nothing is printed after `listening on`");
        self.child.wait().unwrap()
    }

    /// Ends it in order, and asserts that it took it so.
    pub fn stop(self) {
        self.signal("TERM");
        let log = self.log.clone();
        assert!(self.wait().success(), "{}", fs::read_to_string(log).unwrap());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A process that has ended already makes both calls harmless.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}
