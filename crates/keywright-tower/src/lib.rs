//! Keywright in a server's own routes: step-up, and outcomes as answers that a client can read.
//!
//! Every framework: [`OrRefuse`] turns an outcome into the proof or into a [`Refused`] (a status, JSON
//! and `Retry-After`), and [`step_up`] demands a second factor of one request. For
//! [tower](tower_layer::Layer) and axum, [`StepUpLayer`] does so in front of a route.
//!
//! # With tower or axum
//! [`StepUpLayer`] demands a second factor before a route, and the handler takes the
//! [`StepUp`] that its commit checks. A request without a proof is refused with an answer that a
//! client can read; it asks the user for a code and sends the request again with the code in the
//! header `x-second-factor`.
//!
//! ```
//! # #[cfg(feature = "axum")] mod example {
//! use axum::Router;
//! use axum::routing::post;
//! use keywright_core::{AccountId, ActionName, Client, SessionId};
//! use keywright_store::Driver;
//! use keywright_tower::{Caller, StepUpAction, StepUpFor, StepUpLayer};
//! use keywright_twofactor::TwoFactor;
//!
//! /// The action, which the layer demands a proof for and the handler takes it.
//! struct MakeApiKey;
//! impl StepUpAction for MakeApiKey {
//!     const ACTION: ActionName = ActionName::new("api-key.make");
//! }
//!
//! /// What the server's own session middleware found.
//! #[derive(Clone)]
//! struct Session { account: AccountId, id: String, device: String }
//!
//! fn routes(two_factor: TwoFactor, driver: Driver) -> Router {
//!     let caller = move |parts: &http::request::Parts| {
//!         let Session { account, id, device } = parts.extensions.get::<Session>()?;
//!         // The random cookie that stays on the device: wrong codes from elsewhere do not delay it.
//!         let client = Client::credential(driver.client_tag(account, device.as_bytes()));
//!         Some(Caller::new(account.clone(), SessionId::new(id), client))
//!     };
//!     Router::new().route("/api-keys", post(make).layer(StepUpLayer::<MakeApiKey, _>::new(two_factor, caller)))
//! }
//!
//! async fn make(proof: StepUpFor<MakeApiKey>) -> String {
//!     let proof = proof.into_proof();
//!     // The account is that of the proof. The commit that makes the key checks `proof.is_valid_in(draft)`.
//!     format!("a key for {}", proof.account())
//! }
//! # }
//! ```
//!
//! # Answers
//! Every refusal of a step-up is JSON with `error` and `action`, and has `Cache-Control: no-store`:
//!
//! | Status | `error` | Further fields | Meaning |
//! |---|---|---|---|
//! | 401 | `not_signed_in` | | The host's function found no caller. |
//! | 403 | `step_up_required` | `methods`, `header` | No code was sent, or none of the kinds that the action accepts. |
//! | 403 | `step_up_denied` | `methods`, `header` | The code is wrong or was used. Ask for the next one. |
//! | 403 | `nothing_enrolled` | | The account has none of the methods that the action accepts. |
//! | 400 | `malformed_code` | | The code has the wrong form. It was not counted. |
//! | 429 | `step_up_refused` | `retry_after` | Guesses are paused; `Retry-After` says for how many seconds. |
//! | 503 | `unavailable` | | The store failed or is busy. The code may have been spent. |
//!
//! `methods` are names as in [`Method::name`](keywright_twofactor::Method::name), strongest first.
//! Time-based and recovery codes are sent in the header. For the others (`password`, `mailed`, and
//! attested methods) the client uses a route of the host that steps the session up, under a rule
//! that [remembers](keywright_twofactor::Rule::remembered) the proof, and then sends the request
//! again without a code.
//!
//! # Whatever fails refuses
//! The inner service runs only with a proof. Without the layer, with a layer for another action, or
//! when a second extractor asks, [`StepUpFor`] answers 500 (`step_up_missing`). The proof is valid
//! until an epoch of the account moves, which the layer cannot know later: the handler checks it in
//! the commit that acts ([`StepUp::is_valid_in`](keywright_twofactor::StepUp::is_valid_in)).
//!
//! [`StepUp`]: keywright_twofactor::StepUp
//!
//! # Features
//! - `axum`: [`StepUpFor`] is an extractor of axum, and [`Refused`] a response.
//! - `confirm`: outcomes of confirmations as answers.
//! - `qr`: errors of QR codes as answers.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod device_cookie;
#[cfg(feature = "axum")]
mod extract;
mod layer;
mod or_refuse;
mod prefix;
mod proof;
mod refused;
mod step_up;

pub use device_cookie::DeviceCookie;
pub use layer::{StepUpLayer, StepUpService};
pub use or_refuse::OrRefuse;
pub use prefix::{PrefixLayer, PrefixService};
pub use proof::{StepUpAction, StepUpFor, StepUpMissing};
pub use refused::Refused;
pub use step_up::{Caller, SECOND_FACTOR, step_up};
