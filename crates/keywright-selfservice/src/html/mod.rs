//! The pages as HTML. Every text that is inserted is escaped by `maud`.

pub(crate) mod actions;
pub(crate) mod admit;
pub(crate) mod codes;
pub(crate) mod enrol;
pub(crate) mod factors;
pub(crate) mod icon;
pub(crate) mod messages;
pub(crate) mod overview;
pub(crate) mod parts;
pub(crate) mod view;
