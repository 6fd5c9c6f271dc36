//! What a host has before it adds Keywright: users with passwords, sessions, and something to
//! protect. Nothing in here knows of second factors, confirmations or codes.
//!
//! The tables of a real host are in its database, and its log-in limits how many passwords are
//! tried; these are in memory, and do not.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use cookie::{Cookie, SameSite};
use serde::Deserialize;

/// The cookie of a session.
pub const SESSION: &str = "session";
/// The cookie of a half-session: the password was right, and nothing else is known yet.
pub const HALF_SESSION: &str = "half-session";

/// How long a half-session lasts.
pub const HALF: Duration = Duration::from_secs(300);

/// Returns a cookie that no script can read, and that a browser does not send with a form on a page of another site. It
/// ends with the browser. An empty value ends it at once.
#[must_use]
pub fn cookie(name: &'static str, value: &str) -> Cookie<'static> {
    let cookie =
        Cookie::build((name, value.to_owned())).path("/").http_only(true).secure(true).same_site(SameSite::Lax);
    if value.is_empty() { cookie.removal().build() } else { cookie.build() }
}

/// What a user types to sign up and to sign in.
#[derive(Deserialize)]
pub struct Credentials {
    /// The name, which nobody else has.
    pub name: String,
    /// The password.
    pub password: String,
}

/// What a user types to prove who sits there.
#[derive(Deserialize)]
pub struct Password {
    /// The password.
    pub password: String,
}

/// A code that a user types.
#[derive(Deserialize)]
pub struct Code {
    /// The code.
    pub code: String,
}

/// A row of the table of users.
#[derive(Debug, Clone)]
pub struct User {
    /// The primary key. It never changes and is never used again.
    pub id: String,
    /// The name.
    pub name: String,
    /// Changes when the user's other sessions end. For session libraries that compare it in place of a table that can
    /// be searched for the sessions of a user.
    pub stamp: String,
}

/// A user who signs up.
pub struct NewUser {
    user: User,
    hash: String,
}

impl NewUser {
    /// Returns the primary key.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.user.id
    }
}

struct Row {
    user: User,
    hash: String,
    keys: Vec<String>,
}

/// A row of the table of sessions.
struct Session {
    user: String,
    /// When a half-session ends. A whole one has no end here.
    half_until: Option<Instant>,
}

#[derive(Default)]
struct Tables {
    users: HashMap<String, Row>,
    sessions: HashMap<String, Session>,
}

/// The tables.
#[derive(Default)]
pub struct Shop {
    tables: Mutex<Tables>,
    /// Compared where there is no user, so that an unknown name takes as long as a wrong password.
    decoy: String,
}

impl Shop {
    /// Returns an empty shop.
    #[must_use]
    pub fn new() -> Self {
        Self { tables: Mutex::default(), decoy: hash(&token()).unwrap_or_default() }
    }

    /// Returns the name that somebody wants to have, unless it is taken.
    #[must_use]
    pub fn free_name<'a>(&self, typed: &'a Credentials) -> Option<&'a str> {
        let name = typed.name.trim();
        self.tables().users.values().all(|row| row.user.name != name).then_some(name)
    }

    /// Makes a user who is not in the table yet. Returns `None` if the name is empty or the password
    /// cannot be hashed.
    #[must_use]
    pub fn new_user(&self, name: &str, password: &str) -> Option<NewUser> {
        let user = User { id: token(), name: name.to_owned(), stamp: token() };
        let hash = hash(password).filter(|_| !user.name.is_empty())?;
        Some(NewUser { user, hash })
    }

    /// Adds a new user, unless the name is taken.
    #[must_use]
    pub fn add(&self, NewUser { user, hash }: NewUser) -> bool {
        let mut tables = self.tables();
        let free = tables.users.values().all(|row| row.user.name != user.name);
        if free {
            tables.users.insert(user.id.clone(), Row { user, hash, keys: Vec::new() });
        }
        free
    }

    /// Returns the user with this id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<User> {
        self.tables().users.get(id).map(|row| row.user.clone())
    }

    /// Returns the user with this name and this password.
    #[must_use]
    pub fn check_password(&self, name: &str, password: &str) -> Option<User> {
        let found = self.tables().users.values().find(|row| row.user.name == name).map(|row| {
            let Row { user, hash, .. } = row;
            (user.clone(), hash.clone())
        });
        let hash = found.as_ref().map_or(&self.decoy, |(_, hash)| hash);
        let right = PasswordHash::new(hash)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
        found.filter(|_| right).map(|(user, _)| user)
    }

    /// Starts a session of the user with this id, and returns its cookie.
    #[must_use]
    pub fn start_session(&self, user: &str) -> String {
        self.start(user, None)
    }

    /// Starts a half-session, and returns its cookie.
    #[must_use]
    pub fn start_half_session(&self, user: &str) -> String {
        self.start(user, Some(Instant::now() + HALF))
    }

    fn start(&self, user: &str, half_until: Option<Instant>) -> String {
        let token = token();
        self.tables().sessions.insert(token.clone(), Session { user: user.to_owned(), half_until });
        token
    }

    /// Returns the user of a session. A half-session has none.
    #[must_use]
    pub fn user_of_session(&self, token: &str) -> Option<User> {
        let tables = self.tables();
        let session = tables.sessions.get(token).filter(|session| session.half_until.is_none())?;
        tables.users.get(&session.user).map(|row| row.user.clone())
    }

    /// Returns the user of a half-session.
    #[must_use]
    pub fn user_of_half_session(&self, token: &str) -> Option<User> {
        let tables = self.tables();
        let lasts = |session: &&Session| session.half_until.is_some_and(|end| Instant::now() < end);
        let session = tables.sessions.get(token).filter(lasts)?;
        tables.users.get(&session.user).map(|row| row.user.clone())
    }

    /// Ends a session.
    pub fn end_session(&self, token: &str) {
        self.tables().sessions.remove(token);
    }

    /// Ends a half-session.
    pub fn end_half_session(&self, token: &str) {
        let mut tables = self.tables();
        if tables.sessions.get(token).is_some_and(|session| session.half_until.is_some()) {
            tables.sessions.remove(token);
        }
    }

    /// Ends all sessions and half-sessions of a user but the one with this cookie.
    pub fn end_other_sessions(&self, user: &str, keep: &str) {
        let mut tables = self.tables();
        tables.sessions.retain(|token, session| session.user != user || token == keep);
        if let Some(row) = tables.users.get_mut(user) {
            row.user.stamp = token();
        }
    }

    /// Makes a key for the API, if the user exists.
    #[must_use]
    pub fn make_api_key(&self, user: &str) -> Option<String> {
        let key = token();
        self.tables().users.get_mut(user)?.keys.push(key.clone());
        Some(key)
    }

    /// Deletes a user with its keys and sessions.
    pub fn delete_user(&self, user: &str) {
        let mut tables = self.tables();
        tables.users.remove(user);
        tables.sessions.retain(|_, session| session.user != user);
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns a random token for a cookie: 256 bits, as hex digits.
fn token() -> String {
    let mut bytes = [0_u8; 32];
    #[expect(clippy::disallowed_methods, reason = "the host's own randomness")]
    #[expect(clippy::expect_used, reason = "a server without randomness must not go on")]
    getrandom::fill(&mut bytes).expect("the operating system has randomness");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn hash(password: &str) -> Option<String> {
    Some(Argon2::default().hash_password(password.as_bytes()).ok()?.to_string())
}

/// Listens on the address of `--listen ADDRESS`, or 127.0.0.1:8080, and prints it.
///
/// # Errors
/// Returns an error if the address is taken or is not one of this machine.
pub fn listener() -> io::Result<TcpListener> {
    let listener = TcpListener::bind(listen_address())?;
    listener.set_nonblocking(true)?;
    println!("listening on http://{}", listener.local_addr()?);
    Ok(listener)
}

/// Returns the address of `--listen ADDRESS`, or 127.0.0.1:8080.
#[must_use]
pub fn listen_address() -> SocketAddr {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--listen").skip(1);
    arguments.next().and_then(|address| address.parse().ok()).unwrap_or_else(|| ([127, 0, 0, 1], 8080).into())
}
