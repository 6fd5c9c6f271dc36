//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A client of LibrePass.
///
/// Passwords are typed on the terminal, or come from LIBREPASS_PASSWORD, LIBREPASS_NEW_PASSWORD or
/// a file. Codes come from the terminal or LIBREPASS_CODE. Neither is ever an argument, because
/// everybody on the machine can see those.
#[derive(Debug, Parser)]
#[command(version, about)]
pub(crate) struct Arguments {
    /// The file of the log-in. It holds the server's token, and no key.
    #[arg(long, global = true, value_name = "FILE", default_value = "librepass-login.json")]
    pub(crate) session: PathBuf,

    /// A file whose first line is the password.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,

    /// A file whose first line is the new password.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) new_password_file: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Creates an account. Open the link in the mail, then log in.
    Register {
        #[command(flatten)]
        account: Account,
        /// A hint that reminds you of the password. The server mails it to your address on request.
        #[arg(long, value_name = "TEXT")]
        hint: Option<String>,
    },
    /// Logs in, and saves the log-in.
    Login {
        #[command(flatten)]
        account: Account,
    },
    /// Lists the vault: id, and name or title.
    List,
    /// Writes a secure note. `-` reads it from standard input.
    Add {
        /// The title. Anything after the first line is the note.
        text: String,
    },
    /// Changes the password. Every cipher is encrypted again.
    ChangePassword {
        /// A hint that reminds you of the new password. Without it, the old hint is cleared.
        #[arg(long, value_name = "TEXT")]
        hint: Option<String>,
        /// Prints where the time went.
        #[arg(long)]
        timings: bool,
    },
    /// Changes the e-mail address. Every cipher is encrypted again. The change takes effect when
    /// the link in the mail is opened.
    ChangeEmail {
        /// The new address.
        email: String,
        /// Prints where the time went.
        #[arg(long)]
        timings: bool,
    },
    /// Switches on the second factor, and shows the recovery code once.
    TwoFactor,
    /// Deletes the account and everything in it.
    Delete,
}

/// The account, and its server.
#[derive(Debug, Args)]
pub(crate) struct Account {
    /// The server's URL.
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
    /// The e-mail address. Always write it the same way, because it is part of the key.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) email: String,
    /// A PEM file with certificates to trust instead of the public authorities.
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
