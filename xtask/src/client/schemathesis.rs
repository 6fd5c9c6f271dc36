//! Generated requests: Schemathesis against a running account-server, from `docs/openapi.json`.
//! Every answer must be one that the document has: a status, a media type and a body of its
//! protocol, never a 500, within a time.

use std::path::Path;
use std::process::Command;

use super::scene::Scene;
use super::server::Server;
use super::venv::Venv;
use crate::count::Counts;
use crate::error::Error;
use crate::process;

const DOCUMENT: &str = "docs/openapi.json";

/// The requests for each operation of the document in `cargo xtask test`; with its 72 operations,
/// more than [`LEAST_REQUESTS`] in all.
pub(crate) const REQUESTS: u32 = 9;

/// The fewest requests that count as a run with [`REQUESTS`].
const LEAST_REQUESTS: u64 = 500;

/// With one seed and one worker, every run sends the same.
const SEED: &str = "67";

/// The users that the requests log in as, in turn.
const USERS: u32 = 200;

/// What is checked of every answer. Whether input is refused is not: the document leaves out much
/// that the protocols refuse, and lists nothing that they ignore.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance,response_headers_conformance";

/// The longest that an answer may take, in seconds: a debug build on a busy machine.
const ANSWERS_WITHIN: &str = "30";

/// Sends `requests` generated requests for each operation whose path matches `paths`.
///
/// # Errors
/// An error if something cannot be installed or started, or if an answer is not one of the
/// document's.
pub(super) fn run(
    root: &Path,
    runs: &Path,
    program: &Path,
    (requests, paths): (u32, Option<&str>),
    counts: &mut Counts,
) -> Result<(), Error> {
    let venv = Venv::install(root, runs, "schemathesis")?;
    let scene = Scene::new(runs, &accounts_file(), &serde_json::Value::Null)?;
    let course = generate(root, program, &venv, &scene, (requests, paths), counts);
    course.inspect_err(|_| scene.show_log("generated requests"))
}

fn generate(
    root: &Path,
    program: &Path,
    venv: &Venv,
    scene: &Scene,
    (requests, paths): (u32, Option<&str>),
    counts: &mut Counts,
) -> Result<(), Error> {
    let mut command = Command::new(program);
    command.args(["--listen", "127.0.0.1:0", "--store", "memory:", "--rate-limits", "off"]);
    command.args(["--librepass-verify-email", "off", "--accounts"]).arg(scene.path("accounts.toml"));
    command.arg("--outbox").arg(scene.path("outbox.txt"));
    let server = Server::launch(command, &scene.log(), "http://")?;
    let mut run = venv.python("-m");
    run.args(["schemathesis.cli", "run"]).arg(root.join(DOCUMENT)).args(["--url", server.address()]);
    run.args(["--phases", "fuzzing", "--max-examples", &requests.to_string(), "--seed", SEED, "--workers", "1"]);
    run.args(["--checks", CHECKS, "--max-response-time", ANSWERS_WITHIN, "--request-timeout", ANSWERS_WITHIN]);
    run.args(["--generation-database", "none", "--warnings", "off", "--continue-on-failure", "--no-color"]);
    if let Some(paths) = paths {
        run.args(["--include-path-regex", paths]);
    }
    run.env("SCHEMATHESIS_HOOKS", "hooks").env("KEYWRIGHT_URL", server.address());
    run.env("KEYWRIGHT_USERS", USERS.to_string());
    let (status, output) = process::both(&mut run)?;
    print!("{output}");
    if !status.success() {
        return Err(Error::Check("an answer to a generated request is not one of the document's".to_owned()));
    }
    let sent = generated(&output).unwrap_or(0);
    if requests >= REQUESTS && paths.is_none() && sent < LEAST_REQUESTS {
        return Err(Error::Check(format!("only {sent} requests were generated")));
    }
    println!("ok - {sent} generated requests have answers of their protocols");
    counts.pass();
    server.stop_counted(counts)
}

/// Parses the number in the line `508 generated, 508 passed`.
fn generated(output: &str) -> Option<u64> {
    output.lines().find_map(|line| line.trim().split_once(" generated,")?.0.parse().ok())
}

fn accounts_file() -> String {
    let table = |user: u32| {
        format!(
            "[[account]]\nname = \"user{user}\"\napp_passwords = [\"app-password-of-user-{user}\"]\n\
             [account.rocketchat]\nuser_id = \"id{user}\"\nauth_tokens = [\"auth-token-of-user-{user}\"]\n\
             verified_emails = [\"user{user}@example.org\"]\n\n"
        )
    };
    (0..USERS).map(table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_requests() {
        assert_eq!(generated("Test cases:\n  508 generated, 508 passed\n\nSeed: 67\n"), Some(508));
        assert_eq!(generated("Test cases:\n  188 generated, 2 found 2 unique failures"), Some(188));
        assert_eq!(generated("No test cases were generated"), None);
    }
}
