//! The act that a second factor is proven for.

use keywright_confirm::Action;
use keywright_core::Purpose;

use crate::host::Endpoint;
use crate::params::Target;

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
    pub(crate) const fn purpose(endpoint: Endpoint) -> Purpose {
        Purpose::new(match endpoint {
            Endpoint::ResetE2eKey => "rocketchat.users.resetE2EKey",
            Endpoint::ResetTotp => "rocketchat.users.resetTOTP",
            Endpoint::TotpEnable => "rocketchat.users.enableTotp",
            Endpoint::TotpValidate => "rocketchat.users.validateTotp",
            Endpoint::TotpDisable => "rocketchat.users.disableTotp",
            Endpoint::TotpRegenerateCodes => "rocketchat.users.regenerateTotpCodes",
            Endpoint::TotpCodesRemaining => "rocketchat.users.totpCodesRemaining",
            Endpoint::EnableEmail => "rocketchat.users.2fa.enableEmail",
            Endpoint::DisableEmail => "rocketchat.users.2fa.disableEmail",
            Endpoint::SendEmailCode => "rocketchat.users.2fa.sendEmailCode",
            Endpoint::Login => "rocketchat.login",
            Endpoint::Logout => "rocketchat.logout",
            Endpoint::Me => "rocketchat.me",
            Endpoint::LogoutOtherClients => "rocketchat.users.logoutOtherClients",
            Endpoint::RemoveOtherTokens => "rocketchat.users.removeOtherTokens",
            Endpoint::LogoutUser => "rocketchat.users.logout",
            Endpoint::SendChallengeCode => "rocketchat.twoFactorChallenges.sendEmailCode",
            Endpoint::VerifyChallenge => "rocketchat.twoFactorChallenges.verifyChallenge",
            Endpoint::RedeemLoginCode => "rocketchat.loginCode.redeem",
            Endpoint::SetKeys => "rocketchat.e2e.setUserPublicAndPrivateKeys",
            Endpoint::FetchKeys => "rocketchat.e2e.fetchMyKeys",
            Endpoint::Info => "rocketchat.info",
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_has_a_purpose_named_by_its_path() {
        for endpoint in Endpoint::ALL {
            assert_eq!(Act::purpose(endpoint).as_str(), format!("rocketchat.{}", endpoint.path()));
        }
    }
}
