//! Changes of authenticators, of factors that the host checks, and of recovery codes.

use keywright_store::{Draft, Partition, Plain};
use keywright_twofactor::recovery::{Liveness, RecoveryCodes};
use keywright_twofactor::{
    ClockOffset, DeviceId, EnrolmentOutcome, EnrolmentStart, PendingDevice, RenameOutcome, SLOTS,
};

use super::proof::{Refused, prove};
use crate::answer::Failure;
use crate::context::{Context, begun_by};
use crate::host::{Caller, Host};

/// What came of the beginning of an enrolment.
pub(crate) enum Begun {
    Pending(PendingDevice),
    Refused(Refused),
    TooMany,
    Unknown,
    BadName,
}

/// What came of the first code of an authenticator.
pub(crate) enum Enrolled {
    /// With the recovery codes, if the account had no set.
    Active(Option<RecoveryCodes>),
    Wrong,
    ClockOff(ClockOffset),
    Gone,
    Malformed,
    TooMany,
}

/// What came of a removal.
pub(crate) enum Removed {
    Done,
    Refused(Refused),
    Unknown,
}

/// What came of a new name.
pub(crate) enum Renamed {
    Done,
    Refused(Refused),
    Unknown,
    BadName,
}

/// Whether the account can have recovery codes: they stand in for something that is enrolled.
pub(crate) const fn takes_recovery_codes(enrolled: &keywright_twofactor::Enrolled) -> bool {
    enrolled.has_totp() || !enrolled.attested.is_empty()
}

/// Returns the name of an authenticator or of a factor that the host checks.
pub(crate) fn name_of(enrolled: &keywright_twofactor::Enrolled, id: DeviceId) -> Option<&str> {
    let device = enrolled.devices.iter().find(|device| device.id == id).map(|device| device.name.as_str());
    device.or_else(|| enrolled.attested.iter().find(|factor| factor.id == id).map(|factor| factor.name.as_str()))
}

/// Whether a text is a name that a factor may have.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().count() <= 64 && !name.chars().any(char::is_control)
}

/// Begins an enrolment. What can be refused without the proof is refused first, so that no code is
/// spent for nothing.
pub(crate) async fn begin<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    name: &str,
    replaces: Option<DeviceId>,
    typed: &str,
) -> Result<Begun, Failure> {
    let enrolled = cx.two_factor.enrolled(&caller.account).await?;
    if !is_name(name) {
        return Ok(Begun::BadName);
    }
    if replaces.is_some_and(|id| !enrolled.devices.iter().any(|device| device.id == id)) {
        return Ok(Begun::Unknown);
    }
    let change = match prove(cx, caller, typed).await? {
        Ok(change) => change,
        Err(refused) => return Ok(Begun::Refused(refused)),
    };
    Ok(match cx.two_factor.begin_with(change, name, replaces).await? {
        EnrolmentStart::Begun(pending) => Begun::Pending(pending),
        EnrolmentStart::TooManyDevices => Begun::TooMany,
        EnrolmentStart::UnknownDevice => Begun::Unknown,
        EnrolmentStart::BadName => Begun::BadName,
    })
}

/// Checks the first code. If the account has no recovery codes, the same commit makes them, live at
/// once: an account with an authenticator and without codes is one lost phone away from a lock-out.
pub(crate) async fn confirm<H: Host>(cx: &Context<H>, caller: &Caller, typed: &str) -> Result<Enrolled, Failure> {
    let steps = cx.two_factor.steps();
    let change = |draft: &mut Draft<'_>| {
        let has_codes = steps.enrolled_in(draft)?.recovery.is_some();
        let outcome = steps.confirm_enrolment_in(draft, caller.session, typed, caller.client)?;
        let codes = match outcome {
            EnrolmentOutcome::Active(_) if !has_codes => {
                Some(steps.make_recovery_in(draft, Liveness::Now, caller.client)?)
            }
            _ => None,
        };
        Ok((outcome, codes))
    };
    let step = |draft: &mut Draft<'_>| begun_by(draft, change).map(|(done, begun)| (done, Plain(begun)));
    let ((outcome, codes), begun) = cx.driver.run(&Partition::account(&caller.account), SLOTS, step).await?;
    cx.keep_session(caller, begun).await?;
    Ok(match outcome {
        EnrolmentOutcome::Active(_) => Enrolled::Active(codes),
        EnrolmentOutcome::Wrong => Enrolled::Wrong,
        EnrolmentOutcome::ClockOff(offset) => Enrolled::ClockOff(offset),
        EnrolmentOutcome::NonePending => Enrolled::Gone,
        EnrolmentOutcome::Malformed => Enrolled::Malformed,
        EnrolmentOutcome::TooManyDevices => Enrolled::TooMany,
    })
}

/// Removes an authenticator or a factor that the host checks.
pub(crate) async fn remove<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    device: DeviceId,
    typed: &str,
) -> Result<Removed, Failure> {
    if name_of(&cx.two_factor.enrolled(&caller.account).await?, device).is_none() {
        return Ok(Removed::Unknown);
    }
    let change = match prove(cx, caller, typed).await? {
        Ok(change) => change,
        Err(refused) => return Ok(Removed::Refused(refused)),
    };
    let steps = cx.two_factor.steps();
    let step = |draft: &mut Draft<'_>| {
        if !change.is_valid_in(draft)? {
            return Ok(None);
        }
        begun_by(draft, |draft| steps.remove_device_in(draft, device, caller.client)).map(Some)
    };
    let done = cx.driver.transact(&Partition::account(&caller.account), SLOTS, step).await?;
    let (removed, begun) = done.ok_or(Failure::Stale)?;
    cx.keep_session(caller, begun).await?;
    Ok(if removed { Removed::Done } else { Removed::Unknown })
}

/// Renames an authenticator or a factor that the host checks. It takes the same proof as a removal:
/// a thief of the session must not give the owner's key the name of another.
pub(crate) async fn rename<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    device: DeviceId,
    name: &str,
    typed: &str,
) -> Result<Renamed, Failure> {
    if name_of(&cx.two_factor.enrolled(&caller.account).await?, device).is_none() {
        return Ok(Renamed::Unknown);
    }
    if !is_name(name) {
        return Ok(Renamed::BadName);
    }
    let change = match prove(cx, caller, typed).await? {
        Ok(change) => change,
        Err(refused) => return Ok(Renamed::Refused(refused)),
    };
    Ok(match cx.two_factor.rename_device(change, device, name).await? {
        RenameOutcome::Renamed => Renamed::Done,
        RenameOutcome::UnknownDevice => Renamed::Unknown,
        RenameOutcome::BadName => Renamed::BadName,
    })
}

/// Makes recovery codes that go live when the owner acknowledges them.
pub(crate) async fn make_codes<H: Host>(
    cx: &Context<H>,
    caller: &Caller,
    typed: &str,
) -> Result<Result<RecoveryCodes, Refused>, Failure> {
    let change = match prove(cx, caller, typed).await? {
        Ok(change) => change,
        Err(refused) => return Ok(Err(refused)),
    };
    let liveness = Liveness::OnAcknowledgement { session: caller.session };
    Ok(Ok(cx.two_factor.make_recovery(change, liveness, caller.client).await?))
}

/// Makes the codes live that the session was shown. Returns whether there were any.
pub(crate) async fn keep_codes<H: Host>(cx: &Context<H>, caller: &Caller) -> Result<bool, Failure> {
    let steps = cx.two_factor.steps();
    let change = |draft: &mut Draft<'_>| steps.acknowledge_recovery_in(draft, caller.session, caller.client);
    let step = |draft: &mut Draft<'_>| begun_by(draft, change);
    let (live, begun) = cx.driver.transact(&Partition::account(&caller.account), SLOTS, step).await?;
    cx.keep_session(caller, begun).await?;
    Ok(live)
}
