//! What the protocols ask of the server around them, one file each.

pub(crate) mod librepass;
pub(crate) mod nextcloud;
pub(crate) mod rocketchat;
