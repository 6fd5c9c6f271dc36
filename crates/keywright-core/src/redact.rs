//! `Debug` for types that hold a secret.

/// Implements [`Debug`](core::fmt::Debug) for a type that holds a secret, or data that is of no use
/// in a log.
///
/// Only the named fields are shown. A field that is added to the type later stays hidden until it
/// is named here.
///
/// - `redacted_debug!(Type)` shows `Type(..)`.
/// - `redacted_debug!(Type { a, b, .. })` shows these fields, as `Type { a: 1, b: 2, .. }`. The
///   `..` is required.
/// - `redacted_debug!(Type { a: inner.a, .. })` shows a field of a field under a name of its own.
/// - `redacted_debug!(impl[T: Bound] Type<T>)`, with or without fields, is for a type with
///   parameters. The brackets hold what `impl<..>` would. Each argument of the type is a single
///   token; elided lifetimes need no brackets, as in `redacted_debug!(Type<'_>)`.
///
/// A type that shows a computed value (a length, a shortened id) implements `Debug` by hand.
///
/// ```
/// use keywright_core::redacted_debug;
///
/// struct Passphrase(String);
/// redacted_debug!(Passphrase);
///
/// struct Limits {
///     sessions: u8,
/// }
///
/// struct Session<'a, T> {
///     login: &'a str,
///     token: Passphrase,
///     limits: Limits,
///     host: T,
/// }
/// redacted_debug!(impl[T] Session<'_, T> { login, sessions: limits.sessions, .. });
///
/// let token = Passphrase("correct horse".to_owned());
/// assert_eq!(format!("{token:?}"), "Passphrase(..)");
///
/// let session = Session { login: "alice", token, limits: Limits { sessions: 16 }, host: () };
/// assert_eq!(format!("{session:?}"), r#"Session { login: "alice", sessions: 16, .. }"#);
/// # let _ = (session.token.0, session.host);
/// ```
#[macro_export]
macro_rules! redacted_debug {
    ($name:ident $(<$($arg:tt),+>)? $({ $($fields:tt)+ })?) => {
        $crate::redacted_debug!(impl[] $name $(<$($arg),+>)? $({ $($fields)+ })?);
    };
    (impl[$($param:tt)*] $name:ident $(<$($arg:tt),+>)?) => {
        impl<$($param)*> ::core::fmt::Debug for $name $(<$($arg),+>)? {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(::core::concat!(::core::stringify!($name), "(..)"))
            }
        }
    };
    (impl[$($param:tt)*] $name:ident $(<$($arg:tt),+>)? { $($field:ident $(: $($path:ident).+)?,)+ .. }) => {
        impl<$($param)*> ::core::fmt::Debug for $name $(<$($arg),+>)? {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(::core::stringify!($name))
                    $(.field(::core::stringify!($field), &$crate::redacted_debug!(@place self $field $($($path).+)?)))+
                    .finish_non_exhaustive()
            }
        }
    };
    // The path at which a field's value is found.
    (@place $this:ident $field:ident) => { $this.$field };
    (@place $this:ident $field:ident $($path:ident).+) => { $this.$($path).+ };
}
