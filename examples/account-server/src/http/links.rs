//! The links of mails to owners whom others have shut out, and where they lead.

use keywright::SecretString;

use crate::options::PublicUrl;

/// The page for logins of Nextcloud Passwords.
pub(crate) const NEXTCLOUD_PATH: &str = "/unlock/passwords";
/// The page for logins of Rocket.Chat.
pub(crate) const ROCKETCHAT_PATH: &str = "/unlock/chat";

/// Returns the link that a mail carries.
pub(crate) fn link(server: &PublicUrl, path: &str, token: &SecretString) -> String {
    format!("{server}{path}?token={}", token.expose())
}
