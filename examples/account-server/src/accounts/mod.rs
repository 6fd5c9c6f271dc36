//! Who there is: profiles and app passwords, sealed records in the same store.
//!
//! An account's own partition belongs to Keywright, and a reset empties it. So what must outlive a reset lies in the
//! partitions of names: the profile under the login name's index value, an app password under its own. The account's id
//! is `acc-` and the login name's index value: stored nowhere twice, and telling nobody the name.

pub(crate) mod directory;
pub(crate) mod error;
pub(crate) mod file;
mod keys;
pub(crate) mod new_account;
mod password;
mod permissions;
mod rocketchat;
pub(crate) mod seed;
pub(crate) mod slots;
#[cfg(test)]
mod testing;
