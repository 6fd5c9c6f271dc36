//! The registrations that wait for an address. There may be several, and the first to open its link
//! gets the address (`docs/decisions.md` 31).
//!
//! They are stored in a partition of the address, apart from the name's own, so that a registration
//! for which a fresh link is requested can be found while no account owns the address yet. This
//! list proves nothing: the account's own record states whether it waits.

use keywright_core::{AccountId, ClientTag, UnixSeconds};
use keywright_store::{Draft, Record, Slot, StepError};
use keywright_wire::Network;
use serde::{Deserialize, Serialize};

use crate::policy::MAILS_PER_DAY;

const DAY_SECONDS: u64 = 24 * 60 * 60;

/// How many mails to one address one network can cause in 24 hours, of the [`MAILS_PER_DAY`] in
/// all, so that no single network uses up what the owner of the address needs to register. A whole
/// IPv6 site counts as one, because 65,536 networks cost nothing.
pub(crate) const MAILS_PER_NETWORK: usize = 3;

/// How many of the [`MAILS_PER_DAY`] are kept for networks that have caused none in the last 24
/// hours. A few hostile networks cannot use up all mails; that takes as many networks as there are
/// mails.
const KEPT_FOR_OTHERS: usize = 3;

/// The slot of the registrations that wait for an address, in a partition of the address.
pub(crate) const WAITING: Slot<WaitingList> = Slot::lasting("lp-waiting");

/// The record. It also counts the mails to the address that anybody can request.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct WaitingList {
    /// The registrations, oldest first. There are at most [`MAILS_PER_DAY`], because each has cost
    /// a mail and lasts a day from its last one.
    entries: Vec<Waiting>,
    /// The mails of the last 24 hours, oldest first.
    mails: Vec<Mailed>,
}

#[derive(Serialize, Deserialize)]
struct Waiting {
    account: AccountId,
    until: UnixSeconds,
    network: Option<ClientTag>,
}

#[derive(Serialize, Deserialize)]
struct Mailed {
    at: UnixSeconds,
    /// The tag of an IPv4 address, or of a whole IPv6 site.
    network: Option<ClientTag>,
}

impl Record for WaitingList {
    const SCHEMA: u16 = 1;
}

impl WaitingList {
    /// Returns the list as of now, and whether it must be put even beside a refusal, because the
    /// clock went back.
    fn read(draft: &mut Draft<'_>) -> Result<(Self, bool), StepError> {
        let mut list: Self = draft.read(WAITING)?.unwrap_or_default();
        let went_back = list.tidy(draft.now());
        Ok((list, went_back))
    }

    /// Puts the list in a partition that is removed as a whole once nothing in it counts any more.
    fn put(&self, draft: &mut Draft<'_>) -> Result<(), StepError> {
        let counted = self.mails.iter().map(|mail| mail.at.plus(DAY_SECONDS));
        let last = self.entries.iter().map(|entry| entry.until).chain(counted).max();
        draft.put(WAITING, self)?;
        draft.expire_partition(last.unwrap_or(draft.now()))
    }

    /// Forgets what no longer counts. After the clock went back, times in the future become now.
    /// Returns whether that was so: it must then be stored, or a client that is refused would start
    /// its wait again each time.
    fn tidy(&mut self, now: UnixSeconds) -> bool {
        let mut went_back = false;
        let latest = now.plus(DAY_SECONDS);
        for entry in self.entries.iter_mut().filter(|entry| entry.until > latest) {
            entry.until = latest;
            went_back = true;
        }
        for mail in self.mails.iter_mut().filter(|mail| mail.at > now) {
            mail.at = now;
            went_back = true;
        }
        self.entries.retain(|entry| now < entry.until);
        self.mails.retain(|mail| now.since(mail.at) < DAY_SECONDS);
        went_back
    }

    /// Counts a mail that a network requests; if the day's mails are used up, returns the seconds
    /// until the next.
    fn book(&mut self, network: Option<ClientTag>, now: UnixSeconds) -> Result<(), u64> {
        let all = self.mails.iter();
        let of_network = || self.mails.iter().filter(|mail| network.is_some() && mail.network == network);
        let kept = if of_network().next().is_some() { KEPT_FOR_OTHERS } else { 0 };
        let most = MAILS_PER_DAY.saturating_sub(kept);
        let waits = [wait(all, most, now), wait(of_network(), MAILS_PER_NETWORK, now)];
        match waits.into_iter().flatten().max() {
            Some(seconds) => Err(seconds),
            None => {
                self.mails.push(Mailed { at: now, network });
                Ok(())
            }
        }
    }
}

/// Returns the seconds until one more of these mails is within `most`, or `None` if it is now.
fn wait<'m>(mails: impl Iterator<Item = &'m Mailed>, most: usize, now: UnixSeconds) -> Option<u64> {
    let mails: Vec<UnixSeconds> = mails.map(|mail| mail.at).collect();
    let surplus = mails.len().saturating_add(1).saturating_sub(most);
    let nth = surplus.checked_sub(1).and_then(|nth| mails.get(nth))?;
    Some(nth.plus(DAY_SECONDS).since(now).max(1))
}

/// Records a registration, and the mail that it causes, before there is an account, so that no mail
/// is sent that was not counted. If the mails are used up, returns the seconds to wait, and nothing
/// is recorded.
pub(crate) fn add_in(
    draft: &mut Draft<'_>,
    account: &AccountId,
    network: Option<Network>,
) -> Result<Result<(), u64>, StepError> {
    let site = network.map(|network| network.site_tag(draft));
    let (network, now) = (network.map(|network| network.tag(draft)), draft.now());
    let (mut list, went_back) = WaitingList::read(draft)?;
    if let Err(seconds) = list.book(site, now) {
        if went_back {
            list.put(draft)?;
        }
        return Ok(Err(seconds));
    }
    list.entries.push(Waiting { account: account.clone(), until: now.plus(DAY_SECONDS), network });
    // Otherwise a registration that is renewed every day would keep the others' places.
    let surplus = list.entries.len().saturating_sub(MAILS_PER_DAY);
    list.entries.drain(..surplus.min(list.entries.len()));
    list.put(draft)?;
    Ok(Ok(()))
}

/// Counts a fresh link, and returns whose it is: the registration that came from the same network,
/// else the newest. Returns `None` if no registration waits.
pub(crate) fn renew_in(
    draft: &mut Draft<'_>,
    network: Option<Network>,
) -> Result<Option<Result<AccountId, u64>>, StepError> {
    let site = network.map(|network| network.site_tag(draft));
    let (network, now) = (network.map(|network| network.tag(draft)), draft.now());
    let (mut list, went_back) = WaitingList::read(draft)?;
    let own = |entry: &Waiting| network.is_some() && entry.network == network;
    let at = list.entries.iter().rposition(own).or_else(|| list.entries.len().checked_sub(1));
    let Some(at) = at.filter(|at| *at < list.entries.len()) else { return Ok(None) };
    if let Err(seconds) = list.book(site, now) {
        if went_back {
            list.put(draft)?;
        }
        return Ok(Some(Err(seconds)));
    }
    let mut renewed = list.entries.remove(at);
    renewed.until = now.plus(DAY_SECONDS);
    let account = renewed.account.clone();
    list.entries.push(renewed);
    list.put(draft)?;
    Ok(Some(Ok(account)))
}

/// Whether any registration waits. Changes nothing.
pub(crate) fn is_waited_for(draft: &mut Draft<'_>) -> Result<bool, StepError> {
    Ok(!WaitingList::read(draft)?.0.entries.is_empty())
}

/// Removes all registrations from the list, because one has verified the address, and returns the
/// others.
pub(crate) fn close_in(draft: &mut Draft<'_>, verified: &AccountId) -> Result<Vec<AccountId>, StepError> {
    let (mut list, _) = WaitingList::read(draft)?;
    if list.entries.is_empty() {
        return Ok(Vec::new());
    }
    let accounts = std::mem::take(&mut list.entries).into_iter().map(|entry| entry.account);
    let others = accounts.filter(|account| account != verified).collect();
    list.put(draft)?;
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: UnixSeconds = UnixSeconds::EPOCH;

    fn at(seconds: u64) -> UnixSeconds {
        START.plus(1_000_000).plus(seconds)
    }

    fn network(n: u8) -> Option<ClientTag> {
        Some(ClientTag::from_bytes([n; 16]))
    }

    #[test]
    fn ten_mails_a_day_and_three_of_them_for_one_network() {
        let mut list = WaitingList::default();
        for n in 0..3 {
            assert_eq!(list.book(network(1), at(n)), Ok(()));
        }
        assert_eq!(list.book(network(1), at(3)), Err(DAY_SECONDS - 3));
        for n in 0..7 {
            assert_eq!(list.book(network(2 + n), at(4)), Ok(()));
        }
        assert_eq!(list.book(network(99), at(5)), Err(DAY_SECONDS - 5));
        assert!(!list.tidy(at(DAY_SECONDS)));
        assert_eq!(list.book(network(1), at(DAY_SECONDS)), Err(4), "it has had two of nine");
        assert_eq!(list.book(network(99), at(DAY_SECONDS)), Ok(()));
        assert!(!list.tidy(at(DAY_SECONDS + 4)));
        assert_eq!(list.book(network(1), at(DAY_SECONDS + 4)), Ok(()));
    }

    #[test]
    fn three_are_kept_for_networks_that_have_caused_none() {
        let mut list = WaitingList::default();
        let booked = (0..9).filter(|n| list.book(network(n % 3), at(0)).is_ok()).count();
        assert_eq!(booked, 7);
        assert_eq!(list.book(network(2), at(1)), Err(DAY_SECONDS - 1));
        for n in 10..13 {
            assert_eq!(list.book(network(n), at(1)), Ok(()), "{n}");
        }
        assert_eq!(list.book(network(13), at(1)), Err(DAY_SECONDS - 1));
    }

    #[test]
    fn without_networks_there_are_ten_whatever_the_clock_does() {
        let mut list = WaitingList::default();
        for n in 0..10 {
            assert_eq!(list.book(None, at(n)), Ok(()));
        }
        assert_eq!(list.book(None, at(10)), Err(DAY_SECONDS - 10));
        assert!(list.tidy(at(0).minus(10_000)));
        assert!(!list.tidy(at(0).minus(10_000)), "once");
        assert_eq!(list.book(None, at(0).minus(10_000)), Err(DAY_SECONDS));
        list.tidy(at(0).minus(10_000).plus(DAY_SECONDS));
        assert_eq!(list.book(None, at(0).minus(10_000).plus(DAY_SECONDS)), Ok(()));
    }
}
