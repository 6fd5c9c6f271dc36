//! The test fixture for recovery codes: the steps of a server that makes them, and the outcomes of
//! checking a code.

use std::ops::Deref;
use std::sync::Arc;

use keywright_core::{Client, ClientTag, LedgerPolicy, Purpose, Refusal, SessionId};
use keywright_store::{Draft, Driver, Partition, Snapshot, TransactError};
use keywright_testing::Store;
pub(crate) use keywright_testing::at;
use keywright_twofactor::recovery::{ImportError, Liveness, Preset};
use keywright_twofactor::{Method, RECOVERY_SLOTS, SLOT_KINDS, TwoFactorPolicy, TwoFactorSteps, VerifyOutcome};

/// The session that is shown the pending set.
pub(crate) const SESSION: &[u8] = b"session";
/// 2023-11-14, far from both ends of time.
pub(crate) const START: u64 = 1_700_000_000;

/// A client of which nothing is known.
pub(crate) const UNKNOWN: Client = Client::unknown();

pub(crate) struct World(keywright_testing::World);

impl Deref for World {
    type Target = keywright_testing::World;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

/// A client that presents a credential; without a name, one of which nothing is known.
pub(crate) fn client(name: Option<u8>) -> Client {
    name.map_or(UNKNOWN, |name| Client::credential(ClientTag::from_bytes([name; 16])))
}

/// Steps whose policy makes codes of one preset. The credential epoch does not move, so that moves
/// of the factor epoch are visible.
pub(crate) fn steps(preset: Preset) -> TwoFactorSteps {
    let policy = TwoFactorPolicy::builder().recovery(preset).end_other_logins(false).build().unwrap();
    TwoFactorSteps::new(policy, &LedgerPolicy::default()).unwrap()
}

/// A form of the outcome that can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Granted,
    /// A replay: not charged.
    Denied,
    /// A wrong guess: the ledger's streak.
    Charged(u16),
    Refused(Refusal),
    Malformed,
    NotEnrolled,
}

/// One server's check of a code. "Busy" denies; the client's repetition is checked
/// (`docs/decisions.md` 13).
pub(crate) async fn judge(
    driver: &Driver,
    partition: &Partition,
    code: &str,
    client: Client,
) -> Result<Outcome, TransactError> {
    let steps = TwoFactorSteps::default();
    loop {
        let step = |draft: &mut Draft<'_>| steps.verify_recovery_in(draft, code, &Purpose::new("test.open"), client);
        let verdict = match driver.run(partition, RECOVERY_SLOTS, step).await {
            Err(TransactError::Busy) => {
                tokio::task::yield_now().await;
                continue;
            }
            done => done?,
        };
        return Ok(match verdict {
            VerifyOutcome::Granted(proof) => {
                assert_eq!(Partition::account(proof.account()), *partition);
                assert_eq!((proof.method(), proof.purpose().as_str()), (Method::Recovery, "test.open"));
                Outcome::Granted
            }
            VerifyOutcome::Denied(denial) => {
                denial.charge().map_or(Outcome::Denied, |charge| Outcome::Charged(charge.streak()))
            }
            VerifyOutcome::Refused(refusal) => Outcome::Refused(refusal),
            VerifyOutcome::Malformed => Outcome::Malformed,
            VerifyOutcome::NotEnrolled => Outcome::NotEnrolled,
        });
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::built(keywright_testing::World::builder()).await
    }

    pub(crate) async fn sqlite() -> Self {
        Self::built(keywright_testing::World::builder().sqlite()).await
    }

    pub(crate) async fn over(store: Arc<dyn Store>) -> Self {
        Self::built(keywright_testing::World::builder().store(store)).await
    }

    async fn built(builder: keywright_testing::WorldBuilder) -> Self {
        Self(builder.start(START).slots(SLOT_KINDS).build().await)
    }

    pub(crate) async fn make(&self, preset: Preset, liveness: Liveness) -> Vec<String> {
        let steps = steps(preset);
        let codes = self.run(|draft| steps.make_recovery_in(draft, liveness, UNKNOWN)).await.unwrap();
        codes.iter().map(str::to_owned).collect()
    }

    pub(crate) async fn import(&self, preset: Preset, codes: &[&str]) -> Result<(), ImportError> {
        let steps = steps(preset);
        let step = |draft: &mut Draft<'_>| match steps.import_recovery_in(draft, codes) {
            Err(ImportError::Step(error)) => Err(error),
            done => Ok(done),
        };
        self.run(step).await.unwrap()
    }

    pub(crate) async fn acknowledge(&self) -> bool {
        acknowledge(&self.driver, &self.partition()).await.unwrap()
    }

    pub(crate) async fn remaining(&self) -> Option<u8> {
        let steps = steps(Preset::Default);
        self.look(|draft| steps.enrolled_in(draft)).await.recovery
    }

    pub(crate) async fn remove(&self) -> bool {
        let steps = steps(Preset::Default);
        self.run(|draft| steps.remove_recovery_in(draft, UNKNOWN)).await.unwrap()
    }

    pub(crate) async fn refusal(&self, client: Client) -> Option<Refusal> {
        let steps = steps(Preset::Default);
        self.look(|draft| steps.recovery_refusal_in(draft, client)).await
    }

    pub(crate) async fn verify(&self, code: &str) -> Outcome {
        self.verify_as(code, UNKNOWN).await
    }

    pub(crate) async fn verify_as(&self, code: &str, client: Client) -> Outcome {
        judge(&self.driver, &self.partition(), code, client).await.unwrap()
    }

    /// Changes and grants, oldest first: their names, and the number of unused codes that they
    /// report.
    pub(crate) async fn changes(&self) -> Vec<(String, Option<u64>)> {
        let changes = self.0.changes().await;
        changes.iter().map(|event| (event.kind().to_owned(), event.count("remaining"))).collect()
    }

    /// Everything that is stored, to see whether anything was written.
    pub(crate) async fn stored(&self) -> Snapshot {
        self.store.load(&self.partition(), RECOVERY_SLOTS).await.unwrap()
    }
}

/// One server's acknowledgement.
pub(crate) async fn acknowledge(driver: &Driver, partition: &Partition) -> Result<bool, TransactError> {
    let steps = steps(Preset::Default);
    driver
        .run(partition, RECOVERY_SLOTS, |draft| steps.acknowledge_recovery_in(draft, SessionId::new(SESSION), UNKNOWN))
        .await
}

/// A well-formed code of a preset that is in no set of these tests.
pub(crate) fn foreign(preset: Preset, nth: usize) -> String {
    const SYMBOLS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let checked = |places: usize| {
        let data = format!("{nth:0places$}");
        let number = data.bytes().fold(0, |number, digit| (number * 32 + usize::from(digit - b'0')) % 1021);
        let check = (1 + 3 * 1021 - 3 * number) % 1021;
        format!("{data}{}{}", char::from(SYMBOLS[check / 32]), char::from(SYMBOLS[check % 32]))
    };
    match preset {
        Preset::Default => checked(16),
        Preset::Nist => checked(23),
        Preset::RocketChat => format!("{nth:08}"),
        _ => format!("00000000-0000-0000-0000-{nth:012}"),
    }
}
