//! Keywright in the routes of a server of any framework: outcomes as answers, and step-up.
//!
//! A handler calls a service, turns the outcome into the proof or into a [`Refused`] with
//! [`or_refuse`](OrRefuse::or_refuse), and goes on with `?`. A [`Refused`] has a status, JSON, and
//! `Retry-After` where the client must wait. What is not a grant refuses.
//!
//! ```
//! use keywright::web::{Caller, OrRefuse, Refused, StepUpAction, step_up};
//! use keywright::{AccountId, ActionName, Keywright, Purpose};
//!
//! const LOGIN: Purpose = Purpose::new("login");
//!
//! /// After the password: the code. The session starts only behind the `?`.
//! async fn code(keywright: &Keywright, account: &AccountId, device: &str, typed: &str) -> Result<String, Refused> {
//!     let client = keywright.client(account, device.as_bytes());
//!     let proof = keywright.two_factor().verify(account, typed, &LOGIN, client).await.or_refuse()?;
//!     Ok(format!("start a session of {}", proof.account()))
//! }
//!
//! struct MakeApiKey;
//! impl StepUpAction for MakeApiKey {
//!     const ACTION: ActionName = ActionName::new("api-key.make");
//! }
//!
//! /// Before a sensitive action: `header` is what the request has in `x-second-factor`.
//! async fn make(keywright: &Keywright, caller: &Caller, header: Option<&str>) -> Result<String, Refused> {
//!     let proof = step_up::<MakeApiKey>(&keywright.two_factor(), caller, header).await?;
//!     Ok(format!("a key for {}", proof.into_proof().account()))
//! }
//! ```
//!
//! `examples/frameworks` in the repository has one application in axum, actix-web, Rocket, poem and
//! hyper. For tower and axum, `keywright::tower` has a layer too.

pub use keywright_tower::{Caller, DeviceCookie, OrRefuse, Refused, SECOND_FACTOR, StepUpAction, StepUpFor, step_up};
