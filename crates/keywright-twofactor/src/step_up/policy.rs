//! Which proofs open which action, and for how long one is remembered.

use std::collections::BTreeMap;

use keywright_core::ActionName;

use crate::outcome::Method;

/// How long a proof opens further actions of its session, in seconds, where a rule remembers at all. Source: NIST SP
/// 800-63B-4 asks for re-authentication after 15 minutes of rest at its highest level; 15 is also LibrePass's.
pub const FRESH_SECONDS: u64 = 900;

/// The longest window, in seconds. Rocket.Chat's default is 1,800.
pub const MAX_FRESH_SECONDS: u64 = 3_600;

/// What opens an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    methods: u8,
    fresh_seconds: Option<u64>,
    any_enrolled: bool,
}

const fn bit(method: Method) -> u8 {
    match method {
        Method::Totp => 1,
        Method::Recovery => 2,
        Method::Mailed => 4,
        Method::Password => 8,
    }
}

/// Strongest first: the order in which they are named to a client.
pub(crate) const METHODS: [Method; 4] = [Method::Totp, Method::Recovery, Method::Mailed, Method::Password];

/// How strong a method is. A recovery code stands in for the device.
pub(super) const fn rank(method: Method) -> u8 {
    match method {
        Method::Totp | Method::Recovery => 3,
        Method::Mailed => 2,
        Method::Password => 1,
    }
}

impl Rule {
    /// These methods open the action, and of those that the account has enrolled only the strongest: the client cannot
    /// pick a weaker one. Time-based and recovery codes are the strongest, then mailed codes, then the password. Every
    /// use of the action asks anew.
    #[must_use]
    pub fn strongest_of(methods: &[Method]) -> Self {
        let methods = methods.iter().fold(0, |bits, method| bits | bit(*method));
        Self { methods, fresh_seconds: None, any_enrolled: false }
    }

    /// The same, but each of the enrolled ones will do; the password still only where nothing else is enrolled. For
    /// wires whose clients choose (Rocket.Chat's `x-2fa-method`).
    #[must_use]
    pub fn any_enrolled_of(methods: &[Method]) -> Self {
        Self { any_enrolled: true, ..Self::strongest_of(methods) }
    }

    /// Remembers a proof in the session for so many seconds, 1 to [`MAX_FRESH_SECONDS`]; [`FRESH_SECONDS`] is a good
    /// choice. It opens every action of the
    /// session whose rule remembers and takes its method.
    ///
    /// # Errors
    /// [`StepUpPolicyError::Fresh`] outside of these.
    pub const fn remembered(mut self, seconds: u64) -> Result<Self, StepUpPolicyError> {
        if seconds == 0 || seconds > MAX_FRESH_SECONDS {
            return Err(StepUpPolicyError::Fresh);
        }
        self.fresh_seconds = Some(seconds);
        Ok(self)
    }

    /// How long a proof is remembered; `None`: never, and no remembered one opens the action.
    #[must_use]
    pub const fn fresh_seconds(&self) -> Option<u64> {
        self.fresh_seconds
    }

    /// Whether the rule names a method at all.
    pub(crate) const fn names(&self, method: Method) -> bool {
        self.methods & bit(method) != 0
    }

    /// The methods that open the action for an account that has `enrolled` ones, strongest first.
    pub(crate) fn admissible(&self, enrolled: impl Fn(Method) -> bool) -> impl Iterator<Item = Method> {
        let strongest =
            METHODS.into_iter().filter(|method| self.names(*method) && enrolled(*method)).map(rank).max().unwrap_or(0);
        // Any that is enrolled, but never the password in the place of an enrolled one (`docs/decisions.md` 27b).
        let least = if self.any_enrolled { strongest.min(rank(Method::Mailed)) } else { strongest };
        let bits = METHODS
            .into_iter()
            .filter(|method| self.names(*method) && enrolled(*method) && rank(*method) >= least)
            .fold(0, |bits, method| bits | bit(method));
        METHODS.into_iter().filter(move |method| bits & bit(*method) != 0)
    }
}

/// Rules by action name, and one for all others.
///
/// ```
/// # use keywright_twofactor::{ActionName, Method, Rule, StepUpPolicy, StepUpPolicyError, policy::FRESH_SECONDS};
/// let factors = [Method::Totp, Method::Recovery, Method::Password];
/// let policy = StepUpPolicy::new(Rule::strongest_of(&factors).remembered(FRESH_SECONDS)?)
///     .rule(ActionName::new("vault.delete"), Rule::strongest_of(&factors))?;
/// # let _ = policy;
/// # Ok::<(), StepUpPolicyError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUpPolicy {
    default: Rule,
    rules: BTreeMap<ActionName, Rule>,
}

impl Default for StepUpPolicy {
    /// Factors, and the password where none is enrolled; nothing is remembered.
    fn default() -> Self {
        Self::new(Rule::strongest_of(&[Method::Totp, Method::Recovery, Method::Password]))
    }
}

impl StepUpPolicy {
    /// One rule for every action.
    #[must_use]
    pub const fn new(default: Rule) -> Self {
        Self { default, rules: BTreeMap::new() }
    }

    /// A rule of its own for an action.
    ///
    /// # Errors
    /// [`StepUpPolicyError::TwoRules`] if the action has one already.
    pub fn rule(mut self, action: ActionName, rule: Rule) -> Result<Self, StepUpPolicyError> {
        if self.rules.insert(action, rule).is_some() {
            return Err(StepUpPolicyError::TwoRules);
        }
        Ok(self)
    }

    /// The rule of an action.
    #[must_use]
    pub fn rule_of(&self, action: &ActionName) -> &Rule {
        self.rules.get(action).unwrap_or(&self.default)
    }
}

/// Why a rule is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepUpPolicyError {
    /// The window is out of its bounds.
    #[error("`remembered` is not in 1..=3600")]
    Fresh,
    /// An action has a rule already.
    #[error("an action has two rules")]
    TwoRules,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(rule: &Rule, enrolled: &[Method]) -> Vec<Method> {
        rule.admissible(|method| enrolled.contains(&method)).collect()
    }

    #[test]
    fn owasp_2_2_a_weaker_method_is_no_choice() {
        use Method::{Mailed, Password, Recovery, Totp};
        let rule = Rule::strongest_of(&METHODS);
        assert_eq!(admits(&rule, &[Password, Mailed, Recovery, Totp]), [Totp, Recovery]);
        assert_eq!(admits(&rule, &[Password, Mailed]), [Mailed]);
        assert_eq!(admits(&rule, &[Password]), [Password]);
        assert_eq!(admits(&rule, &[]), []);
        let any = Rule::any_enrolled_of(&METHODS);
        assert_eq!(admits(&any, &[Password, Mailed, Totp]), [Totp, Mailed]);
        assert_eq!(admits(&any, &[Password]), [Password]);
        assert_eq!(admits(&Rule::strongest_of(&[Totp]), &[Password, Mailed]), []);
    }

    #[test]
    fn windows_have_bounds_and_actions_one_rule() {
        let rule = Rule::strongest_of(&METHODS);
        for (seconds, good) in [(0, false), (1, true), (MAX_FRESH_SECONDS, true), (MAX_FRESH_SECONDS + 1, false)] {
            assert_eq!(rule.remembered(seconds).is_ok(), good);
        }
        const OWN: ActionName = ActionName::new("a.b");
        let policy = StepUpPolicy::default().rule(OWN, rule).unwrap();
        assert_eq!(policy.clone().rule(OWN, rule), Err(StepUpPolicyError::TwoRules));
        assert_eq!(policy.rule_of(&OWN), &rule);
        assert_ne!(policy.rule_of(&ActionName::new("c")), &rule);
    }
}
