//! Signing in to the pages on which owners manage the security of their accounts: by name and
//! password, and by a code where a second factor is enrolled.

mod browser;
pub(crate) mod cookie;
pub(crate) mod page;
pub(crate) mod password;
pub(crate) mod routes;
pub(crate) mod sessions;
