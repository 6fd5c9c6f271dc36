//! `GET /actuator/info`: what apps ask before they take a server's address.

use serde_json::json;

use crate::wire::service::{Answered, Reply};

pub(crate) fn run() -> Answered {
    // The group is what they look for (dossier § 6).
    let build = json!({"group": "dev.medzik.librepass", "artifact": "server", "name": "keywright"});
    Reply::json(&json!({"build": build}))
}
