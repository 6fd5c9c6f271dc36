//! Commands that act on accounts, and the log of one.

use std::fmt::Write;
use std::sync::Arc;

use keywright::core::SecretName;
use keywright::rocketchat::RocketChat;
use keywright::store::{Partition, StepError};
use keywright::{AccountId, Erasure, Keywright, TransactError};

use crate::accounts::directory::Accounts;
use crate::accounts::file::values::{is_email, is_name};
use crate::accounts::new_account::NewAccount;
use crate::accounts::seed::Seeding;
use crate::failure::Failure;
use crate::hosts::rocketchat::RocketChatHost;
use crate::operator::failure::Failed;
use crate::operator::find::find;
use crate::operator::moving;
use crate::operator::progress::Progress;
use crate::options::{AccountCommand, Options};
use crate::output;
use crate::start::rocketchat_of;

/// How many partitions are listed at once.
const PARTITIONS: u32 = 256;

/// How many of the newest events `accounts show` prints.
const NEWEST: u32 = 5;

/// Runs one command, and returns what to print.
///
/// # Errors
/// A [`Failure`]. Nothing was changed, unless the message states that this is unknown.
pub(super) async fn run(options: &Options, keywright: &Keywright, command: &AccountCommand) -> Result<String, Failure> {
    let accounts = Arc::new(Accounts::new(keywright.driver().clone())?);
    match command {
        AccountCommand::List => list(keywright, &accounts).await,
        AccountCommand::Create { name, email } => create(&accounts, name, email.as_deref()).await,
        AccountCommand::Show { account } => {
            let id = find(keywright, account).await?;
            show(keywright, &accounts, &id).await
        }
        AccountCommand::Unlock { account } => {
            let id = find(keywright, account).await?;
            let lifted = keywright.operator().unlock(&id).await.map_err(Failure::Act)?;
            let names: Vec<&str> = lifted.iter().map(SecretName::as_str).collect();
            Ok(if names.is_empty() {
                format!("{account}: no wait or limit was in force")
            } else {
                format!("{account}: waits and limits are lifted at: {}", names.join(", "))
            })
        }
        AccountCommand::ResetTwoFactor { account } => {
            let id = find(keywright, account).await?;
            Ok(match keywright.operator().reset_two_factor(&id).await.map_err(Failed::Factors)? {
                true => format!("{account}: all second factors are removed"),
                false => format!("{account}: there was no second factor"),
            })
        }
        AccountCommand::EndSessions { account } => {
            let id = find(keywright, account).await?;
            keywright.operator().end_sessions(&id).await.map_err(Failure::Act)?;
            accounts.end_logins(&id).await?;
            Ok(format!("{account}: all sessions, tokens and app passwords have ended"))
        }
        AccountCommand::Export { file, secrets_in_clear } => moving::export(keywright, file, *secrets_in_clear).await,
        AccountCommand::Import { file, dry_run } => moving::import(keywright, file, *dry_run).await,
        AccountCommand::LoginCode { account } => {
            let id = find(keywright, account).await?;
            let rocketchat = rocketchat_of(options, keywright, accounts)?;
            let code = rocketchat.create_login_code(&id).await.map_err(Failure::Act)?;
            // Printed once, as it is asked for.
            Ok(format!("{account}: a login code, once, within a minute\n{}", code.expose()))
        }
        AccountCommand::Challenge { account } => {
            let id = find(keywright, account).await?;
            challenge(&rocketchat_of(options, keywright, accounts)?, account, &id).await
        }
        AccountCommand::Erase { account, yes } => erase(keywright, &accounts, account, *yes).await,
    }
}

/// One line for each account: id, name, and when it was created.
async fn list(keywright: &Keywright, accounts: &Accounts) -> Result<String, Failure> {
    let (mut after, mut count, progress) = (None, 0_u64, Progress::new("accounts"));
    loop {
        let page = keywright.store().partitions(after, PARTITIONS).await.map_err(Failure::Scan)?;
        let Some(last) = page.last().cloned() else { break };
        for account in page.iter().filter_map(Partition::as_account) {
            let line = line(keywright, accounts, &account).await?;
            count = count.saturating_add(1);
            progress.at(count);
            progress.pause(|| output::say(&line)).map_err(Failure::Output)?;
        }
        after = Some(last);
    }
    Ok(format!("{count} accounts"))
}

async fn line(keywright: &Keywright, accounts: &Accounts, account: &AccountId) -> Result<String, Failure> {
    let root = keywright.driver().observe(&Partition::account(account), &[], |draft| draft.root()).await;
    let state = match root {
        Ok(root) if root.erased => "erased".to_owned(),
        Ok(root) => format!("created {}", output::moment(root.created)),
        Err(TransactError::Step(StepError::NoAccount)) => "blank".to_owned(),
        Err(error) if error.is_damage() => "damaged".to_owned(),
        Err(error) => return Err(Failure::Act(error)),
    };
    let name = match accounts.profile(account).await {
        Ok(profile) => profile.map(|profile| profile.name),
        Err(error) if error.is_damage() => None,
        Err(error) => return Err(error.into()),
    };
    Ok(format!("{account}  {}  {state}", name.as_deref().unwrap_or("-")))
}

async fn show(keywright: &Keywright, accounts: &Accounts, account: &AccountId) -> Result<String, Failure> {
    let mut text = line(keywright, accounts, account).await?;
    if let Some(email) = accounts.profile(account).await?.and_then(|profile| profile.email) {
        let _written = write!(text, "\ne-mail address: {email}");
    }
    let enrolled = keywright.two_factor().enrolled(account).await.map_err(Failed::Factors)?;
    let recovery = enrolled.recovery.map_or_else(|| "none".to_owned(), |left| format!("{left} left"));
    let mailed = if enrolled.email { "on" } else { "off" };
    let _written = write!(
        text,
        "\ntime-based codes: {} devices; recovery codes: {recovery}; mailed codes: {mailed}",
        enrolled.devices.len()
    );
    for event in keywright.recent_events(account, NEWEST).await.map_err(Failure::Act)? {
        let _written = write!(text, "\n{} {event}", output::moment(event.at));
    }
    Ok(text)
}

/// Creates an account with fresh passwords, which are shown once. If it is interrupted before they
/// are shown, `erase` the account and create it again.
async fn create(accounts: &Accounts, name: &str, email: Option<&str>) -> Result<String, Failure> {
    if !is_name(name) {
        return Err(Failed::Name { name: name.to_owned() }.into());
    }
    // A script may pass on what a stranger typed, and mail is written to this address.
    if !email.is_none_or(is_email) {
        return Err(Failed::Email.into());
    }
    if accounts.find(name).await?.is_some() {
        return Err(Failed::AccountExists { name: name.to_owned() }.into());
    }
    let (app_password, login_password) = (accounts.fresh_secret()?, accounts.fresh_secret()?);
    // Printed once, below, as it is asked for.
    let (app, login) = (app_password.expose().to_owned(), login_password.expose().to_owned());
    let new = NewAccount {
        name: name.to_owned(),
        email: email.map(str::to_owned),
        login_password: Some(login_password),
        app_passwords: vec![app_password],
        rocketchat: None,
    };
    match accounts.seed(&new).await? {
        Seeding::Made => Ok(format!("{name}, shown this once\napp password:   {app}\nlogin password: {login}")),
        Seeding::Kept => Err(Failed::AccountExists { name: name.to_owned() }.into()),
    }
}

/// Makes a challenge of a log-in whose password the operator vouches for.
async fn challenge(
    rocketchat: &RocketChat<RocketChatHost>,
    name: &str,
    account: &AccountId,
) -> Result<String, Failure> {
    let made = rocketchat.create_challenge(account).await.map_err(Failed::Challenge)?;
    Ok(match made {
        Some(made) => {
            let until = output::moment(made.expires);
            format!("{name}: a challenge, until {until}\n{}", made.id.expose())
        }
        None => format!("{name}: a log-in requires no second factor, so there is no challenge"),
    })
}

/// The host's own records go last, because the account is found by them.
async fn erase(keywright: &Keywright, accounts: &Accounts, name: &str, yes: bool) -> Result<String, Failure> {
    let id = find(keywright, name).await?;
    if !yes {
        return Err(Failed::NotConfirmed.into());
    }
    accounts.end_logins(&id).await?;
    let erased = keywright.operator().erase_account(&id).await.map_err(Failure::Act)?;
    accounts.forget(&id).await?;
    Ok(match erased {
        Erasure::Erased => format!("{name}: erased; its log is kept until it is old enough"),
        Erasure::NoAccount => format!("{name}: there was nothing to erase"),
    })
}

/// Returns the newest events of an account, the newest first.
///
/// # Errors
/// A [`Failure`] if the log cannot be read, or was altered.
pub(super) async fn events(keywright: &Keywright, name: &str, limit: u32) -> Result<String, Failure> {
    let account = find(keywright, name).await?;
    let events = keywright.recent_events(&account, limit).await.map_err(Failure::Act)?;
    let lines: Vec<String> = events.iter().map(|event| format!("{} {event}", output::moment(event.at))).collect();
    Ok(lines.join("\n"))
}
