//! The protocol over HTTP: the host's interface, requests, endpoints and answers.

pub(crate) mod answer;
pub(crate) mod context;
pub(crate) mod endpoints;
pub(crate) mod error;
pub(crate) mod host;
pub(crate) mod privacy;
pub(crate) mod request;
pub(crate) mod service;
