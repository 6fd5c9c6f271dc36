//! The server as its users meet it: the real program on a free port, with its files in a temporary
//! folder.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod client;
mod program;

mod accounts;
mod demo;
mod files;
mod http;
mod librepass;
mod limits;
mod mail;
mod operator;
mod postgres;
mod rocketchat;
mod smtp;
mod stop;
mod tls;
