//! The protocol over HTTP: the host's interface, requests, endpoints and answers.

pub(crate) mod admission;
pub(crate) mod answer;
pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod context;
pub(crate) mod endpoints;
pub(crate) mod host;
pub(crate) mod pages;
pub(crate) mod privacy;
pub(crate) mod request;
pub(crate) mod service;
