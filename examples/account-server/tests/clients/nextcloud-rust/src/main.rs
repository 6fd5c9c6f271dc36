//! Drives the published `nextcloud-passwords-client` from first contact to an open session. Every
//! request below is made by the crate's own code.
#![forbid(unsafe_code)]

use std::env;
use std::fmt::Debug;
use std::future::Future;

use nextcloud_passwords_client::{AuthenticatedApi, Error, LoginDetails, Url};

type Failure = Box<dyn std::error::Error>;

/// Runs one step. The steps after it rest on it, so the first failure ends the run.
async fn step<T>(name: &str, run: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let result = run.await;
    println!("{} - {name}", if result.is_ok() { "ok" } else { "not ok" });
    result
}

fn expect<T: PartialEq + Debug>(found: T, expected: T) -> Result<(), Failure> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("found {found:?} instead of {expected:?}").into())
    }
}

/// A name and an app password of the run's state.
fn login(server: &Url, account: &str) -> Result<LoginDetails, Failure> {
    let state: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(env::var("STATE")?)?)?;
    let app_password = state["accounts"][account]["app_password"].as_str().ok_or("no such account")?.to_owned();
    Ok(LoginDetails { server: server.clone(), login_name: account.to_owned(), app_password })
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let server: Url = env::var("BASE_URL")?.parse()?;
    let (api, id) = step("an app password opens a session and reads its lifetime", async {
        let (api, id) = AuthenticatedApi::new_session(login(&server, "alice")?).await?;
        expect(id.is_empty(), false)?;
        Ok((api, id))
    })
    .await?;
    step("settings are those of the protocol and of the server", async {
        let settings = api.settings();
        expect(settings.get().session_lifetime().await?, 600)?;
        expect(settings.get().client_side_encryption().await?, 0)?;
        expect(settings.get().base_url().await?, server.clone())?;
        expect(settings.get().label().await?, "account-server".to_owned())
    })
    .await?;
    step("all settings have values that the client can read", async {
        let all = format!("{:?}", api.settings().get_all().await?);
        expect(all.contains("session_lifetime: 600"), true)
    })
    .await?;
    let api = step("a session is resumed with its id", async {
        let (resumed, same) = AuthenticatedApi::resume_session(api.get_state()).await?;
        expect(same, id)?;
        expect(resumed.settings().get().session_lifetime().await?, 600)?;
        Ok(resumed)
    })
    .await?;
    step("passwords are the host's part: the error has a session and is no panic", async {
        expect(api.password().list(None).await.is_err(), true)
    })
    .await?;
    step("a session is closed", async { Ok(api.disconnect().await?) }).await?;
    step("the login flow is the host's part", async {
        match LoginDetails::register_login_flow_2(server.clone(), |_| {}).await {
            Err(Error::LoginFlowError(status)) => expect(status, 404),
            other => Err(format!("{other:?}").into()),
        }
    })
    .await
}
