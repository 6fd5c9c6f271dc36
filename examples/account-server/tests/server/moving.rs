//! Taking second factors out of one store and into another.

use crate::program::new_folder;

const LINE: &str = r#"{"version":1,"account":"user-1","devices":[{"name":"phone","secret":"JBSWY3DPEHPK3PXP"}],"recovery":{"clear":["zqk47pna"]}}"#;

#[test]
fn what_is_exported_is_imported_elsewhere() {
    let old = new_folder();
    old.start(&[]).stop();
    old.write("users.jsonl", &format!("{LINE}\n"));
    let import = |dry: bool| {
        let mut command = vec!["accounts", "import", "users.jsonl"];
        command.extend(dry.then_some("--dry-run"));
        command
    };
    let said = "imported: 1, before: 0, with factors of their own: 0, not accepted: 0";
    assert_eq!(old.run(&import(true)), format!("{said}; nothing was written\n"));
    assert_eq!(old.run(&import(false)), format!("{said}\n"));
    assert!(old.run(&import(false)).starts_with("imported: 0, before: 1, "));

    let refused = old.refuse_command(&["accounts", "export", "out.jsonl"]);
    assert!(refused.contains("without --secrets-in-clear") && !old.path("out.jsonl").exists(), "{refused}");
    let export = ["accounts", "export", "out.jsonl", "--secrets-in-clear"];
    let said = old.run(&export);
    assert!(said.contains("secrets in clear: out.jsonl"), "{said}");
    assert!(old.refuse_command(&export).contains("the file out.jsonl cannot be read or written"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(old.path("out.jsonl").metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(old.run(&["events", "user-1"]).contains("factors_exported"));

    let new = new_folder();
    new.start(&[]).stop();
    new.write("users.jsonl", &old.read("out.jsonl"));
    assert!(new.run(&import(false)).starts_with("imported: "));
    assert!(new.run(&["accounts", "show", "user-1"]).contains("1"));
    new.write("users.jsonl", "PLANTED");
    let complaint = new.refuse_command(&import(false));
    assert!(complaint.contains("line 1 of the file is not a user") && !complaint.contains("PLANTED"), "{complaint}");
}
