//! The applications are short, and the README says how short.

use std::fs;
use std::path::Path;

const FRAMEWORKS: [&str; 6] = ["axum", "actix-web", "rocket", "poem", "hyper", "axum-login"];
/// Each `main.rs`, which is all of an application, and each `host.rs` has fewer lines.
const LINES: usize = 120;
/// What is in `main.rs` only, so that its lines are all that there are.
const CALLS: [&str; 6] = ["two_factor()", "confirmations()", "ensure_account", "erase_account", "or_refuse", "step_up"];

#[test]
fn every_application_is_one_short_file_and_the_readme_counts_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    for framework in FRAMEWORKS {
        let sources = fs::read_dir(folder.join(framework).join("src")).unwrap().count();
        assert_eq!(sources, 2, "{framework}");
        let read = |file| fs::read_to_string(folder.join(framework).join("src").join(file)).unwrap();
        let (main, host) = (read("main.rs"), read("host.rs"));
        for call in CALLS {
            assert!(!host.contains(call), "{framework}/host.rs has {call}");
        }
        // Asked before the session is stored, a sign-in under way outlives an enrolment, in a window too short for a test.
        let started = main.find("start_session(").unwrap_or_default();
        assert!(main.find("enrolled(").is_some_and(|asked| started < asked), "{framework} asks before it starts");
        let [main, host] = [main, host].map(|text| text.lines().count());
        assert!(main < LINES && host < LINES, "{framework} has {main} and {host} lines");
        let row = format!("| {framework} | {main} | {host} |");
        assert!(readme.contains(&row), "the README lacks the row {row}");
    }
}
