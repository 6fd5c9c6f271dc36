//! The account-server in a temporary folder.

pub(crate) use keywright_testing::process::{Folder, Server};

/// Files for a server, removed at the end.
pub(crate) fn new_folder() -> Folder {
    Folder::new(env!("CARGO_BIN_EXE_account-server"))
}
