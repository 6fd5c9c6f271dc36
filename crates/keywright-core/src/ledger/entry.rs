//! One door's entry: what is stored, and the arithmetic on it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize, Serializer};

use super::policy::MAX_DEVICES;
use super::{DeviceTag, Door, GuessLedger, Lane, LedgerPolicy, REPLAY_NOTE_SECONDS, Refusal, Strength};
use crate::UnixSeconds;

/// A lane's failures since its last success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Streak {
    pub(super) count: u16,
    pub(super) until: UnixSeconds,
}

impl Default for Streak {
    fn default() -> Self {
        Self::NONE
    }
}

impl Default for Load {
    fn default() -> Self {
        Self::NONE
    }
}

impl Streak {
    const NONE: Self = Self { count: 0, until: UnixSeconds::EPOCH };

    /// The end of the wait as of `now`: an `until` further away than its own wait comes from a clock that went back.
    fn end(&self, policy: &LedgerPolicy, now: UnixSeconds) -> UnixSeconds {
        self.until.min(now.plus(policy.wait(self.count)))
    }

    fn add(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        self.count = self.count.saturating_add(1);
        self.until = now.plus(policy.wait(self.count));
    }
}

/// A credential that passed this door, and its own lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Device {
    pub(super) tag: DeviceTag,
    pub(super) streak: Streak,
}

/// Wrong guesses of all lanes, leaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Load {
    /// As it stood at `at`.
    pub(super) level: u16,
    /// Up to here all leaks are taken off. Moves forward only, so that no day leaks twice.
    pub(super) at: UnixSeconds,
}

impl Load {
    const NONE: Self = Self { level: 0, at: UnixSeconds::EPOCH };

    fn add(&mut self, policy: &LedgerPolicy, now: UnixSeconds) {
        let leaks = now.since(self.at).checked_div(policy.leak_seconds).unwrap_or(0);
        match u16::try_from(leaks).ok().and_then(|leaks| self.level.checked_sub(leaks)).filter(|&level| level > 0) {
            Some(level) => {
                self.level = level;
                self.at = self.at.plus(leaks.saturating_mul(policy.leak_seconds));
            }
            // Empty: the next leak is a whole period after the charge that comes now.
            None => *self = Self { level: 0, at: self.at.max(now) },
        }
        self.level = self.level.saturating_add(1);
    }

    /// When the level is below `limit` (at least 1) by itself; a time in the past if it is already.
    fn end(&self, policy: &LedgerPolicy, limit: u16) -> UnixSeconds {
        match self.level.checked_sub(limit) {
            None => UnixSeconds::EPOCH,
            Some(over) => self.at.plus(u64::from(over).saturating_add(1).saturating_mul(policy.leak_seconds)),
        }
    }
}

/// One door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// How often it was unlocked or cleared: a charge from before is not given back from what came after.
    pub(super) unlocks: u32,
    pub(super) stranger: Streak,
    /// By their last right guess, the latest last. At most [`MAX_DEVICES`], no tag twice.
    pub(super) devices: Vec<Device>,
    pub(super) load: Load,
    /// When a replay was told last; 1970 for never.
    pub(super) replay: UnixSeconds,
}

impl Default for Entry {
    fn default() -> Self {
        Self { unlocks: 0, stranger: Streak::NONE, devices: Vec::new(), load: Load::NONE, replay: UnixSeconds::EPOCH }
    }
}

impl Entry {
    /// The devices that count under this policy, which may be stricter than the one they were learnt under.
    fn known(&self, policy: &LedgerPolicy) -> impl Iterator<Item = &Device> {
        let surplus = self.devices.len().saturating_sub(policy.devices);
        self.devices.iter().skip(surplus).filter(|device| device.streak.count < policy.device_forget)
    }

    /// True if the caller is a known device.
    pub(super) fn is_known(&self, policy: &LedgerPolicy, tag: Option<DeviceTag>) -> bool {
        tag.is_some_and(|tag| self.known(policy).any(|device| device.tag == tag))
    }

    /// The caller's lane, and whether it is a known device's.
    fn lane(&self, policy: &LedgerPolicy, tag: Option<DeviceTag>) -> (bool, &Streak) {
        match tag.and_then(|tag| self.known(policy).find(|device| device.tag == tag)) {
            Some(device) => (true, &device.streak),
            None => (false, &self.stranger),
        }
    }

    fn lane_mut(&mut self, policy: &LedgerPolicy, tag: Option<DeviceTag>) -> (bool, &mut Streak) {
        if self.is_known(policy, tag)
            && let Some(device) = self.devices.iter_mut().find(|device| Some(device.tag) == tag)
        {
            return (true, &mut device.streak);
        }
        (false, &mut self.stranger)
    }

    /// Whether the caller's guess is refused at `now`.
    pub(super) fn refusal(
        &self,
        policy: &LedgerPolicy,
        strength: Strength,
        tag: Option<DeviceTag>,
        now: UnixSeconds,
    ) -> Option<Refusal> {
        let (known, streak) = self.lane(policy, tag);
        let mut end = streak.end(policy, now);
        if strength == Strength::Guessable {
            if !known && streak.count >= policy.stranger_lock {
                return Some(Refusal { retry_after: policy.max_wait, locked: true, changed: false });
            }
            let limit = if known { policy.known_load_limit } else { policy.stranger_load_limit };
            end = end.max(self.load.end(policy, limit));
        }
        let retry_after = end.since(now);
        (retry_after > 0).then_some(Refusal { retry_after, locked: false, changed: false })
    }

    /// Begins the caller's wait once more at `now` if it is further away than its own length. True if it was.
    pub(super) fn reanchor(&mut self, policy: &LedgerPolicy, tag: Option<DeviceTag>, now: UnixSeconds) -> bool {
        let (_, streak) = self.lane_mut(policy, tag);
        let end = streak.end(policy, now);
        core::mem::replace(&mut streak.until, end) != end
    }

    /// Counts a wrong guess. Gives whether it was a known device's, the lane's streak, and whether the device is forgotten.
    pub(super) fn charge(
        &mut self,
        policy: &LedgerPolicy,
        tag: Option<DeviceTag>,
        now: UnixSeconds,
    ) -> (bool, u16, bool) {
        self.load.add(policy, now);
        let (known, streak) = self.lane_mut(policy, tag);
        streak.add(policy, now);
        let count = streak.count;
        let forgotten = known && count >= policy.device_forget;
        self.drop_unknown(policy);
        (known, count, forgotten)
    }

    /// Clears the lane that passed and makes `passed` known.
    pub(super) fn forgive(&mut self, policy: &LedgerPolicy, lane: &Lane, passed: Option<DeviceTag>) {
        match lane.tag.filter(|_| lane.known) {
            // Also when the charge now given back, or another one meanwhile, made the device forgotten.
            Some(own) => self.learn(own),
            None => self.stranger = Streak::NONE,
        }
        if let Some(passed) = passed {
            self.learn(passed);
        }
        self.drop_unknown(policy);
    }

    /// Puts a device last, with a clean streak.
    fn learn(&mut self, tag: DeviceTag) {
        self.devices.retain(|device| device.tag != tag);
        self.devices.push(Device { tag, streak: Streak::NONE });
    }

    /// Drops the devices that do not count: too many failures, or too many devices.
    fn drop_unknown(&mut self, policy: &LedgerPolicy) {
        let surplus = self.devices.len().saturating_sub(policy.devices);
        self.devices.drain(..surplus);
        self.devices.retain(|device| device.streak.count < policy.device_forget);
    }

    /// Remembers that a replay is told now, unless one was a moment ago. After the clock went back it is told anew, once.
    pub(super) fn note_replay(&mut self, now: UnixSeconds) {
        let told = self.replay;
        if told == UnixSeconds::EPOCH || now < told || now.since(told) >= REPLAY_NOTE_SECONDS {
            self.replay = now;
        }
    }

    /// Clears streaks and load. True if there were any.
    pub(super) fn unlock(&mut self) -> bool {
        let spotless = |streak: &Streak| streak.count == 0;
        let nothing =
            self.load.level == 0 && spotless(&self.stranger) && self.devices.iter().all(|d| spotless(&d.streak));
        if nothing {
            return false;
        }
        self.unlocks = self.unlocks.wrapping_add(1);
        self.stranger = Streak::NONE;
        self.load = Load::NONE;
        for device in &mut self.devices {
            device.streak = Streak::NONE;
        }
        true
    }

    /// Forgets all but the count of unlocks. True if there was anything.
    pub(super) fn clear(&mut self) -> bool {
        let had_devices = !self.devices.is_empty();
        self.devices.clear();
        self.unlock() || had_devices
    }
}

/// The stored form before its bounds are checked.
#[derive(Deserialize)]
#[serde(rename = "GuessLedger")]
pub(super) struct StoredLedger {
    doors: Vec<(Door, Entry)>,
}

/// Writes the doors as [`StoredLedger`] reads them. Not as a map: a decoder would keep the last of two equal doors.
pub(super) fn in_order<S: Serializer>(doors: &BTreeMap<Door, Entry>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(doors)
}

/// Why a stored ledger is none. Says nothing of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum StoredLedgerError {
    #[error("the doors of a guess ledger are not in ascending order, each at most once")]
    Doors,
    #[error("a door of a guess ledger has more than {MAX_DEVICES} devices, or one twice")]
    Devices,
}

impl TryFrom<StoredLedger> for GuessLedger {
    type Error = StoredLedgerError;
    fn try_from(stored: StoredLedger) -> Result<Self, Self::Error> {
        if !stored.doors.is_sorted_by(|(a, _), (b, _)| a < b) {
            return Err(StoredLedgerError::Doors);
        }
        let sound = |(_, entry): &(Door, Entry)| {
            let devices = &entry.devices;
            devices.len() <= MAX_DEVICES
                && devices.iter().all(|device| devices.iter().filter(|other| other.tag == device.tag).count() == 1)
        };
        if !stored.doors.iter().all(sound) {
            return Err(StoredLedgerError::Devices);
        }
        Ok(Self { doors: stored.doors.into_iter().collect() })
    }
}
