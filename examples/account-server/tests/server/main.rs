//! The server as its users meet it: the real program on a free port, with its files in a temporary
//! folder.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic in a test is a failed test")]

mod client;
mod program;

mod accounts;
#[cfg(unix)]
mod admission;
#[cfg(unix)]
mod clock;
mod commands;
mod copies;
mod damage;
mod demo;
mod files;
mod http;
mod http_table;
mod keys;
mod librepass;
mod limits;
mod log;
mod mail;
mod metrics;
mod moving;
mod openapi;
mod operator;
mod pairs;
mod postgres;
mod ready;
#[cfg(unix)]
mod restart;
mod rocketchat;
mod rocketchat_codes;
mod signin;
mod smtp;
mod stop;
mod tls;
