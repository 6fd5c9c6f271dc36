//! The hosts of the protocols, one file each, and what they share.

pub(crate) mod librepass;
pub(crate) mod nextcloud;
pub(crate) mod rocketchat;
pub(crate) mod selfservice;
pub(crate) mod server;
