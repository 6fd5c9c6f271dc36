//! Prints what the wire protocols of Rocket.Chat and Nextcloud Passwords serve, as JSON: paths,
//! methods, the members of bodies, and earlier names. `cargo xtask contract` compares it with
//! published packages.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard streams")]

use http::Method;
use keywright::{nextcloud, rocketchat};
use serde_json::{Value, json};

fn main() {
    let endpoint = |endpoint: rocketchat::Endpoint| {
        let methods: Vec<&str> = endpoint.methods().iter().map(|method| method.as_str()).collect();
        let aliases: Vec<&str> = endpoint.aliases().collect();
        json!({"path": endpoint.path(), "methods": methods, "members": endpoint.members(), "aliases": aliases})
    };
    let rocketchat: Vec<Value> = rocketchat::Endpoint::ALL.into_iter().map(endpoint).collect();
    let policy = nextcloud::NextcloudPolicy::default();
    let endpoint = |endpoint: nextcloud::Endpoint| {
        // `HEAD` is answered like `GET`, and called by no client.
        let methods = endpoint.methods(&policy).iter().map(Method::as_str).filter(|method| *method != "HEAD");
        let methods: Vec<&str> = methods.collect();
        json!({"path": endpoint.path(), "methods": methods, "members": endpoint.members(), "aliases": []})
    };
    let nextcloud: Vec<Value> = nextcloud::Endpoint::ALL.into_iter().map(endpoint).collect();
    println!("{}", json!({"rocketchat": rocketchat, "nextcloud": nextcloud}));
}
