//! HTTP: the routes, and how the server listens.

pub(crate) mod links;
pub(crate) mod peer;
pub(crate) mod routes;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod unlock;
