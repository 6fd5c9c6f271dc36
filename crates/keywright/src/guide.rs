//! The guide: one short page for each task. Every snippet on these pages is compiled and run by
//! the tests, and every promise names the test that shows it.
//!
//! | You want to | Page | Features |
//! |---|---|---|
//! | add two-factor authentication to an application with its own users | [`two_factor`] | `twofactor`, `qr` |
//! | take over the second factors that your users have | [`moving`] | `twofactor` |
//! | have users confirm what cannot be undone | [`confirm`] | `confirm` |
//! | demand a second factor before a sensitive action | [`step_up`] | `twofactor`, `web`, `axum` |
//! | keep a vault that only the client can read, and change its password | [`vault`] | `rekey` |
//! | choose a backend, or use your own tables | [`storage`] | `sqlite` |
//! | keep, rotate, back up and restore | [`keys`] | |
//! | test your server | [`testing`] | `testing` |
//! | serve the clients of Nextcloud Passwords | [`nextcloud`] | `nextcloud` |
//! | serve the REST clients of Rocket.Chat | [`rocketchat`] | `rocketchat` |
//! | serve the clients of LibrePass | [`librepass`] | `librepass` |
//! | run it | [`running`] | |
//! | use more than one machine | [`growing`] | |
//! | find a call | [`calls`], an example for each | |
//!
//! The pages are there in a documentation that is built with all features, as on docs.rs.

#[doc = include_str!("../guide/calls.md")]
pub mod calls {}
#[doc = include_str!("../guide/confirm.md")]
pub mod confirm {}
#[doc = include_str!("../guide/growing.md")]
pub mod growing {}
#[doc = include_str!("../guide/keys.md")]
pub mod keys {}
#[doc = include_str!("../guide/librepass.md")]
pub mod librepass {}
#[doc = include_str!("../guide/moving.md")]
pub mod moving {}
#[doc = include_str!("../guide/nextcloud.md")]
pub mod nextcloud {}
#[doc = include_str!("../guide/rocketchat.md")]
pub mod rocketchat {}
#[doc = include_str!("../guide/running.md")]
pub mod running {}
#[doc = include_str!("../guide/step_up.md")]
pub mod step_up {}
#[doc = include_str!("../guide/storage.md")]
pub mod storage {}
#[doc = include_str!("../guide/testing.md")]
pub mod testing {}
#[doc = include_str!("../guide/two_factor.md")]
pub mod two_factor {}
#[doc = include_str!("../guide/vault.md")]
pub mod vault {}
