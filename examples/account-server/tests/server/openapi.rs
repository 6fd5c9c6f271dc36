//! `docs/openapi.json` against the tables of routes, as the running server has them.

use std::collections::{BTreeMap, BTreeSet};

use keywright::{librepass, nextcloud, rocketchat};
use serde_json::Value;

use crate::client::{raw, text};
use crate::program::new_folder;

const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");

/// The keys of a path's object that are methods (OpenAPI 3.1 § 4.8.9).
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Returns the methods of each path.
fn documented(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let methods = |item: &Value| {
        let keys = item.as_object().unwrap().keys().filter(|key| METHODS.contains(&key.as_str()));
        keys.map(|key| key.to_ascii_uppercase()).collect()
    };
    document["paths"].as_object().unwrap().iter().map(|(path, item)| (path.clone(), methods(item))).collect()
}

/// Returns the paths of every endpoint of the three protocols.
fn served() -> BTreeSet<String> {
    let nextcloud = nextcloud::Endpoint::ALL.map(|endpoint| format!("{}{}", nextcloud::BASE_PATH, endpoint.path()));
    let librepass = librepass::Endpoint::ALL.map(|endpoint| endpoint.path().to_owned());
    let rocketchat = rocketchat::Endpoint::ALL.into_iter().flat_map(|endpoint| {
        let names = endpoint.aliases().chain([endpoint.path()]);
        names.map(|name| format!("{}{name}", rocketchat::BASE_PATH)).collect::<Vec<_>>()
    });
    nextcloud.into_iter().chain(librepass).chain(rocketchat).chain([rocketchat::INFO_PATH.to_owned()]).collect()
}

#[test]
fn the_document_has_the_paths_and_methods_that_are_served() {
    let documented = documented(&document());
    assert_eq!(documented.keys().cloned().collect::<BTreeSet<_>>(), served());
    let folder = new_folder();
    folder.write("accounts.toml", "");
    let server = folder.start(&["--store", "memory:", "--accounts", "accounts.toml", "--rate-limits", "off"]);
    for (path, methods) in documented {
        // Any segment will do: nothing is looked at.
        let sent = path.replace("{id}", "00000000-0000-4000-8000-000000000000").replace("{provider}", "totp");
        assert!(!sent.contains('{'), "{path}");
        let answer = raw(&server, text("OPTIONS", &sent, "", "").as_bytes());
        assert_eq!(answer.status, 204, "{path}: {answer:?}");
        let allowed =
            answer.header("allow").unwrap().split(", ").filter(|method| !["OPTIONS", "HEAD"].contains(method));
        assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), methods, "{path}");
    }
    server.stop();
}

/// Every reference leads somewhere, and nothing that could be referred to is left over.
#[test]
fn the_document_is_whole() {
    fn references<'d>(value: &'d Value, found: &mut BTreeSet<&'d str>) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| match value {
                Value::String(text) if name == "$ref" => drop(found.insert(text)),
                _ => references(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            _ => {}
        }
    }
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let kinds = ["schemas", "responses", "parameters"];
    let components = kinds.into_iter().flat_map(|kind| {
        let names = document["components"][kind].as_object().unwrap().keys();
        names.map(move |name| format!("#/components/{kind}/{name}"))
    });
    assert_eq!(found.iter().map(|&text| text.to_owned()).collect::<BTreeSet<_>>(), components.collect());
    let operations =
        document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
    let operations: Vec<&Value> = operations.collect();
    for operation in &operations {
        // A store that fails, is in use or has no room answers at any endpoint.
        for status in ["500", "503", "507"] {
            assert!(operation["responses"].get(status).is_some(), "{} lacks {status}", operation["operationId"]);
        }
    }
    let ids: Vec<&str> = operations.iter().map(|operation| operation["operationId"].as_str().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "an id names one operation");
}
