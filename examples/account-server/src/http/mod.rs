//! HTTP: the routes, and how the server listens.

pub(crate) mod bodies;
pub(crate) mod connections;
pub(crate) mod entry;
pub(crate) mod gate;
pub(crate) mod links;
pub(crate) mod origin;
pub(crate) mod peer;
pub(crate) mod refusal;
pub(crate) mod routes;
pub(crate) mod serve;
pub(crate) mod tls;
pub(crate) mod unlock;
