//! Two concurrent changes: one wins, the other is refused whole, and neither is half done.

use std::sync::Arc;

use keywright_rekey::EditOutcome;

use super::support::{Answer, Person, alice, at_once, bob, on_both};
use super::vaults::{id, note, opened, sealed, with_address, with_password};

const NEW: &str = "a.new@example.com";

/// How often each race is run.
const ROUNDS: usize = 12;

/// One answer is right, all others refuse with one of the codes.
fn one_wins(answers: &[Answer], right: u16, codes: &[&str]) {
    let won = answers.iter().filter(|answer| answer.status == right).count();
    assert_eq!(won, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != right) {
        assert!(codes.contains(&answer.json()["error"].as_str().unwrap()), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_password_changes_at_once_one_wins_whole() {
    on_both(|world| async move {
        let mut old = alice();
        let user = world.settle(&old).await;
        world.fill(&user, &old, 4).await;
        for round in 0..ROUNDS {
            let news: Vec<Person> = (0..3).map(|n| with_password(&alice(), &format!("{round} {n}"))).collect();
            let mut requests = Vec::new();
            for new in &news {
                requests.push((world.client_of(&old).await, world.password_body(&user, &old, new).await));
            }
            let requests = Arc::new(requests);
            let answers = at_once(news.len(), |n| {
                let requests = Arc::clone(&requests);
                async move { requests[n].0.change_password(&requests[n].1).await }
            })
            .await;
            one_wins(&answers, 200, &["LP-Invalid-Token", "LP-Missing-Cipher", "LP-Invalid-Shared-Secret"]);
            let mut winner = None;
            for new in news {
                if world.log_in(&new).await.status == 200 {
                    winner = Some(new);
                }
            }
            old = winner.expect("one of them is the password");
            world.belongs_to(&user, &old, 4).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_change_against_a_verification() {
    on_both(|world| async move {
        for round in 0..ROUNDS {
            let old = Person::new(&format!("a{round}@example.com"));
            let user = world.settle(&old).await;
            world.fill(&user, &old, 4).await;
            let (pass, moved) = (with_password(&old, "new"), with_address(&old, &format!("b{round}@example.com")));
            world.ask_for(&user, &old, &moved).await.is_empty();
            let body = Arc::new(world.password_body(&user, &old, &pass).await);
            let (client, path) = (world.client_of(&old).await, world.path_to(&moved.email));
            let answers = at_once(2, |n| {
                let (client, path, body) = (client.clone(), path.clone(), Arc::clone(&body));
                async move { if n == 0 { client.change_password(&body).await } else { client.get(&path).send().await } }
            })
            .await;
            let won: Vec<u16> = answers.iter().map(|answer| answer.status).filter(|status| *status < 400).collect();
            assert_eq!(won.len(), 1, "{answers:?}");
            world.belongs_to(&user, if won[0] == 200 { &pass } else { &moved }, 4).await;
            // Whichever it was, nothing waits any more; a link that has worked is told the same again.
            let again = world.client().get(&path).send().await;
            if won[0] == 200 {
                again.fails(404, "LP-User-404")
            } else {
                again.redirects()
            };
            world.belongs_to(&user, if won[0] == 200 { &pass } else { &moved }, 4).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cipher_that_is_written_during_a_change_is_refused_or_kept() {
    on_both(|world| async move {
        let world = Arc::new(world);
        let mut old = alice();
        let user = world.settle(&old).await;
        world.fill(&user, &old, 4).await;
        for round in 0..ROUNDS {
            let new = with_password(&alice(), &round.to_string());
            let body = Arc::new(world.password_body(&user, &old, &new).await);
            let client = world.client_of(&old).await;
            client.sync().await.ok();
            let text = sealed(&old, &format!("written in round {round}"));
            let epoch = world.vaults().head(user.account()).await.unwrap().unwrap().key_epoch;
            let written = {
                let (world, user, text) = (Arc::clone(&world), user.clone(), text.clone());
                tokio::spawn(async move {
                    let (limits, note) = (keywright_rekey::Limits::default(), note());
                    let mark = limits.check(&keywright_rekey::Hex, &text).unwrap();
                    let put = keywright_rekey::Put::new(id(2), mark, &text, &note);
                    let edit = keywright_rekey::Edit::new(vec![put], Vec::new());
                    world.vaults().edit(user.account(), &edit, epoch).await.unwrap()
                })
            };
            let changed = {
                let body = Arc::clone(&body);
                tokio::spawn(async move { client.change_password(&body).await })
            };
            let (written, changed) = (written.await.unwrap(), changed.await.unwrap());
            let kept = world.ciphers(&user).await[&keywright_rekey::id_text(id(2))] == text;
            match (changed.status, written) {
                // The write came first, so the batch is of another vault; or it came between, and the change is refused.
                (400, EditOutcome::Done { .. }) => assert!(kept),
                (200, EditOutcome::HeadMoved | EditOutcome::Fenced) => assert!(!kept),
                other => panic!("round {round}: {other:?} {changed:?}"),
            }
            let owner = if changed.status == 200 { &new } else { &old };
            assert!(
                world.ciphers(&user).await.values().all(|text| opened(owner, text).is_some()),
                "one key, never two"
            );
            if changed.status == 200 {
                old = new;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_changes_to_one_address_one_wins_and_nobody_is_stranded() {
    on_both(|world| async move {
        for round in 0..ROUNDS {
            let target = format!("t{round}@example.com");
            let mut people = Vec::new();
            for name in ["a", "b", "c"] {
                let old = Person::new(&format!("{name}{round}@example.com"));
                let user = world.settle(&old).await;
                world.fill(&user, &old, 2).await;
                let new = with_address(&old, &target);
                world.ask_for(&user, &old, &new).await.is_empty();
                people.push((user, old, new));
            }
            let links: Vec<String> =
                world.host.mails_to(&target).iter().filter_map(|mail| mail.link().map(str::to_owned)).collect();
            let paths: Arc<Vec<String>> =
                Arc::new(links.iter().map(|link| link.replace(super::support::PUBLIC, "")).collect());
            assert_eq!(paths.len(), 3);
            let client = world.client();
            let answers = at_once(3, |n| {
                let (client, paths) = (client.clone(), Arc::clone(&paths));
                async move { client.get(&paths[n]).send().await }
            })
            .await;
            one_wins(&answers, 302, &["LP-Duplicated"]);
            let mut winners = 0;
            for (user, old, new) in &people {
                if world.log_in(old).await.status == 200 {
                    world.belongs_to(user, old, 2).await;
                } else {
                    winners += 1;
                    world.belongs_to(user, new, 2).await;
                }
            }
            assert_eq!(winners, 1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_against_a_change_to_one_address() {
    on_both(|world| async move {
        for round in 0..ROUNDS {
            let target = format!("t{round}@example.com");
            let old = Person::new(&format!("a{round}@example.com"));
            let user = world.settle(&old).await;
            let new = with_address(&old, &target);
            world.ask_for(&user, &old, &new).await.is_empty();
            let stranger = Person { email: target.clone(), key: bob().key };
            let registration = Arc::new(world.registration(&stranger).await);
            let (client, path) = (world.client(), world.path_to(&target));
            let answers = at_once(2, |n| {
                let (client, path, registration) = (client.clone(), path.clone(), Arc::clone(&registration));
                async move {
                    if n == 0 {
                        client.get(&path).send().await
                    } else {
                        client.post("/api/auth/register").json(&registration).send().await
                    }
                }
            })
            .await;
            let moved = answers.iter().any(|answer| answer.status == 302);
            let registered = answers.iter().any(|answer| answer.status == 201);
            // A registration takes no address before its link is opened, and then it is too late.
            assert!(moved, "{answers:?}");
            world.belongs_to(&user, &new, 0).await;
            if registered {
                world.open_link(&target).await.fails(400, "LP-Duplicated");
                world.log_in(&stranger).await.fails(400, "LP-Invalid-Shared-Secret");
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_opened_many_times_at_once_works_once() {
    on_both(|world| async move {
        for round in 0..4 {
            let old = Person::new(&format!("a{round}@example.com"));
            let user = world.settle(&old).await;
            world.fill(&user, &old, 3).await;
            let new = with_address(&old, &format!("b{round}@example.com"));
            world.ask_for(&user, &old, &new).await.is_empty();
            let (client, path) = (world.client(), world.path_to(&new.email));
            let answers = at_once(8, |_| {
                let (client, path) = (client.clone(), path.clone());
                async move { client.get(&path).send().await }
            })
            .await;
            // All are told the same; one that is overtaken too often is told to try again.
            assert!(answers.iter().all(|answer| [302, 503].contains(&answer.status)), "{answers:?}");
            assert!(answers.iter().any(|answer| answer.status == 302), "{answers:?}");
            assert_eq!(world.count_events(&user, "address_changed").await, 1);
            world.belongs_to(&user, &new, 3).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_requests_at_once_one_link_works() {
    on_both(|world| async move {
        let old = alice();
        let user = world.settle(&old).await;
        world.fill(&user, &old, 3).await;
        for _ in 0..4 {
            let news = [with_address(&old, NEW), with_address(&old, "a.newer@example.com")];
            let mut requests = Vec::new();
            for new in &news {
                requests.push((world.client_of(&old).await, world.address_body(&user, &old, new).await));
            }
            let requests = Arc::new(requests);
            let answers = at_once(2, |n| {
                let requests = Arc::clone(&requests);
                async move { requests[n].0.change_address(&requests[n].1).await }
            })
            .await;
            assert!(answers.iter().all(|answer| answer.status == 200), "asking changes no vault: {answers:?}");
        }
        let mut opened = Vec::new();
        for email in [NEW, "a.newer@example.com"] {
            opened.push(world.open_link(email).await.status);
        }
        assert!(opened == [302, 404] || opened == [400, 302], "{opened:?}");
    })
    .await;
}
