//! Profiles and app passwords, which are sealed records in the same store.
//!
//! An account's own partition belongs to Keywright, and a reset empties it. Data that must outlive
//! a reset is therefore in the partitions of names: the profile under the login name's index value,
//! and an app password under its own. The account's id is `acc-` followed by the login name's index
//! value, so it is not stored a second time and does not reveal the name.

mod compare;
pub(crate) mod directory;
pub(crate) mod error;
pub(crate) mod file;
mod keys;
mod logins;
pub(crate) mod new_account;
mod password;
mod permissions;
mod rocketchat;
pub(crate) mod seed;
mod settings;
pub(crate) mod slots;
#[cfg(test)]
mod testing;
