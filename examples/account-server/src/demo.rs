//! The demo account of a first start, and lines to try it with.

use std::fmt::Write;

use keywright::nextcloud::BASE_PATH;
use keywright::rocketchat;

use crate::accounts::directory::Accounts;
use crate::accounts::error::AccountsError;
use crate::accounts::new_account::{NewAccount, NewRocketChatUser};
use crate::accounts::seed::Seeding;
use crate::options::Style;

const NAME: &str = "demo";

/// What the printed lines depend on.
pub(crate) struct Scene<'a> {
    /// The server's address, as seen from this machine.
    pub(crate) url: &'a str,
    pub(crate) tls: bool,
    /// Whether the protocol's paths are served.
    pub(crate) usable: bool,
    pub(crate) reset: Style,
    /// Whether mails go anywhere. An address that registers waits for one.
    pub(crate) mails: bool,
}

/// Creates the demo account if there is no account at all. Returns the lines to print.
///
/// # Errors
/// An [`AccountsError`] if the accounts cannot be read or changed.
pub(crate) async fn seed(accounts: &Accounts, nobody: bool, scene: &Scene<'_>) -> Result<String, AccountsError> {
    if !nobody {
        return match accounts.is_known(NAME).await {
            Ok(true) => Ok(format!(
                "the account {NAME} exists already; its passwords are stored as hashes and cannot be shown again\n\
                 (for a new one: stop, delete the store and the keyring, start again; or name a file with --accounts)"
            )),
            Ok(false) => Ok("no demo account is made: the store has accounts already".to_owned()),
            Err(error) if error.is_damage() => Ok(format!("the data of the account {NAME} is damaged")),
            Err(error) => Err(error),
        };
    }
    let (app_password, login_password) = (accounts.fresh_secret()?, accounts.fresh_secret()?);
    let (app, login) = (app_password.expose().to_owned(), login_password.expose().to_owned());
    let new = NewAccount {
        name: NAME.to_owned(),
        email: Some("demo@example.org".to_owned()),
        login_password: Some(login_password),
        app_passwords: vec![app_password],
        rocketchat: Some(rocketchat_user()),
    };
    match accounts.seed(&new).await? {
        Seeding::Made => Ok(introduce(&app, &login, scene)),
        Seeding::Kept => Ok(format!("another process made the account {NAME} at this moment; it has shown it")),
    }
}

/// The demo account logs in by its login password in that protocol too.
fn rocketchat_user() -> NewRocketChatUser {
    NewRocketChatUser {
        user_id: NAME.to_owned(),
        auth_tokens: Vec::new(),
        permissions: Vec::new(),
        verified_emails: Vec::new(),
        email_2fa: false,
        totp_secret: None,
        recovery_codes: Vec::new(),
    }
}

fn introduce(app: &str, login: &str, scene: &Scene<'_>) -> String {
    let mut text = format!(
        "demo account, shown this once\nname:           {NAME}\napp password:   {app}\nlogin password: {login}\n"
    );
    if !scene.usable {
        text.push_str("plain HTTP is refused on an address that others reach: add --tls-self-signed or a certificate");
        return text;
    }
    // Writing to a string does not fail.
    let _written = writeln!(text, "in a browser:   {}/ (with the name and the login password)", scene.url);
    let options = if scene.tls { "--insecure " } else { "" };
    let (curl, base) = (format!("curl {options}-u {NAME}:{app}"), format!("{}{BASE_PATH}", scene.url));
    let json = "-H 'Content-Type: application/json' -d";
    let _written = write!(text, "{curl} {base}session/request\n{curl} {json} '{{}}' {base}session/open\n");
    let _written = match scene.reset {
        Style::Code => writeln!(text, "{curl} {base}account/reset"),
        Style::Wait => writeln!(text, "{curl} {json} '{{\"password\":\"{login}\"}}' {base}account/reset"),
    };
    let _written = writeln!(
        text,
        "curl {options}{json} '{{\"user\":\"{NAME}\",\"password\":\"{login}\"}}' {}{}login",
        scene.url,
        rocketchat::BASE_PATH
    );
    // Its users create their accounts themselves.
    let client = "cargo run -p librepass-client --";
    let _written = write!(text, "LibrePass: {client} register --server {} --email you@example.org", scene.url);
    if !scene.mails {
        text.push_str(
            "\n(its mail with a link is sent nowhere: start with --outbox FILE, or with --librepass-verify-email off)",
        );
    }
    text
}
