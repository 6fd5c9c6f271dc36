//! The links in mails to owners whom others have locked out, and where they lead.

use keywright::SecretString;

use crate::options::PublicUrl;

/// The page for log-ins of Nextcloud Passwords.
pub(crate) const NEXTCLOUD_PATH: &str = "/unlock/passwords";
/// The page for log-ins of Rocket.Chat.
pub(crate) const ROCKETCHAT_PATH: &str = "/unlock/chat";

/// Returns the link for a mail.
pub(crate) fn link(server: &PublicUrl, path: &str, token: &SecretString) -> String {
    format!("{server}{path}?token={}", token.expose())
}
