//! LibrePass, driven by the library of the command line client, with real keys and over TLS.

mod crash;
mod damage;
mod life;
mod limits;
mod links;
mod races;
mod scene;
mod stock;
