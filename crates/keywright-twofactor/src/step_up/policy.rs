//! The rules of step-up: which proofs authorize which action, and for how long a proof is
//! remembered.

use std::collections::BTreeMap;

use keywright_core::ActionName;

use crate::attested::method::{AttestedMethod, MAX_ATTESTED_METHODS, Strength};
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
    attested: [Option<AttestedMethod>; MAX_ATTESTED_METHODS],
    /// More attested methods were named than a policy may register.
    too_many: bool,
    fresh_seconds: Option<u64>,
    any_enrolled: bool,
}

/// Returns the bit of one of this crate's own methods.
const fn bit(method: Method) -> u8 {
    match method {
        Method::Totp => 1,
        Method::Recovery => 2,
        Method::Mailed => 4,
        Method::Password => 8,
        Method::Attested(_) => 0,
    }
}

/// The methods of this crate, strongest first: the order in which they are listed to a client.
pub(crate) const METHODS: [Method; 4] = [Method::Totp, Method::Recovery, Method::Mailed, Method::Password];

/// Returns how strong a method is. A recovery code is as strong as a time-based one here; that it
/// stands in for a lost factor of any strength is decided in [`Rule::admissible`].
pub(super) const fn rank(method: Method) -> u8 {
    match method {
        Method::Attested(method) => rank_of(method.strength()),
        Method::Totp | Method::Recovery => 3,
        Method::Mailed => 2,
        Method::Password => 1,
    }
}

/// Returns how strong an attested method is, on the scale of [`rank`].
pub(super) const fn rank_of(strength: Strength) -> u8 {
    match strength {
        Strength::PhishingResistant => 4,
        Strength::SecondFactor => 3,
        Strength::OutOfBand => 2,
    }
}

impl Rule {
    /// Creates a rule under which these methods authorize the action. Of those that the account has
    /// enrolled, only the strongest do, so the client cannot choose a weaker one. Attested methods
    /// that resist phishing are the strongest, then time-based codes, then mailed codes, then the
    /// password; other attested methods rank by their [`Strength`]. A recovery code stands in for a
    /// lost factor of any strength, so leave [`Method::Recovery`] out of a rule for an action that
    /// must resist phishing. Every use of the action requires a new proof.
    #[must_use]
    pub fn strongest_of(methods: &[Method]) -> Self {
        let bits = methods.iter().fold(0, |bits, method| bits | bit(*method));
        let mut rule =
            Self { methods: bits, attested: [None; _], too_many: false, fresh_seconds: None, any_enrolled: false };
        for method in methods {
            let Method::Attested(method) = *method else { continue };
            if rule.attested.contains(&Some(method)) {
                continue;
            }
            match rule.attested.iter_mut().find(|place| place.is_none()) {
                Some(place) => *place = Some(method),
                None => rule.too_many = true,
            }
        }
        rule
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

    /// Returns the rule if its numbers are in bounds and the attested methods that it names are
    /// registered.
    fn checked(self, registered: &[AttestedMethod]) -> Result<Self, StepUpPolicyError> {
        if self.too_many {
            return Err(StepUpPolicyError::TooManyMethods);
        }
        if let Some(unknown) = self.attested.iter().flatten().find(|method| !registered.contains(method)) {
            return Err(StepUpPolicyError::UnknownMethod(unknown.name()));
        }
        match self.fresh_seconds {
            None | Some(1..=MAX_FRESH_SECONDS) => Ok(self),
            Some(_) => Err(StepUpPolicyError::OutOfBounds { field: "remembered", min: 1, max: MAX_FRESH_SECONDS }),
        }
    }

    /// Returns the methods that the rule names, strongest first.
    fn listed(&self) -> impl Iterator<Item = Method> {
        let attested = |strength| {
            let of = move |method: &AttestedMethod| method.strength() == strength;
            self.attested.into_iter().flatten().filter(of).map(Method::Attested)
        };
        let own = |method: Method| Some(method).filter(|method| self.methods & bit(*method) != 0);
        attested(Strength::PhishingResistant)
            .chain(own(Method::Totp))
            .chain(attested(Strength::SecondFactor))
            .chain(own(Method::Recovery))
            .chain(attested(Strength::OutOfBand))
            .chain(own(Method::Mailed))
            .chain(own(Method::Password))
    }

    /// Returns the methods that authorize the action for an account with the `enrolled` ones,
    /// strongest first.
    pub(crate) fn admissible(&self, enrolled: impl Fn(Method) -> bool) -> impl Iterator<Item = Method> {
        let found: Vec<Method> = self.listed().filter(|method| enrolled(*method)).collect();
        let strongest = found.iter().copied().map(rank).max().unwrap_or(0);
        // Any enrolled method will do, but the password never replaces an enrolled one
        // (`docs/decisions.md` 27b).
        let least = if self.any_enrolled { strongest.min(rank(Method::Mailed)) } else { strongest };
        found.into_iter().filter(move |method| rank(*method) >= least || *method == Method::Recovery)
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
    attested: Vec<AttestedMethod>,
}

impl Default for StepUpPolicy {
    /// Returns a policy that accepts factors, and the password where none is enrolled. No proof is
    /// remembered.
    fn default() -> Self {
        Self { default: factors_or_password(&[]), rules: BTreeMap::new(), attested: Vec::new() }
    }
}

impl StepUpPolicy {
    /// Returns a builder that starts from the default rule, for every action.
    pub fn builder() -> StepUpPolicyBuilder {
        StepUpPolicyBuilder { default: None, rules: Vec::new(), attested: Vec::new() }
    }

    /// Returns the rule for an action.
    #[must_use]
    pub fn rule_of(&self, action: &ActionName) -> &Rule {
        self.rules.get(action).unwrap_or(&self.default)
    }

    /// Returns the attested methods that are registered.
    #[must_use]
    pub fn attested(&self) -> &[AttestedMethod] {
        &self.attested
    }

    /// Returns the registered method with this name.
    pub(crate) fn registered(&self, name: &str) -> Option<AttestedMethod> {
        self.attested.iter().copied().find(|method| method.name() == name)
    }
}

/// Returns the default rule: the strongest factor that is enrolled, and the password where none is.
fn factors_or_password(attested: &[AttestedMethod]) -> Rule {
    let own = [Method::Totp, Method::Recovery, Method::Password];
    let methods: Vec<Method> = attested.iter().copied().map(Method::Attested).chain(own).collect();
    Rule::strongest_of(&methods)
}

/// A builder that sets the rules of a [`StepUpPolicy`] one by one; [`build`](Self::build) checks
/// them all.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct StepUpPolicyBuilder {
    default: Option<Rule>,
    rules: Vec<(ActionName, Rule)>,
    attested: Vec<AttestedMethod>,
}

impl StepUpPolicyBuilder {
    /// Sets the rule of every action that has none of its own. Default: factors authorize an
    /// action, registered attested ones included, and the password where none is enrolled; no proof
    /// is remembered.
    pub const fn default_rule(mut self, rule: Rule) -> Self {
        self.default = Some(rule);
        self
    }

    /// Registers a method that the host checks itself. Rules that are set explicitly must name it
    /// to accept it.
    ///
    /// Never unregister a method of which accounts have factors. To retire it, leave it out of the
    /// rules. A factor whose method is not registered cannot be used, but it still counts as
    /// enrolled: the password does not authorize an action in its place, and a weaker method does
    /// not authorize a change of factors.
    pub fn attested(mut self, method: AttestedMethod) -> Self {
        self.attested.push(method);
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
    /// of bounds, [`StepUpPolicyError::TwoRules`] if an action has more than one rule, and another
    /// error if attested methods are registered twice or not at all, or are too many.
    pub fn build(self) -> Result<StepUpPolicy, StepUpPolicyError> {
        let Self { default, rules, attested } = self;
        if attested.len() > MAX_ATTESTED_METHODS {
            return Err(StepUpPolicyError::TooManyMethods);
        }
        for method in &attested {
            if attested.iter().filter(|other| other.name() == method.name()).count() > 1 {
                return Err(StepUpPolicyError::TwoMethods(method.name()));
            }
        }
        let default = default.unwrap_or_else(|| factors_or_password(&attested)).checked(&attested)?;
        let mut policy = StepUpPolicy { default, rules: BTreeMap::new(), attested };
        for (action, rule) in rules {
            if policy.rules.insert(action, rule.checked(&policy.attested)?).is_some() {
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
    /// Two attested methods have the same name.
    #[error("two attested methods have the name `{0}`")]
    TwoMethods(&'static str),
    /// A rule names an attested method that is not registered, or is registered with another
    /// strength.
    #[error("a rule names the attested method `{0}`, which is not registered so")]
    UnknownMethod(&'static str),
    /// More than [`MAX_ATTESTED_METHODS`] attested methods are registered, or named by a rule.
    #[error("there are more than {MAX_ATTESTED_METHODS} attested methods")]
    TooManyMethods,
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
        const KEY: Method = Method::Attested(AttestedMethod::new("passkey", Strength::PhishingResistant));
        const SMS: Method = Method::Attested(AttestedMethod::new("sms", Strength::OutOfBand));
        const APP: Method = Method::Attested(AttestedMethod::new("app", Strength::SecondFactor));
        let keys = Rule::strongest_of(&[Password, Mailed, SMS, Recovery, APP, Totp, KEY]);
        assert_eq!(admits(&keys, &[Password, Mailed, Totp, KEY]), [KEY]);
        assert_eq!(admits(&keys, &[Password, Recovery, Totp, KEY]), [KEY, Recovery], "stands in for a lost key");
        assert_eq!(admits(&keys, &[SMS, APP, Recovery, Totp]), [Totp, APP, Recovery]);
        assert_eq!(admits(&keys, &[Password, SMS, Mailed]), [SMS, Mailed]);
        assert_eq!(admits(&Rule::strongest_of(&[KEY, Totp]), &[Recovery, Totp, KEY]), [KEY]);
        let any = Rule::any_enrolled_of(&[KEY, Totp, Mailed, Password]);
        assert_eq!(admits(&any, &[Password, Mailed, KEY]), [KEY, Mailed]);
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

    #[test]
    fn attested_methods_are_registered_once_and_named_as_they_are() {
        const KEY: AttestedMethod = AttestedMethod::new("passkey", Strength::PhishingResistant);
        const WEAK_KEY: AttestedMethod = AttestedMethod::new("passkey", Strength::OutOfBand);
        let names = |method| Rule::strongest_of(&[Method::Attested(method)]);
        let base = StepUpPolicy::builder().attested(KEY);
        let policy = base.clone().build().unwrap();
        assert_eq!(policy.attested(), [KEY]);
        assert_eq!(policy.rule_of(&ActionName::new("a")), &factors_or_password(&[KEY]));
        assert!(base.clone().default_rule(names(KEY)).build().is_ok());
        let unknown = Err(StepUpPolicyError::UnknownMethod("passkey"));
        assert_eq!(base.clone().default_rule(names(WEAK_KEY)).build(), unknown);
        assert_eq!(StepUpPolicy::builder().rule(ActionName::new("a"), names(KEY)).build(), unknown);
        assert_eq!(base.attested(WEAK_KEY).build(), Err(StepUpPolicyError::TwoMethods("passkey")));
        let five = ["a", "b", "c", "d", "e"].map(|name| AttestedMethod::new(name, Strength::OutOfBand));
        let many = five.into_iter().fold(StepUpPolicy::builder(), StepUpPolicyBuilder::attested);
        assert_eq!(many.build(), Err(StepUpPolicyError::TooManyMethods));
        let rule = Rule::strongest_of(&five.map(Method::Attested));
        assert_eq!(StepUpPolicy::builder().default_rule(rule).build(), Err(StepUpPolicyError::TooManyMethods));
    }
}
