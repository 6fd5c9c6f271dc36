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
    /// rule remembers proofs and accepts its method. The bounds are checked by
    /// [`StepUpPolicyBuilder::build`].
    #[must_use]
    pub const fn remembered(mut self, seconds: u64) -> Self {
        self.fresh_seconds = Some(seconds);
        self
    }

    /// Returns how long a proof is remembered, in seconds. `None` means that proofs are not
    /// remembered, and that no remembered one authorizes the action.
    #[must_use]
    pub const fn fresh_seconds(&self) -> Option<u64> {
        self.fresh_seconds
    }

    /// Returns the rule if its numbers are in bounds.
    const fn checked(self) -> Result<Self, StepUpPolicyError> {
        match self.fresh_seconds {
            None | Some(1..=MAX_FRESH_SECONDS) => Ok(self),
            Some(_) => Err(StepUpPolicyError::OutOfBounds { field: "remembered", min: 1, max: MAX_FRESH_SECONDS }),
        }
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
/// let policy = StepUpPolicy::builder()
///     .default_rule(Rule::strongest_of(&factors).remembered(FRESH_SECONDS))
///     .rule(ActionName::new("vault.delete"), Rule::strongest_of(&factors))
///     .build()?;
/// let error = StepUpPolicy::builder().default_rule(Rule::strongest_of(&factors).remembered(0)).build().unwrap_err();
/// assert_eq!(error.to_string(), "`remembered` is not in 1..=3600");
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
        let default = Rule::strongest_of(&[Method::Totp, Method::Recovery, Method::Password]);
        Self { default, rules: BTreeMap::new() }
    }
}

impl StepUpPolicy {
    /// Returns a builder that starts from the default rule, for every action.
    pub fn builder() -> StepUpPolicyBuilder {
        StepUpPolicyBuilder { default: Self::default().default, rules: Vec::new() }
    }

    /// Returns the rule for an action.
    #[must_use]
    pub fn rule_of(&self, action: &ActionName) -> &Rule {
        self.rules.get(action).unwrap_or(&self.default)
    }
}

/// A builder that sets the rules of a [`StepUpPolicy`] one by one; [`build`](Self::build) checks
/// them all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct StepUpPolicyBuilder {
    default: Rule,
    rules: Vec<(ActionName, Rule)>,
}

impl StepUpPolicyBuilder {
    /// Sets the rule of every action that has none of its own. Default: factors authorize an
    /// action, and the password where none is enrolled; no proof is remembered.
    pub const fn default_rule(mut self, rule: Rule) -> Self {
        self.default = rule;
        self
    }

    /// Adds a rule of its own for an action.
    pub fn rule(mut self, action: ActionName, rule: Rule) -> Self {
        self.rules.push((action, rule));
        self
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// Returns [`StepUpPolicyError::OutOfBounds`] if a rule remembers proofs for a time that is out
    /// of bounds, and [`StepUpPolicyError::TwoRules`] if an action has more than one rule.
    pub fn build(self) -> Result<StepUpPolicy, StepUpPolicyError> {
        let Self { default, rules } = self;
        let mut policy = StepUpPolicy { default: default.checked()?, rules: BTreeMap::new() };
        for (action, rule) in rules {
            if policy.rules.insert(action, rule.checked()?).is_some() {
                return Err(StepUpPolicyError::TwoRules);
            }
        }
        Ok(policy)
    }
}

/// The reason why rules do not form a [`StepUpPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StepUpPolicyError {
    /// A number is out of bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// The name of the field.
        field: &'static str,
        /// The smallest value allowed.
        min: u64,
        /// The largest value allowed.
        max: u64,
    },
    /// An action has more than one rule.
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
        const OWN: ActionName = ActionName::new("a.b");
        let out = StepUpPolicyError::OutOfBounds { field: "remembered", min: 1, max: 3_600 };
        for (seconds, good) in [(0, false), (1, true), (MAX_FRESH_SECONDS, true), (MAX_FRESH_SECONDS + 1, false)] {
            let rule = rule.remembered(seconds);
            let built =
                [StepUpPolicy::builder().default_rule(rule).build(), StepUpPolicy::builder().rule(OWN, rule).build()];
            for policy in built {
                assert_eq!(policy.err(), (!good).then_some(out), "{seconds}");
            }
        }
        let builder = StepUpPolicy::builder().rule(OWN, rule);
        assert_eq!(builder.clone().rule(OWN, rule).build(), Err(StepUpPolicyError::TwoRules));
        let policy = builder.build().unwrap();
        assert_eq!(policy.rule_of(&OWN), &rule);
        assert_ne!(policy.rule_of(&ActionName::new("c")), &rule);
        assert_eq!(StepUpPolicy::builder().build(), Ok(StepUpPolicy::default()));
    }
}
