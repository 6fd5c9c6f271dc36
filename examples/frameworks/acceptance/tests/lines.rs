//! The applications are short, and the README says how short.

use std::fs;
use std::path::Path;

const FRAMEWORKS: [&str; 6] = ["axum", "actix-web", "rocket", "poem", "hyper", "axum-login"];
/// Each `main.rs`, which is all of an application, and each `host.rs` has fewer lines.
const LINES: usize = 120;

#[test]
fn every_application_is_one_short_file_and_the_readme_counts_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    for framework in FRAMEWORKS {
        let sources = fs::read_dir(folder.join(framework).join("src")).unwrap().count();
        assert_eq!(sources, 2, "{framework}");
        let [main, host] = ["main.rs", "host.rs"].map(|file| {
            let lines = fs::read_to_string(folder.join(framework).join("src").join(file)).unwrap().lines().count();
            assert!(lines < LINES, "{framework}/{file} has {lines} lines");
            lines
        });
        let row = format!("| {framework} | {main} | {host} |");
        assert!(readme.contains(&row), "the README lacks the row {row}");
    }
}
