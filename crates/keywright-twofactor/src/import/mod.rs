//! Moving users in from another system, and out again.
//!
//! [`TwoFactor::import_user`](crate::TwoFactor::import_user) takes over what one user has: the
//! secrets of authenticator apps, whatever their length was, the last time steps that were used, and
//! the recovery codes, in clear or hashed. It is one commit, and its [outcome](ImportOutcome) says
//! what became of the user. [`Import`] does so for many, can be stopped at any moment and run
//! again, and can be tried out first.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # use std::sync::Arc;
//! # use keywright_core::{AccountId, Keyring, SystemEntropy};
//! # use keywright_store::{Driver, MemoryStore};
//! # use keywright_twofactor::{TwoFactor, TwoFactorPolicy, TotpSecret, ImportedDevice};
//! # let keyring = Arc::new(Keyring::generate(&SystemEntropy)?);
//! # let driver = Driver::builder(Arc::new(MemoryStore::new()), keyring).slots(keywright_twofactor::SLOT_KINDS).build()?;
//! # let two_factor = TwoFactor::new(driver, TwoFactorPolicy::default())?;
//! use keywright_twofactor::import::{Import, ImportedUser};
//! use keywright_twofactor::recovery::ImportedCodes;
//!
//! // What a query of the old database returns.
//! let rows = [("user-1", "JBSWY3DPEHPK3PXP", Some(56_666_666), vec!["zqk47pna", "b3xm9wte"])];
//! let users = rows.into_iter().map(|(id, secret, last_step, codes)| {
//!     let mut device = ImportedDevice::new("authenticator", TotpSecret::from_base32(secret)?);
//!     if let Some(step) = last_step {
//!         device = device.with_last_step(step);
//!     }
//!     let user = ImportedUser::new().device(device).recovery(ImportedCodes::in_clear(codes));
//!     Ok::<_, Box<dyn std::error::Error>>((AccountId::new(id)?, user))
//! });
//! let users = users.collect::<Result<Vec<_>, _>>()?;
//!
//! let report = Import::new(two_factor).run(users, |account, outcome| println!("{account}: {outcome:?}")).await?;
//! assert_eq!((report.imported, report.devices_below_policy), (1, 1)); // 80 bits: ask for a new enrolment
//! # Ok(())
//! # }
//! ```

mod export;
#[cfg(feature = "json")]
mod json;
mod run;
mod steps;
mod user;

pub use self::export::ExportConsent;
#[cfg(feature = "json")]
pub use self::json::{LineError, VERSION};
pub use self::run::{CONCURRENT, Import, ImportReport, ImportStopped};
pub use self::user::{ImportFault, ImportOutcome, ImportedFactors, ImportedUser};
