//! keywright-nextcloud
#![forbid(unsafe_code)]

mod endpoints;
mod error;
mod host;
mod keychain;
mod login;
mod policy;
mod request;
mod service;
mod session;
#[cfg(feature = "tower")]
mod tower;

pub use host::{Admittance, AppToken, AppTokenId, Endpoint, Host, HostError, Login, Unproven};
pub use policy::{BASE_PATH, MAX_BODY, MAX_SESSIONS, NextcloudPolicy, ResetStyle, SESSION_ABSOLUTE, SESSION_LIFETIME};
pub use service::{DueError, Nextcloud};
