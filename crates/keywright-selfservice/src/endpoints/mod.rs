//! One file for each group of pages. An endpoint reads what was sent, lets the owner's act happen,
//! and returns a page.

pub(crate) mod admit;
pub(crate) mod confirm;
pub(crate) mod enrol;
pub(crate) mod factors;
pub(crate) mod others;
pub(crate) mod overview;
pub(crate) mod proof;
pub(crate) mod recovery;
