//! The rules of step-up: which proofs authorize which action, and for how long a proof is
//! remembered.

use std::collections::BTreeMap;

use keywright_core::ActionName;

use crate::outcome::Method;

/// How long a proof authorizes further actions of its session, in seconds, where a rule remembers
/// proofs at all. Source: NIST SP 800-63B-4 requires re-authentication after 15 minutes of
/// inactivity at its highest level; LibrePass also uses 15.
pub const FRESH_SECONDS: u64 = 900;

/// The maximum time for which a proof is remembered, in seconds. Rocket.Chat's default is 1,800.
pub const MAX_FRESH_SECONDS: u64 = 3_600;

/// The methods that authorize an action.
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

/// The methods, strongest first: the order in which they are listed to a client.
pub(crate) const METHODS: [Method; 4] = [Method::Totp, Method::Recovery, Method::Mailed, Method::Password];

/// Returns how strong a method is. A recovery code stands in for the device.
pub(super) const fn rank(method: Method) -> u8 {
    match method {
        Method::Totp | Method::Recovery => 3,
        Method::Mailed => 2,
        Method::Password => 1,
    }
}

impl Rule {
    /// Creates a rule under which these methods authorize the action. Of those that the account has
    /// enrolled, only the strongest do, so the client cannot choose a weaker one. Time-based and
    /// recovery codes are the strongest, then mailed codes, then the password. Every use of the
    /// action requires a new proof.
    #[must_use]
    pub fn strongest_of(methods: &[Method]) -> Self {
        let methods = methods.iter().fold(0, |bits, method| bits | bit(*method));
        Self { methods, fresh_seconds: None, any_enrolled: false }
    }

    /// Creates a rule under which any of these methods that is enrolled authorizes the action; the
    /// password still does only where nothing else is enrolled. For wire protocols whose clients
    /// choose (Rocket.Chat's `x-2fa-method`).
    #[must_use]
    pub fn any_enrolled_of(methods: &[Method]) -> Self {
        Self { any_enrolled: true, ..Self::strongest_of(methods) }
    }

    /// Remembers a proof in the session for this many seconds, 1 to [`MAX_FRESH_SECONDS`];
    /// [`FRESH_SECONDS`] is a good choice. The proof authorizes every action of the session whose
    /// rule remembers proofs and accepts its method.
    ///
    /// # Errors
    /// Returns [`StepUpPolicyError::Fresh`] if `seconds` is out of bounds.
    pub const fn remembered(mut self, seconds: u64) -> Result<Self, StepUpPolicyError> {
        if seconds == 0 || seconds > MAX_FRESH_SECONDS {
            return Err(StepUpPolicyError::Fresh);
        }
        self.fresh_seconds = Some(seconds);
        Ok(self)
    }

    /// Returns how long a proof is remembered, in seconds. `None` means that proofs are not
    /// remembered, and that no remembered one authorizes the action.
    #[must_use]
    pub const fn fresh_seconds(&self) -> Option<u64> {
        self.fresh_seconds
    }

    /// Whether the rule includes a method at all.
    pub(crate) const fn names(&self, method: Method) -> bool {
        self.methods & bit(method) != 0
    }

    /// Returns the methods that authorize the action for an account with the `enrolled` ones,
    /// strongest first.
    pub(crate) fn admissible(&self, enrolled: impl Fn(Method) -> bool) -> impl Iterator<Item = Method> {
        let strongest =
            METHODS.into_iter().filter(|method| self.names(*method) && enrolled(*method)).map(rank).max().unwrap_or(0);
        // Any enrolled method will do, but the password never replaces an enrolled one
        // (`docs/decisions.md` 27b).
        let least = if self.any_enrolled { strongest.min(rank(Method::Mailed)) } else { strongest };
        let bits = METHODS
            .into_iter()
            .filter(|method| self.names(*method) && enrolled(*method) && rank(*method) >= least)
            .fold(0, |bits, method| bits | bit(method));
        METHODS.into_iter().filter(move |method| bits & bit(*method) != 0)
    }
}

/// The rules of step-up: one for each named action, and a default for all others.
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
    /// Returns a policy that accepts factors, and the password where none is enrolled. No proof is
    /// remembered.
    fn default() -> Self {
        Self::new(Rule::strongest_of(&[Method::Totp, Method::Recovery, Method::Password]))
    }
}

impl StepUpPolicy {
    /// Creates a policy with one rule for every action.
    #[must_use]
    pub const fn new(default: Rule) -> Self {
        Self { default, rules: BTreeMap::new() }
    }

    /// Adds a rule for one action, which replaces the default rule for it.
    ///
    /// # Errors
    /// Returns [`StepUpPolicyError::TwoRules`] if the action has a rule already.
    pub fn rule(mut self, action: ActionName, rule: Rule) -> Result<Self, StepUpPolicyError> {
        if self.rules.insert(action, rule).is_some() {
            return Err(StepUpPolicyError::TwoRules);
        }
        Ok(self)
    }

    /// Returns the rule for an action.
    #[must_use]
    pub fn rule_of(&self, action: &ActionName) -> &Rule {
        self.rules.get(action).unwrap_or(&self.default)
    }
}

/// A rule is not valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepUpPolicyError {
    /// The time for which a proof is remembered is out of bounds.
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
