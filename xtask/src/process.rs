//! Runs programs, and passes their output on while reading it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

use crate::count::Counts;
use crate::error::Error;

/// Returns the command as a user would type it, with only the name of the program, wherever it was
/// found.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let words = std::iter::once(program.file_name().unwrap_or(program.as_os_str())).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs a program to its end, passes both streams on line by line, and adds the test counts found
/// in them.
///
/// # Errors
/// An error if the program cannot be started, or does not exit with 0.
pub(crate) fn stream(command: &mut Command, counts: &mut Counts) -> Result<(), Error> {
    stream_to(command, counts, &mut io::stdout(), &mut io::stderr())
}

fn stream_to(
    command: &mut Command,
    counts: &mut Counts,
    own_output: &mut impl Write,
    own_errors: &mut (impl Write + Send),
) -> Result<(), Error> {
    let name = shown(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(Error::io(format!("cannot start `{name}`")))?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let found = thread::scope(|scope| {
        let errors = scope.spawn(move || pass_through(errors, own_errors));
        let mut found = pass_through(output, own_output);
        found.add(errors.join().unwrap_or_default());
        found
    });
    counts.add(found);
    let status = child.wait().map_err(Error::io(format!("waiting for `{name}`")))?;
    if status.success() { Ok(()) } else { Err(Error::Command { command: name, outcome: format!("failed: {status}") }) }
}

/// Runs a program to its end, and returns its standard output. Standard error is passed on.
///
/// # Errors
/// An error if the program cannot be started, does not exit with 0, or prints something that is not
/// UTF-8.
pub(crate) fn read(command: &mut Command) -> Result<String, Error> {
    let name = shown(command);
    command.stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().map_err(Error::io(format!("cannot start `{name}`")))?;
    if !output.status.success() {
        return Err(Error::Command { command: name, outcome: format!("failed: {}", output.status) });
    }
    String::from_utf8(output.stdout)
        .map_err(|_| Error::Command { command: name, outcome: "printed something that is not UTF-8".to_owned() })
}

/// Runs a program to its end, and returns how it ended and everything it printed, for a caller that
/// judges both.
///
/// # Errors
/// An error if the program cannot be started.
pub(crate) fn both(command: &mut Command) -> Result<(ExitStatus, String), Error> {
    let name = shown(command);
    command.stdin(Stdio::null());
    let output = command.output().map_err(Error::io(format!("cannot start `{name}`")))?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    Ok((output.status, text))
}

/// Works on bytes, because a runner's output is passed on unchanged, whatever it contains.
fn pass_through(source: Option<impl Read>, sink: &mut impl Write) -> Counts {
    let mut counts = Counts::default();
    let Some(source) = source else { return counts };
    let mut source = BufReader::new(source);
    let mut line = Vec::new();
    while matches!(source.read_until(b'\n', &mut line), Ok(1..)) {
        // A closed sink must not stop the reading, or the program would block on a full pipe.
        let _shown = sink.write_all(&line).and_then(|()| sink.flush());
        if let Some(found) = Counts::of_line(&String::from_utf8_lossy(&line)) {
            counts.add(found);
        }
        line.clear();
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_both_streams_and_names_a_failure() {
        let mut counts = Counts::default();
        let script = "echo 'ok - one'; echo 'not ok - two' >&2; printf 'ok - without newline'; exit 3";
        let (mut output, mut errors) = (Vec::new(), Vec::new());
        let mut command = Command::new("sh");
        let error = stream_to(command.args(["-c", script]), &mut counts, &mut output, &mut errors).unwrap_err();
        assert_eq!((output, errors), (b"ok - one\nok - without newline".to_vec(), b"not ok - two\n".to_vec()));
        assert_eq!(counts, Counts { passed: 2, failed: 1 });
        assert!(error.to_string().starts_with("`sh -c echo"), "{error}");
        assert!(error.to_string().ends_with("failed: exit status: 3"), "{error}");
    }

    #[test]
    fn commands_are_shown_as_typed() {
        assert_eq!(shown(Command::new("/opt/rust/bin/cargo").args(["fmt", "--check"])), "cargo fmt --check");
    }

    #[test]
    fn bytes_pass_unchanged() {
        let mut sink = Vec::new();
        let counts = pass_through(Some(&b"\xff\xfe\nok - yes\r\nend"[..]), &mut sink);
        assert_eq!(sink, b"\xff\xfe\nok - yes\r\nend");
        assert_eq!(counts, Counts { passed: 1, failed: 0 });
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = read(&mut Command::new("keywright-no-such-program")).unwrap_err();
        assert!(error.to_string().contains("`keywright-no-such-program`"), "{error}");
    }
}
