//! Two-factor challenges: log-ins whose first factor was proven to the host, for example to an
//! identity provider, and which wait for the second (protocol § 15).

use keywright_confirm::{MailedCode, SendOutcome};
use keywright_core::{AccountId, Event, SecretString, UnixSeconds};
use keywright_store::slot::Expiring;
use keywright_store::{
    Draft, Epochs, Partition, Receipt, Release, Slot, SlotName, StepError, Tentative, TransactError, WrongReceipt,
};
use keywright_twofactor::Method;
use keywright_twofactor::events::STEP_UP_GRANTED;
use keywright_wire::{Network, RefusedBy};
use zeroize::Zeroizing;

use crate::act::Act;
use crate::answer::Failure;
use crate::context::{Context, Prover, Source};
use crate::error::{ApiError, Wait};
use crate::events::{CHALLENGE_MADE, LOGGED_IN};
use crate::factors::{self, Enrolment};
use crate::host::{Endpoint, Host, Named};
use crate::issue::{Issued, issue};
use crate::method::{Demand, Factor};
use crate::params::Target;
use crate::second_factor::{Check, Checked, send_code};
use crate::state::{CHALLENGES, Challenge};
use crate::user::User;

/// The longest id, in characters. An account's id is short, so nothing longer is decoded.
const MAX_ID_CHARS: usize = 512;

/// A log-in that waits for its second factor
/// ([`RocketChat::create_challenge`](crate::RocketChat::create_challenge)).
#[non_exhaustive]
pub struct LoginChallenge {
    /// What the client sends back as `challengeId`: lower-case hex. Whoever has it may try codes.
    pub id: SecretString,
    /// The methods that the client can use: [`Method::Totp`], which takes recovery codes too, and
    /// [`Method::Mailed`], after `twoFactorChallenges.sendEmailCode`.
    pub methods: Vec<Method>,
    /// The first moment at which the challenge no longer counts.
    pub expires: UnixSeconds,
}

keywright_core::redacted_debug!(LoginChallenge { methods, expires, .. });

/// The decoded contents of an id: a random value, and the account, without which the record could
/// not be found.
struct Id {
    random: [u8; 16],
    account: AccountId,
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_ID_CHARS || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return None;
        }
        let bytes = Zeroizing::new(hex::decode(text).ok()?);
        let (random, account) = bytes.split_first_chunk::<16>()?;
        Some(Self { random: *random, account: AccountId::new(std::str::from_utf8(account).ok()?).ok()? })
    }

    fn to_text(&self) -> SecretString {
        let bytes = Zeroizing::new([self.random.as_slice(), self.account.as_str().as_bytes()].concat());
        SecretString::new(hex::encode(bytes.as_slice()))
    }

    /// Returns the slot, under a digest: a reader of the database learns no id that counts.
    fn slot<H>(&self, cx: &Context<H>) -> Slot<Challenge, Expiring> {
        let mut place = [0; 16];
        let full = cx.index.mac(&[b"rocketchat-challenge", self.account.as_str().as_bytes(), &self.random]);
        place.iter_mut().zip(full).for_each(|(to, from)| *to = from);
        CHALLENGES.at(place)
    }
}

/// Makes a challenge. Returns `None` if a log-in of the account requires no second factor.
pub(crate) async fn create<H: Host>(
    cx: &Context<H>,
    account: &AccountId,
    user: &User,
) -> Result<Option<LoginChallenge>, TransactError> {
    let random = keywright_core::random_bytes(&**cx.driver.entropy())?;
    let id = Id { random, account: account.clone() };
    let slot = id.slot(cx);
    let slots = [keywright_twofactor::SLOTS, &[slot.name()]].concat();
    let partition = Partition::account(account);
    let made = cx.driver.run(&partition, &slots, |draft| {
        let enrolment = factors::enrolment(cx, draft, user, Demand::Offered)?;
        if enrolment.of_login(cx.policy.enabled, None).is_none() {
            return Ok(None);
        }
        let challenge = Challenge::new(draft)?;
        let expires = challenge.made.expires;
        draft.put_until(slot, &challenge, expires)?;
        draft.event(&CHALLENGE_MADE);
        Ok(Some(draft.tentative((enrolment.login_methods(), expires))))
    });
    Ok(made.await?.map(|(methods, expires)| LoginChallenge { id: id.to_text(), methods, expires }))
}

/// The answer of a step: what it grants, or why not.
type Answer<T> = Result<T, ApiError>;

/// Reads a challenge that counts.
fn live(draft: &mut Draft<'_>, slot: Slot<Challenge, Expiring>) -> Result<Answer<Challenge>, StepError> {
    match draft.root() {
        Err(StepError::NoAccount) => return Ok(Err(ApiError::challenge_not_found())),
        root => root?,
    };
    Ok(match draft.read(slot)? {
        None => Err(ApiError::challenge_not_found()),
        Some(challenge) if challenge.made.is_live(draft)? => Ok(challenge),
        Some(_) => Err(ApiError::challenge_expired()),
    })
}

/// A request about a challenge.
pub(crate) struct Request<'a, H> {
    cx: &'a Context<H>,
    id: Id,
    user: User,
    network: Option<Network>,
}

/// The decision about a code.
enum Ruling<G = Tentative<Epochs>> {
    Granted(G),
    Refused(ApiError),
}

impl<G: Release> Release for Ruling<G> {
    type Released = Ruling<G::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Granted(grant) => Ruling::Granted(grant.release(receipt)?),
            Self::Refused(error) => Ruling::Refused(error),
        })
    }
}

/// The decision about a call for a mailed code.
enum Sending<M = Tentative<MailedCode>> {
    Mailed { mail: M, until: UnixSeconds },
    Refused(ApiError),
}

impl<M: Release> Release for Sending<M> {
    type Released = Sending<M::Released>;
    fn release(self, receipt: &Receipt) -> Result<Self::Released, WrongReceipt> {
        Ok(match self {
            Self::Mailed { mail, until } => Sending::Mailed { mail: mail.release(receipt)?, until },
            Self::Refused(error) => Sending::Refused(error),
        })
    }
}

impl<'a, H: Host> Request<'a, H> {
    /// Finds whose challenge an id names.
    pub(crate) async fn of(cx: &'a Context<H>, id: &str, network: Option<Network>) -> Result<Self, Failure> {
        let id = Id::parse(id).ok_or_else(ApiError::challenge_not_found)?;
        let slot = id.slot(cx);
        // Looked at before the host is called: the error for an id that nobody has shows nothing
        // about users.
        let found = cx.driver.observe(&(&id.account).into(), &[slot.name()], |draft| live(draft, slot)).await?;
        found?;
        let user = cx.host.find_user(Named::Account(&id.account)).await?;
        let user = user.filter(|user| user.username.is_some()).ok_or_else(ApiError::user_not_found)?;
        Ok(Self { cx, id, user, network })
    }

    /// Mails a code, which the challenge requires from then on.
    pub(crate) async fn send_code(&self) -> Result<(), Failure> {
        let sent = self.cx.step(&self.user.account, &self.slots(), |draft| self.ask(draft)).await?;
        match sent {
            Sending::Mailed { mail, until } => Ok(send_code(self.cx, &self.user, &mail, Some(until)).await?),
            Sending::Refused(error) => Err(error.into()),
        }
    }

    fn ask(&self, draft: &mut Draft<'_>) -> Result<Sending, StepError> {
        let slot = self.id.slot(self.cx);
        let mut challenge = match live(draft, slot)? {
            Ok(challenge) => challenge,
            Err(error) => return Ok(Sending::Refused(error)),
        };
        if !self.enrolment(draft)?.has_email() {
            return Ok(Sending::Refused(ApiError::invalid_challenge_method()));
        }
        let (act, prover) = (self.act(), self.prover());
        Ok(match self.cx.confirmations.begin_mailed_in(draft, &act, prover.session)? {
            SendOutcome::Send(mail) => {
                challenge.by_email = true;
                let until = challenge.made.expires;
                draft.put_until(slot, &challenge, until)?;
                Sending::Mailed { mail, until }
            }
            SendOutcome::NotYet { retry_after } | SendOutcome::Exhausted { retry_after } => {
                let wait = Wait::from(draft.now(), retry_after);
                Sending::Refused(ApiError::over_limit(wait, RefusedBy::MAILS))
            }
        })
    }

    /// Lets the user in for a right code, once.
    pub(crate) async fn verify(&self, code: &SecretString) -> Result<Issued, Failure> {
        let ruled = self.cx.step(&self.user.account, &self.slots(), |draft| self.judge(draft, code)).await?;
        match ruled {
            Ruling::Granted(epochs) => issue(self.cx, &self.user.account, epochs, ApiError::user_not_found).await,
            Ruling::Refused(error) => Err(error.into()),
        }
    }

    fn judge(&self, draft: &mut Draft<'_>, code: &SecretString) -> Result<Ruling, StepError> {
        let slot = self.id.slot(self.cx);
        let mut challenge = match live(draft, slot)? {
            Ok(challenge) => challenge,
            Err(error) => return Ok(Ruling::Refused(error)),
        };
        let (act, enrolment) = (self.act(), self.enrolment(draft)?);
        let check = Check { cx: self.cx, prover: self.prover(), act: &act, code: Some(code) };
        let checked = match enrolment.of_login(true, challenge.by_email.then_some(Factor::Email)) {
            Some(Factor::Totp) => check.by_totp(draft, &enrolment)?,
            Some(Factor::Email) => check.mailed(draft, &enrolment)?.0,
            // What the challenge could require is no longer offered.
            Some(Factor::Password) | None => return Ok(Ruling::Refused(ApiError::invalid_challenge_method())),
        };
        match checked {
            Checked::Passed(proof) => {
                draft.delete(slot)?;
                draft.event(Event::new(&STEP_UP_GRANTED).with("action", Act::purpose(act.endpoint).as_str()));
                draft.event(&LOGGED_IN);
                let epochs = draft.root()?.epochs();
                Ok(Ruling::Granted(proof.map(|()| epochs)))
            }
            Checked::Wait(seconds) => Ok(Ruling::Refused(ApiError::too_many(Wait::from(draft.now(), seconds)))),
            Checked::Denied(..) | Checked::Mailed { .. } => {
                challenge.tries = challenge.tries.saturating_sub(1);
                let expires = challenge.made.expires;
                match challenge.tries {
                    0 => draft.delete(slot)?,
                    _ => draft.put_until(slot, &challenge, expires)?,
                }
                Ok(Ruling::Refused(ApiError::invalid_code()))
            }
        }
    }

    fn act(&self) -> Act {
        Act::new(Endpoint::VerifyChallenge, Target::Own)
    }

    fn enrolment(&self, draft: &mut Draft<'_>) -> Result<Enrolment, StepError> {
        factors::enrolment(self.cx, draft, &self.user, Demand::Offered)
    }

    fn prover(&self) -> Prover<'_> {
        let session = self.cx.session_of(&self.user, b"rocketchat-challenge", &self.id.random);
        Prover { user: &self.user, session, source: Source::Network(self.network) }
    }

    fn slots(&self) -> Vec<SlotName> {
        let own = [self.id.slot(self.cx).name()];
        [keywright_twofactor::SLOTS, keywright_confirm::SLOTS, &own].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_id_reads_back_and_any_other_text_is_none(random in any::<[u8; 16]>(), junk in "[0-9a-zA-Z]{0,60}") {
            let account = AccountId::new("user-1").unwrap();
            let text = Id { random, account: account.clone() }.to_text();
            let id = Id::parse(text.expose()).unwrap();
            prop_assert_eq!((id.random, id.account), (random, account));
            prop_assert!(Id::parse(&junk).is_none_or(|id| id.to_text().expose() == junk));
        }
    }
}
