//! An account that is to be created.

use keywright::SecretString;
use keywright::twofactor::TotpSecret;

/// An account as the accounts file describes it.
#[derive(Debug)]
pub(crate) struct NewAccount {
    pub(crate) name: String,
    pub(crate) email: Option<String>,
    pub(crate) login_password: Option<SecretString>,
    pub(crate) app_passwords: Vec<SecretString>,
    pub(crate) rocketchat: Option<NewRocketChatUser>,
}

/// What an account gets in the Rocket.Chat protocol.
#[derive(Debug)]
pub(crate) struct NewRocketChatUser {
    pub(crate) user_id: String,
    pub(crate) auth_tokens: Vec<SecretString>,
    pub(crate) permissions: Vec<String>,
    pub(crate) verified_emails: Vec<String>,
    pub(crate) email_2fa: bool,
    pub(crate) totp_secret: Option<TotpSecret>,
    /// Checked already: the codes form one set.
    pub(crate) recovery_codes: Vec<SecretString>,
}
