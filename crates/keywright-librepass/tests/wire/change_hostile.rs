//! Bodies that are large, deep or endless: a defined answer, nothing written, and not much memory.

use std::fmt::Write;

use keywright_rekey::id_text;
use serde_json::{Value, json};

use super::support::{Person, World, alice, policy};
use super::vaults::{id, with_password};

const MIB: usize = 1024 * 1024;

/// Restarts the measurement, where the system can.
fn forget_peak() {
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// The most memory that the process has had, in bytes; `None` where the system does not tell.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches("kB").trim().parse::<usize>().ok().map(|kib| kib * 1024)
}

/// A body with a list that was written by hand.
async fn body(world: &World, old: &Person, new: &Person, list: &str) -> Vec<u8> {
    let server = world.server_key().await;
    let head = json!({
        "oldSharedKey": old.shared(&server),
        "newPublicKey": new.key.public_key().to_hex().expose(),
        "newSharedKey": new.shared(&server),
        "parallelism": 3, "memory": 65536, "iterations": 4,
    })
    .to_string();
    let mut text = String::with_capacity(head.len() + list.len() + 20);
    text.push_str(&head[..head.len() - 1]);
    text.push_str(",\"ciphers\":");
    text.push_str(list);
    text.push('}');
    text.into_bytes()
}

/// Sends a list for a vault of three, twice: refused alike, with nothing written. Gives the error and how much the memory
/// grew for it beyond the body.
async fn refused(world: &World, list: &str) -> (Value, usize) {
    let (old, new) = (alice(), with_password(&alice(), "new"));
    let user = world.settle(&old).await;
    world.fill(&user, &old, 3).await;
    let client = world.client_of(&old).await;
    let request = client.request("PATCH", "/api/user/password").raw(body(world, &old, &new, list).await).build();
    let state = world.state(&user).await;
    forget_peak();
    let before = peak();
    let answer = super::support::Answer::check(world.app.handle(request).await);
    let grown = peak().zip(before).map_or(0, |(after, before)| after.saturating_sub(before));
    assert_eq!(world.state(&user).await, state);
    world.belongs_to(&user, &old, 3).await;
    assert!([400, 413].contains(&answer.status), "{answer:?}");
    (answer.json()["error"].clone(), grown)
}

#[tokio::test]
async fn a_million_ids_against_a_vault_of_three() {
    // Texts that are well-formed, so that each entry is worth keeping: beyond the limit none is kept.
    let world = World::with(policy().max_vault_body(256 * MIB)).await;
    let mut list = String::with_capacity(125 * MIB);
    for n in 0..1_000_000 {
        let comma = if n == 0 { '[' } else { ',' };
        write!(list, "{comma}{{\"id\":\"{}\",\"data\":\"{n:024x}{:032x}\"}}", id_text(id(n)), 0).unwrap();
    }
    list.push(']');
    let (error, grown) = refused(&world, &list).await;
    assert_eq!(error, "LP-Missing-Cipher");
    assert!(grown < 16 * MIB, "{grown}");
}

#[tokio::test]
async fn a_million_entries_that_are_nothing() {
    for entry in ["7", "{}", "null", "[[]]", "{\"id\":1,\"id\":2}"] {
        let list = format!("[{}{entry}]", format!("{entry},").repeat(999_999));
        let (error, grown) = refused(&World::new().await, &list).await;
        assert_eq!(error, "LP-Invalid-Body");
        assert!(grown < 16 * MIB, "{grown}");
    }
}

#[tokio::test]
async fn a_cipher_of_60_megabytes() {
    let text = "ab".repeat(30 * 1000 * 1000);
    let list = format!("[{{\"id\":\"{}\",\"data\":\"{text}\"}}]", id_text(id(0)));
    drop(text);
    let (error, grown) = refused(&World::new().await, &list).await;
    assert_eq!(error, "LP-Invalid-Cipher");
    assert!(grown < 16 * MIB, "{grown}");
}

#[tokio::test]
async fn a_body_over_the_limit_is_not_looked_at() {
    let world = World::with(policy().max_vault_body(MIB)).await;
    let (error, _) = refused(&world, &format!("[{}]", " ".repeat(MIB))).await;
    assert_eq!(error, "LP-Invalid-Body");
}

#[tokio::test]
async fn brackets_without_end() {
    for list in ["[".repeat(10 * MIB), "{\"a\":".repeat(MIB), format!("[{}", "{\"id\":[".repeat(MIB))] {
        let (error, grown) = refused(&World::new().await, &list).await;
        assert_eq!(error, "LP-Invalid-Body");
        assert!(grown < 32 * MIB, "{grown}");
    }
}
