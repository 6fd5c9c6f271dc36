//! HTTP: what is served where, and how it is listened for.

pub(crate) mod links;
pub(crate) mod peer;
pub(crate) mod routes;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod unlock;
