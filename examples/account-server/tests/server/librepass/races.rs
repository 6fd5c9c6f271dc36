//! Several devices at once: one change wins as a whole, and nothing that was written is lost or
//! left under an old key.

use std::sync::Barrier;
use std::thread;

use librepass_client::{ClientError, Kind, Session};

use super::scene::{Scene, refusal};

const EMAIL: &str = "user@example.org";
const PASSWORD: &str = "correct horse";
const CHOSEN: [&str; 2] = ["battery staple", "staple battery"];

#[test]
fn of_two_password_changes_at_once_one_wins_whole() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    let session = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    let ciphers: Vec<_> = (0..100).map(|_| session.seal(Kind::NOTE, b"{}").unwrap()).collect();
    session.put(&ciphers).unwrap();
    let devices = CHOSEN.map(|_| scene.log_in(&server, EMAIL, PASSWORD).unwrap());
    let start = Barrier::new(2);
    let [one, other] = thread::scope(|scope| {
        let change = |(device, chosen): (Session, &'static str)| {
            let start = &start;
            let change = move || {
                let met = |done, total| {
                    if done == total {
                        start.wait();
                    }
                };
                device.change_password(chosen, None, met)
            };
            scope.spawn(change)
        };
        let [first, second] = devices;
        let [first, second] = [(first, CHOSEN[0]), (second, CHOSEN[1])].map(change);
        [first, second].map(|change| change.join().unwrap())
    });
    let (won, lost) = if one.is_ok() { (CHOSEN[0], other) } else { (CHOSEN[1], one) };
    assert!(matches!(lost, Err(ClientError::Refused { status: 400 | 401, .. })), "{lost:?}");
    let session = scene.log_in(&server, EMAIL, won).unwrap();
    let vault = session.read().unwrap();
    assert!(vault.len() == 100 && vault.iter().all(|cipher| session.open(cipher).is_ok()));
    for password in CHOSEN.into_iter().chain([PASSWORD]).filter(|password| *password != won) {
        assert_eq!(refusal(scene.log_in(&server, EMAIL, password)), "LP-Invalid-Shared-Secret");
    }
    server.stop();
}

#[test]
fn a_cipher_written_during_a_change_is_refused_or_refuses_the_change() {
    let scene = Scene::new();
    let server = scene.start(&[]);
    scene.register(&server, EMAIL, PASSWORD);
    let device = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    device.write_note("first", "").unwrap();
    let changing = scene.log_in(&server, EMAIL, PASSWORD).unwrap();
    // Written between the reading of the vault and the change.
    let met = |_, _| drop(device.write_note("second", "").unwrap());
    assert_eq!(refusal(changing.change_password(CHOSEN[0], None, met)), "LP-Missing-Cipher");
    assert_eq!(device.read().unwrap().len(), 2);
    changing.change_password(CHOSEN[0], None, |_, _| {}).unwrap();
    assert_eq!(refusal(device.write_note("third", "")), "LP-Invalid-Token");
    let session = scene.log_in(&server, EMAIL, CHOSEN[0]).unwrap();
    let vault = session.read().unwrap();
    assert!(vault.len() == 2 && vault.iter().all(|cipher| session.open(cipher).is_ok()));
    server.stop();
}
