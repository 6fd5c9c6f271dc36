//! The commands.

use std::error::Error;
use std::path::Path;
use std::{fs, io};

use keywright_core::{SecretString, SystemEntropy};
use keywright_twofactor::{KeyUri, Parameters, TotpSecret};
use librepass_client::{ArgonParameters, SavedLogin, Server, Session, Timings};

use crate::arguments::{Account, Arguments, Command};
use crate::progress::Bar;
use crate::secrets;

type Done<T = ()> = Result<T, Box<dyn Error>>;

/// # Errors
/// Runs a command, and returns any error.
pub(crate) fn run(arguments: &Arguments) -> Done {
    match &arguments.command {
        Command::Register { account, hint } => register(arguments, account, hint.as_deref()),
        Command::Login { account } => login(arguments, account),
        Command::List => list(arguments),
        Command::Add { text } => add(arguments, text),
        Command::ChangePassword { hint, timings } => change_password(arguments, hint.as_deref(), *timings),
        Command::ChangeEmail { email, timings } => change_email(arguments, email, *timings),
        Command::TwoFactor => two_factor(arguments),
        Command::Delete => delete(arguments),
    }
}

fn register(arguments: &Arguments, account: &Account, hint: Option<&str>) -> Done {
    let server = Server::open(&account.server, account.ca.as_deref())?;
    let password = secrets::new_password(arguments.password_file.as_deref(), "LIBREPASS_PASSWORD")?;
    server.register(&account.email, password.expose(), hint, ArgonParameters::default())?;
    println!("registered; if the server sends a mail, open the link in it before you log in");
    Ok(())
}

fn login(arguments: &Arguments, account: &Account) -> Done {
    let server = Server::open(&account.server, account.ca.as_deref())?;
    let mut session = server.log_in(&account.email, password(arguments)?.expose())?;
    if session.needs_second_factor() {
        session.prove_second_factor(secrets::code()?.expose())?;
    }
    let mut login = session.into_login();
    // An absolute path stays valid in another working directory.
    login.certificates = account.ca.as_deref().map(fs::canonicalize).transpose()?;
    login.write(&arguments.session)?;
    println!("logged in");
    Ok(())
}

fn list(arguments: &Arguments) -> Done {
    let session = session(arguments)?;
    for cipher in session.read()? {
        // The name comes from a cipher that others may have written, and a terminal obeys control
        // characters.
        let name = session.name(&cipher)?.unwrap_or_default().replace(char::is_control, " ");
        println!("{}  {name}", cipher.id);
    }
    Ok(())
}

fn add(arguments: &Arguments, text: &str) -> Done {
    let text = if text == "-" { io::read_to_string(io::stdin())? } else { text.to_owned() };
    let (title, note) = text.split_once('\n').unwrap_or((&text, ""));
    println!("{}", session(arguments)?.write_note(title, note)?);
    Ok(())
}

fn change_password(arguments: &Arguments, hint: Option<&str>, timings: bool) -> Done {
    let session = session(arguments)?;
    let new = secrets::new_password(arguments.new_password_file.as_deref(), "LIBREPASS_NEW_PASSWORD")?;
    let bar = Bar::new();
    let changed = session.change_password(new.expose(), hint, |done, total| bar.show(done, total))?;
    drop(bar);
    forget(&arguments.session)?;
    say("the password is changed; log in anew", changed, timings);
    Ok(())
}

fn change_email(arguments: &Arguments, email: &str, timings: bool) -> Done {
    let (login, server) = saved(&arguments.session)?;
    let password = password(arguments)?;
    let session = server.resume(login, password.expose())?;
    let bar = Bar::new();
    let asked = session.change_email(email, password.expose(), |done, total| bar.show(done, total))?;
    drop(bar);
    say("asked; if the server sends a mail to the new address, open the link in it, then log in anew", asked, timings);
    Ok(())
}

fn two_factor(arguments: &Arguments) -> Done {
    let session = session(arguments)?;
    let secret = TotpSecret::random(&SystemEntropy)?;
    let base32 = secret.to_base32();
    let uri = KeyUri::new(Some("LibrePass"), &session.login().email, secret, Parameters::default())?;
    println!("{}\n{}", base32.expose(), uri.to_text().expose());
    eprintln!("add this to the authenticator app, then type the code that it shows");
    let recovery = session.set_up_two_factor(&base32, secrets::code()?.expose())?;
    println!("{}", recovery.expose());
    eprintln!("this recovery code works once, at a log-in, and is not shown again");
    Ok(())
}

fn delete(arguments: &Arguments) -> Done {
    let session = session(arguments)?;
    let gone = session.delete_account(None);
    let gone = match gone {
        Err(error) if error.code() == Some("LP-Invalid-Two-Factor") => {
            session.delete_account(Some(secrets::code()?.expose()))
        }
        gone => gone,
    };
    gone?;
    forget(&arguments.session)?;
    println!("the account is deleted");
    Ok(())
}

fn say(what: &str, timings: Timings, shown: bool) {
    println!("{what} ({} ciphers)", timings.ciphers);
    if shown {
        print!("{timings}");
    }
}

fn password(arguments: &Arguments) -> io::Result<SecretString> {
    secrets::password(arguments.password_file.as_deref())
}

fn saved(path: &Path) -> Done<(SavedLogin, Server)> {
    let login = SavedLogin::read(path)?;
    let server = Server::open(&login.server, login.certificates.as_deref())?;
    Ok((login, server))
}

fn session(arguments: &Arguments) -> Done<Session> {
    let (login, server) = saved(&arguments.session)?;
    Ok(server.resume(login, password(arguments)?.expose())?)
}

/// Removes the saved log-in, because its token has ended.
fn forget(path: &Path) -> io::Result<()> {
    fs::remove_file(path)
}
