//! A server with a user, and the user's phone.

use std::cell::Cell;
use std::net::TcpStream;

use keywright::sqlite::rusqlite::Connection;
use keywright::testing::VirtualAuthenticator;
use keywright::{Clock, SystemClock, UnixSeconds};
use keywright_testing::process::{Folder, Server};
use serde_json::{Value, json};

use crate::browser::{Answer, Browser};

const STEP: u64 = 30;
const FEW_FILES: usize = 60;
const PASSWORD: &str = "correct horse";

/// A running server.
pub struct Scene {
    server: Server,
    folder: Folder,
}

impl Scene {
    /// Starts a program in an empty folder.
    #[must_use]
    pub fn start(program: &str) -> Self {
        let folder = Folder::new(program);
        Self { server: folder.start(&[]), folder }
    }

    /// Starts a program that may have few files and connections open, in an empty folder.
    #[must_use]
    pub fn with_few_files(program: &str) -> Self {
        let folder = Folder::new("sh");
        let limited = format!("ulimit -n {FEW_FILES}; exec \"$0\" \"$@\"");
        Self { server: folder.start(&["-c", &limited, program]), folder }
    }

    /// Opens more connections than a program with few files can, and sends nothing.
    pub(crate) fn use_all_files(&self) -> Vec<TcpStream> {
        (0..2 * FEW_FILES).map(|_| TcpStream::connect(self.server.address()).unwrap()).collect()
    }

    /// Returns a browser that nobody has used.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(&self.server.url)
    }

    /// Runs something while the store takes no commits.
    pub fn without_commits(&self, during: impl FnOnce()) {
        let other = Connection::open(self.folder.path("keywright.sqlite")).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        during();
        other.execute_batch("ROLLBACK").unwrap();
    }

    /// Returns how many accounts the store has.
    #[must_use]
    pub fn accounts(&self) -> i64 {
        let store = Connection::open(self.folder.path("keywright.sqlite")).unwrap();
        store.query_row("SELECT count(*) FROM keywright_roots", [], |row| row.get(0)).unwrap()
    }

    /// Signs a user up, and in.
    #[must_use]
    pub fn user(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        assert_eq!(browser.post("/sign-up", &credentials(name)).status, 201);
        assert_eq!(browser.post("/sign-in", &credentials(name)).status, 204);
        browser
    }

    /// Signs a user up and in, and sets a second factor up.
    #[must_use]
    pub fn enrolled(&self, name: &str) -> (Browser, Phone, Vec<String>) {
        let mut browser = self.user(name);
        let phone = Phone::scan(&begin(&mut browser));
        let answer = browser.post_code("/two-factor/code", &phone.code());
        assert_eq!(answer.status, 200, "{answer:?}");
        let codes = answer.body["recovery_codes"].as_array().unwrap().iter();
        (browser, phone, codes.map(|code| code.as_str().unwrap().to_owned()).collect())
    }

    /// Returns a new browser in which the user's password was right, and a code is due.
    #[must_use]
    pub fn at_the_code(&self, name: &str) -> Browser {
        let mut browser = self.browser();
        assert_eq!(browser.post("/sign-in", &credentials(name)).status, 202);
        browser
    }
}

/// What the user types to sign in.
#[must_use]
pub(crate) fn credentials(name: &str) -> Value {
    json!({"name": name, "password": PASSWORD})
}

/// Begins an enrolment.
pub(crate) fn begin(browser: &mut Browser) -> Answer {
    let answer = browser.post("/two-factor", &json!({"password": PASSWORD}));
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// An authenticator that shows each code once. Of one phone, two codes are valid within half a minute: that of the
/// present time step and the next one. No test needs a third.
pub struct Phone {
    app: VirtualAuthenticator,
    next: Cell<u64>,
}

impl Phone {
    /// Scans what the page of an enrolment shows.
    #[must_use]
    pub fn scan(begun: &Answer) -> Self {
        Self { app: VirtualAuthenticator::from_uri(begun.text("uri")).unwrap(), next: Cell::new(0) }
    }

    /// Returns the next code.
    #[must_use]
    pub fn code(&self) -> String {
        let step = self.next.get().max(now() / STEP);
        self.next.set(step + 1);
        self.at(step)
    }

    /// Returns codes that are wrong now and for some minutes.
    pub fn wrong_codes(&self) -> impl Iterator<Item = String> {
        let present = now() / STEP;
        let near: Vec<String> = (present - 10..present + 20).map(|step| self.at(step)).collect();
        (0..1_000_000).map(|number| format!("{number:06}")).filter(move |code| !near.contains(code))
    }

    fn at(&self, step: u64) -> String {
        self.app.code_at(UnixSeconds::new(step * STEP).unwrap())
    }
}

fn now() -> u64 {
    SystemClock.now().unwrap().get()
}
