//! The methods of features that are not enabled. None of them can be called: the compiler answers a
//! call with the name of the feature.
//!
//! The compiler does so by itself for modules, but not for methods: "no method named `vaults`".

/// Has no feature.
#[derive(Debug)]
#[expect(clippy::exhaustive_structs, reason = "nobody uses it")]
pub struct Missing;

/// Declares the methods of a feature for builds without it. Nothing implements the trait, and a
/// bound that is never met is accepted only if it has a lifetime of its own.
macro_rules! missing {
    ($feature:literal, $trait:ident, $message:literal, $note:literal: $($on:path { $($method:ident($($argument:ident)*))+ })+) => {
        /// Is implemented by nothing.
        #[cfg(not(feature = $feature))]
        #[diagnostic::on_unimplemented(message = $message, label = "the feature is not enabled", note = $note)]
        pub trait $trait<'a> {
            /// Cannot be called.
            fn call() -> !;
        }
        $(
            #[cfg(not(feature = $feature))]
            impl $on {
                $(
                    #[doc(hidden)]
                    /// Cannot be called: its feature is not enabled.
                    pub fn $method<$($argument),*>(&self, $(_: $argument),*) -> !
                    where
                        for<'a> Missing: $trait<'a>,
                    {
                        <Missing as $trait<'_>>::call()
                    }
                )+
            }
        )+
    };
}

missing!("challenge", Challenge, "this method needs the feature `challenge` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"challenge\"] }}":
    crate::keywright::Keywright { challenges() });
missing!("confirm", Confirm, "this method needs the feature `confirm` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"confirm\"] }}":
    crate::keywright::Keywright { confirmations() confirmations_with(Policy) });
missing!("twofactor", TwoFactor, "this method needs the feature `twofactor` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"twofactor\"] }}":
    crate::keywright::Keywright { two_factor() two_factor_with(Policy) }
    crate::operator::Operator { reset_two_factor(Account) }
    crate::builder::Builder { two_factor_policy(Policy) code_verifier(Verifier) });
missing!("rekey", Rekey, "this method needs the feature `rekey` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"rekey\"] }}":
    crate::keywright::Keywright { vaults() vaults_with(Policy) });
missing!("nextcloud", Nextcloud, "this method needs the feature `nextcloud` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"nextcloud\"] }}":
    crate::keywright::Keywright { nextcloud(Host Policy) });
missing!("rocketchat", RocketChat, "this method needs the feature `rocketchat` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"rocketchat\"] }}":
    crate::keywright::Keywright { rocketchat(Host Policy) });
missing!("librepass", LibrePass, "this method needs the feature `librepass` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"librepass\"] }}":
    crate::keywright::Keywright { librepass(Host Policy) });
missing!("selfservice", SelfService, "this method needs the feature `selfservice` of `keywright`",
    "in Cargo.toml: keywright = {{ version = \"0.1\", features = [\"selfservice\"] }}":
    crate::keywright::Keywright { selfservice(Host Policy) });
