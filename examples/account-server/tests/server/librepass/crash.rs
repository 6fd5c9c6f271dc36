//! The server is killed while it changes a password. What remains is the old vault with the old
//! password or the new vault with the new one, and the client never reports a change as refused
//! that was made.

use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use keywright::SystemEntropy;
use keywright::core::below;
use librepass_client::{ClientError, Kind, Session};

use super::scene::{Scene, refusal};

const EMAIL: &str = "user@example.org";
const PASSWORDS: [&str; 2] = ["correct horse", "battery staple"];
const CIPHERS: usize = 500;
const KILLS: usize = 8;

#[test]
fn a_killed_server_has_the_old_vault_or_the_new_one() {
    let scene = Scene::new();
    let mut server = scene.start(&[]);
    let [mut now, mut then] = PASSWORDS;
    scene.register(&server, EMAIL, now);
    let session = scene.log_in(&server, EMAIL, now).unwrap();
    let ciphers: Vec<_> = (0..CIPHERS).map(|_| session.seal(Kind::LOGIN, &[b'x'; 172]).unwrap()).collect();
    session.put(&ciphers).unwrap();
    // How long an undisturbed change takes.
    let whole = session.change_password(then, None, |_, _| {}).unwrap().change;
    (now, then) = (then, now);
    let mut session = scene.log_in(&server, EMAIL, now).unwrap();
    let (mut made, mut unknown) = (0, 0);
    for _ in 0..KILLS {
        let (encrypted, waiting) = mpsc::channel();
        let change = thread::spawn(move || change(&session, then, &encrypted));
        waiting.recv().unwrap();
        // Some time during the request, in the commit, or just after it.
        let (begun, percent) = (Instant::now(), below(&SystemEntropy, 130).unwrap());
        while begun.elapsed() < whole.saturating_mul(percent) / 100 {
            std::hint::spin_loop();
        }
        server.signal("KILL");
        server.wait();
        let outcome = change.join().unwrap();

        server = scene.start(&[]);
        let changed = scene.log_in(&server, EMAIL, then);
        match outcome {
            Ok(()) => assert!(changed.is_ok(), "an answered change is lost"),
            Err(ClientError::Unknown(_)) => unknown += 1,
            Err(other) => assert!(changed.is_err(), "said to have failed: {other}"),
        }
        session = match changed {
            Ok(new) => {
                made += 1;
                (now, then) = (then, now);
                assert_eq!(refusal(scene.log_in(&server, EMAIL, then)), "LP-Invalid-Shared-Secret");
                new
            }
            refused => {
                assert_eq!(refusal(refused), "LP-Invalid-Shared-Secret");
                scene.log_in(&server, EMAIL, now).unwrap()
            }
        };
        let vault = session.read().unwrap();
        assert!(vault.len() == CIPHERS && vault.iter().all(|cipher| session.open(cipher).is_ok()), "a mixed vault");
    }
    println!("{made} of {KILLS} changes were made, {unknown} ended without an answer");
    server.stop();
    scene.holds_no_secret();
}

fn change(session: &Session, password: &str, encrypted: &mpsc::Sender<()>) -> Result<(), ClientError> {
    let told = |done, total| {
        if done == total {
            encrypted.send(()).unwrap();
        }
    };
    session.change_password(password, None, told).map(drop)
}
