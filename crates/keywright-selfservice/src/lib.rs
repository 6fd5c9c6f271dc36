//! Pages and a JSON API with which the owner of an account manages its security.
//!
//! The owner sees what happened in the account, sets up authenticator apps and removes them, makes
//! recovery codes, ends sessions, cancels a pending change of address, and confirms what cannot be
//! undone. The pages are rendered on the server, in English and German, and work without script.
//! [`SelfService`] takes an `http::Request` with its whole body; with the feature `tower` it is a
//! `tower::Service`, which axum and every other framework that supports tower mounts. Your server
//! supplies a [`Host`]: who is logged in, the check of the password, and its own sessions.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod act;
mod answer;
mod api;
mod assets;
mod context;
mod endpoints;
mod host;
mod html;
mod policy;
mod request;
mod service;
mod texts;

pub use act::password::LOGIN_PASSWORD;
pub use act::sessions::SESSIONS_ENDED;
pub use host::{
    Caller, ConfirmStyle, Frame, Host, HostAction, LinkAdmits, OwnerAction, PendingAddress, RememberedBrowser,
};
pub use keywright_wire::{Decoys, HostError, Network, queue};
pub use policy::{SelfServicePolicy, SelfServicePolicyBuilder, SelfServicePolicyError};
pub use request::{Endpoint, is_cross_site};
pub use service::SelfService;
pub use texts::{English, German, Text, Texts};
