//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A client of LibrePass.
///
/// Passwords are asked for on the terminal, or come from LIBREPASS_PASSWORD, LIBREPASS_NEW_PASSWORD or a file; codes from
/// LIBREPASS_CODE. Never from an argument: everybody on the machine can see those.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// Where the log-in is kept: the server's token, and no key.
    #[arg(long, global = true, value_name = "FILE", default_value = "librepass-login.json")]
    pub(crate) session: PathBuf,

    /// The first line of this file is the password.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// The first line of this file is the new password.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) new_password_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Makes an account. Open the link in the mail, then log in.
    Register {
        #[command(flatten)]
        account: Account,
        /// What reminds you of the password; mailed to whoever asks, if it is your address.
        #[arg(long, value_name = "TEXT")]
        hint: Option<String>,
    },
    /// Logs in and keeps the log-in.
    Login {
        #[command(flatten)]
        account: Account,
    },
    /// Lists the vault: id, and name or title.
    List,
    /// Writes a secure note. `-` reads it from standard input.
    Add {
        /// The title; what follows the first line is the note.
        text: String,
    },
    /// Changes the password: every cipher is encrypted anew.
    ChangePassword {
        /// What reminds you of the new password. Without it the old hint is cleared.
        #[arg(long, value_name = "TEXT")]
        hint: Option<String>,
        /// Says where the time went.
        #[arg(long)]
        timings: bool,
    },
    /// Changes the e-mail address: every cipher is encrypted anew, and changed when the link in the mail is opened.
    ChangeEmail {
        /// The new address.
        email: String,
        /// Says where the time went.
        #[arg(long)]
        timings: bool,
    },
    /// Switches the second factor on, and shows the recovery code once.
    TwoFactor,
    /// Deletes the account and all that is in it.
    Delete,
}

/// Whose account, and where.
#[derive(Debug, Args)]
pub(crate) struct Account {
    /// The server.
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// The address, always written the same way: it is part of the key.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
    /// Certificates to trust instead of the public authorities, in PEM.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["librepass-client", "login", "--password", "sesame"]).is_err());
    }
}
