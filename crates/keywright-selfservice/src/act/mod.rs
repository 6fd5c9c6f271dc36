//! What the owner does, for the pages and for the JSON API alike.

pub(crate) mod activity;
pub(crate) mod confirm;
pub(crate) mod factors;
pub(crate) mod mailed;
pub(crate) mod password;
pub(crate) mod proof;
pub(crate) mod sessions;
