//! The act that a second factor is proven for.

use keywright_confirm::Action;

use crate::host::Endpoint;
use crate::request::Target;

/// Everything that identifies the act a caller proves a second factor for: a code that was mailed
/// for one act is void for any other.
#[derive(Clone)]
pub(crate) struct Act {
    pub(crate) endpoint: Endpoint,
    pub(crate) target: Target,
    canonical: String,
}

impl Act {
    pub(crate) fn new(endpoint: Endpoint, target: Target) -> Self {
        let canonical = target.canonical();
        Self { endpoint, target, canonical }
    }

    /// Returns the purpose, for the factors' own records and the security log.
    pub(crate) fn purpose(endpoint: Endpoint) -> String {
        format!("rocketchat.{}", endpoint.path())
    }
}

impl Action for Act {
    const NAME: &'static str = "rocketchat.second-factor";

    fn target(&self) -> &str {
        &self.canonical
    }

    fn parameters(&self) -> Vec<u8> {
        self.endpoint.path().into()
    }
}
