//! Another click on the link of a new address.

use super::change_email::settled;
use super::support::on_both;
use super::vaults::{with_address, with_password};

/// `docs/decisions.md` 64: for a day, whatever comes after it, and for this link alone.
#[tokio::test]
async fn a_second_click_within_a_day_is_told_the_same() {
    on_both(|world| async move {
        let (old, new, user) = settled(&world).await;
        world.ask_for(&user, &old, &new).await.is_empty();
        let path = world.path_to(&new.email);
        world.client().get(&path).send().await.redirects();
        // Another change waits now, and the password changes; this link is told what it was told before.
        let newer = with_address(&new, "a.newer@example.com");
        world.ask_for(&user, &new, &newer).await.is_empty();
        world.client().get(&path).send().await.redirects();
        let pass = with_password(&new, "new");
        let body = world.password_body(&user, &new, &pass).await;
        world.client_of(&new).await.change_password(&body).await.is_empty();
        let before = world.state(&user).await;
        world.client().get(&path).send().await.redirects();
        assert_eq!(world.state(&user).await, before);
        let (start, last) = path.split_at(path.len() - 1);
        let wrong = format!("{start}{}", if last == "0" { "1" } else { "0" });
        world.client().get(&wrong).send().await.fails(404, "LP-User-404");
        world.clock.advance(24 * 60 * 60 - 1);
        world.client().get(&path).send().await.redirects();
        world.clock.advance(1);
        world.client().get(&path).send().await.fails(404, "LP-User-404");
        world.belongs_to(&user, &pass, 3).await;
    })
    .await;
}
