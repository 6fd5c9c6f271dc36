//! A running server: account-server itself, or the mail server that it sends to.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::scene::Scene;
use crate::count::Counts;
use crate::error::Error;

/// A generous limit, because a debug build seeds its accounts with a slow hash and the machine may
/// be busy.
const READY_WITHIN: Duration = Duration::from_secs(120);
/// Requests in progress are finished first.
const STOPPED_WITHIN: Duration = Duration::from_secs(30);

/// The process, which ends at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    address: String,
    /// The lines of its standard output, closed when the process closes it.
    lines: Receiver<String>,
}

impl Server {
    /// Starts account-server on the files of the scene, and waits until it reports that it is
    /// listening.
    pub(crate) fn start(program: &Path, scene: &Scene, options: &[&str]) -> Result<Self, Error> {
        let mut command = Command::new(program);
        command.args(scene.server_options()).args(options);
        Self::launch(command, &scene.log(), "https://")
    }

    /// Starts a program that is a server and prints its URL, which starts with this scheme.
    pub(crate) fn launch(mut command: Command, log: &Path, scheme: &str) -> Result<Self, Error> {
        let log = File::options().create(true).append(true).open(log).map_err(Error::io("server.log"))?;
        let errors = log.try_clone().map_err(Error::io("server.log"))?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        let cannot = format!("cannot start {}", command.get_program().display());
        let mut child = command.spawn().map_err(Error::io(cannot))?;
        let (sender, lines) = channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || forward(output, log, &sender));
        }
        let mut server = Self { child, address: String::new(), lines };
        server.address = server.listening_on(scheme)?;
        Ok(server)
    }

    /// Stops the server, and counts a clean stop.
    pub(crate) fn stop_counted(self, counts: &mut Counts) -> Result<(), Error> {
        self.stop()?;
        println!("ok - the server stops cleanly when told to");
        counts.pass();
        Ok(())
    }

    /// Returns the URL that it listens on, without a slash at the end.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    fn listening_on(&self, scheme: &str) -> Result<String, Error> {
        let since = Instant::now();
        loop {
            let left = READY_WITHIN.saturating_sub(since.elapsed());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(url) = address_in(&line, scheme) {
                        return Ok(url);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    let waited = READY_WITHIN.as_secs();
                    return Err(Error::Check(format!("the server did not say `listening on URL` within {waited} s")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::Check("the server ended before it said `listening on URL`".to_owned()));
                }
            }
        }
    }

    /// Requests a stop, as a service manager does, and waits for a clean exit.
    pub(crate) fn stop(mut self) -> Result<(), Error> {
        // The standard library can only kill, but every Unix shell can send the signal.
        let ask = format!("kill -TERM {}", self.child.id());
        let asked = Command::new("sh").args(["-c", &ask]).status().map_err(Error::io(ask))?;
        if !asked.success() {
            return Err(Error::Check("the server had already ended when it was asked to stop".to_owned()));
        }
        let since = Instant::now();
        loop {
            match self.lines.recv_timeout(STOPPED_WITHIN.saturating_sub(since.elapsed())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let waited = STOPPED_WITHIN.as_secs();
                    return Err(Error::Check(format!("the server did not stop within {waited} s of SIGTERM")));
                }
            }
        }
        let status = self.child.wait().map_err(Error::io("waiting for the server"))?;
        if status.success() { Ok(()) } else { Err(Error::Check(format!("the server stopped with {status}"))) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Runs after a failure elsewhere. If the process has ended already, both calls are
        // harmless.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

fn forward(output: ChildStdout, mut log: File, lines: &Sender<String>) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let _logged = writeln!(log, "{line}");
        // Even if nobody receives the line any more, the rest still belongs in the log.
        let _heard = lines.send(line);
    }
}

/// Parses `listening on https://127.0.0.1:4711` into the URL without a slash at the end, if it has
/// the scheme. The clients require TLS, so another scheme is not accepted. Anything that a script
/// prints after a blank is kept.
fn address_in(line: &str, scheme: &str) -> Option<String> {
    let url = line.trim().strip_prefix("listening on ")?.trim();
    url.starts_with(scheme).then(|| url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;

    #[test]
    fn the_ready_line() {
        let https = |line| address_in(line, "https://");
        assert_eq!(https("listening on https://127.0.0.1:4711").as_deref(), Some("https://127.0.0.1:4711"));
        assert_eq!(https("listening on https://localhost:1/\r").as_deref(), Some("https://localhost:1"));
        assert_eq!(https("listening on http://127.0.0.1:1"), None);
        assert_eq!(https("now listening on https://127.0.0.1:1"), None);
        assert_eq!(address_in("listening on smtp://127.0.0.1:1", "smtp://").as_deref(), Some("smtp://127.0.0.1:1"));
    }

    /// A shell script in place of the server.
    fn launch(script: &str) -> (Scene, Result<Server, Error>) {
        let scene = Scene::new(&std::env::temp_dir(), "", &Value::Null).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(scene.log().parent().unwrap());
        let server = Server::launch(command, &scene.log(), "https://");
        (scene, server)
    }

    /// A script that blocks on an empty pipe until SIGTERM arrives, and then exits with this code.
    fn until_asked(exit: u8) -> String {
        let block = "mkfifo never; cat never > never.out 2>&1 &";
        format!("{block} trap \"kill $!; exit {exit}\" TERM; echo hello; echo listening on https://127.0.0.1:1; wait")
    }

    #[test]
    fn a_server_that_ends_early_is_reported() {
        let (scene, server) = launch("echo no such option >&2; exit 2");
        assert_eq!(server.unwrap_err().to_string(), "the server ended before it said `listening on URL`");
        assert_eq!(fs::read_to_string(scene.log()).unwrap(), "no such option\n");
    }

    #[test]
    fn a_clean_stop() {
        let (scene, server) = launch(&until_asked(0));
        let server = server.unwrap();
        assert_eq!(server.address(), "https://127.0.0.1:1");
        server.stop().unwrap();
        assert_eq!(fs::read_to_string(scene.log()).unwrap(), "hello\nlistening on https://127.0.0.1:1\n");
    }

    #[test]
    fn a_stop_with_an_error_is_reported() {
        let (_scene, server) = launch(&until_asked(7));
        assert_eq!(server.unwrap().stop().unwrap_err().to_string(), "the server stopped with exit status: 7");
    }
}
