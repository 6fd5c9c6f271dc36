//! Step-up authentication: authenticating again, for one action or for a while, and the
//! authorization of a change of factors.

pub(crate) mod grant;
pub(crate) mod policy;
pub(crate) mod proof;
mod state;
pub(crate) mod steps;

pub use grant::{CHANGE_FACTORS, FactorChange};
pub use policy::{Rule, StepUpPolicy, StepUpPolicyBuilder, StepUpPolicyError};
pub use proof::{ADMIT_CLIENT, Attested, Demand, StepUp};
pub(crate) use state::STEP_UPS;
pub use steps::StepUps;
