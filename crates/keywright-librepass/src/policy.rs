//! The numbers and choices that are policy. A builder changes them within bounds; a value outside
//! is an error that names the field.

use http::Uri;
use keywright_rekey::{Limits, VaultPolicy, VaultPolicyError};
use keywright_twofactor::recovery::Preset;
use keywright_twofactor::{Once, TwoFactorPolicy, TwoFactorPolicyError};

/// The common prefix of the protocol's paths, except for [`INFO_PATH`].
pub const BASE_PATH: &str = "/api/";
/// The path that apps request before they accept a server's address (protocol § 6).
pub const INFO_PATH: &str = "/actuator/info";
/// The path below the web address that mailed links finally lead to (protocol § 5).
pub const VERIFICATION_PATH: &str = "/verification/email";
/// The path of the page on which owners confirm the log-in of an application that cannot ask for a
/// second factor (`docs/decisions.md` 57).
pub const CONFIRM_PATH: &str = "/api/auth/confirmLogin";
/// The most ciphers of a vault. Source: upstream's `LIMIT_USER_CIPHERS` (protocol § 6).
pub const VAULT_LIMIT: u64 = 500;
/// The most hex digits of a cipher's data (protocol § 8: a choice of this crate).
pub const DATA_CEILING: usize = 65_536;
/// The most collections of an account (a choice of this crate).
pub const MAX_COLLECTIONS: usize = 100;
/// The most characters of a collection's name (a choice of this crate).
pub const MAX_COLLECTION_NAME: usize = 200;
/// The lifetime of a mailed link, in seconds: 24 hours (protocol §§ 5, 7).
pub const LINK_SECONDS: u64 = 24 * 60 * 60;
/// The most characters of a password hint (protocol § 10).
pub const MAX_HINT: usize = 100;
/// The largest body, in bytes, except for those that carry a whole vault (`docs/decisions.md` 40).
pub const MAX_BODY: usize = 1024 * 1024;
/// The largest body that carries a whole vault, in bytes (`docs/decisions.md` 40).
pub const MAX_VAULT_BODY: usize = 64 * 1024 * 1024;
/// The bytes that each cipher takes in the body of a change beside its text: its id, the names of
/// the members, and a comma.
const BYTES_BESIDE_A_TEXT: u64 = r#"{"id":"00000000-0000-0000-0000-000000000000","data":""},"#.len() as u64;
/// The most bytes that everything but the ciphers takes in the body of a change: keys, numbers,
/// names, and a hint of [`MAX_HINT`] characters that are all written as escapes.
const CHANGE_BYTES: usize = 2_048;
/// How many mails anybody can cause in 24 hours: hints to one account, and links of registrations
/// to one address (`docs/security.md` § 5).
pub const MAILS_PER_DAY: usize = 10;

/// What an outsider can learn about whether an address has an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Privacy {
    /// What the wire protocol reveals: for unknown addresses `preLogin` returns the defaults, and
    /// log-in, hint and fresh link return 404. An address that waits for verification can be
    /// distinguished from others.
    #[default]
    Wire,
    /// As little as the wire protocol allows (`docs/security.md` § 11): parameters from a weighted
    /// table, one and the same refusal at log-in, 200 for hint and fresh link. Registration still
    /// shows that an address is taken.
    Uniform,
}

/// What opening a mailed link does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum MailedLinks {
    /// The link acts, as the protocol specifies. A scanner that opens links with a plain GET acts
    /// too.
    #[default]
    Act,
    /// The link shows a page with a button, and the button's POST acts.
    Confirm,
}

/// The choices of a server author.
///
/// ```
/// use keywright_librepass::{LibrePassPolicy, LibrePassPolicyError};
///
/// let policy = LibrePassPolicy::builder("https://pass.example").vault_limit(2_000).build()?;
/// assert_eq!(policy.public_url(), "https://pass.example");
/// let refused = LibrePassPolicy::builder("pass.example").build();
/// assert_eq!(refused.err(), Some(LibrePassPolicyError::Url { field: "public_url" }));
/// # Ok::<(), LibrePassPolicyError>(())
/// ```
#[derive(Debug, Clone)]
pub struct LibrePassPolicy {
    pub(crate) public_url: String,
    pub(crate) web_url: String,
    pub(crate) verify_email: bool,
    pub(crate) vaults: VaultPolicy,
    pub(crate) limits: Limits,
    pub(crate) max_vault_body: usize,
    pub(crate) privacy: Privacy,
    pub(crate) mailed_links: MailedLinks,
    pub(crate) two_factor: TwoFactorPolicy,
}

impl LibrePassPolicy {
    /// Starts from the defaults; `public_url` is where clients and browsers reach this server.
    pub fn builder(public_url: impl Into<String>) -> LibrePassPolicyBuilder {
        LibrePassPolicyBuilder {
            public_url: public_url.into(),
            web_url: None,
            verify_email: true,
            vault_limit: VAULT_LIMIT,
            data_ceiling: DATA_CEILING,
            max_vault_body: MAX_VAULT_BODY,
            privacy: Privacy::default(),
            mailed_links: MailedLinks::default(),
            once: Once::default(),
            end_other_logins: true,
        }
    }

    /// Returns where clients and browsers reach this server, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> &str {
        &self.public_url
    }

    /// Returns where the web pages are, without a slash at the end.
    #[must_use]
    pub fn web_url(&self) -> &str {
        &self.web_url
    }

    /// Whether an address must be verified before it can log in.
    #[must_use]
    pub const fn verify_email(&self) -> bool {
        self.verify_email
    }

    /// Returns the most ciphers of a vault.
    #[must_use]
    pub const fn vault_limit(&self) -> u64 {
        self.vaults.most_ciphers()
    }
}

/// Builds a [`LibrePassPolicy`].
#[derive(Debug, Clone)]
#[must_use]
pub struct LibrePassPolicyBuilder {
    public_url: String,
    web_url: Option<String>,
    verify_email: bool,
    vault_limit: u64,
    data_ceiling: usize,
    max_vault_body: usize,
    privacy: Privacy,
    mailed_links: MailedLinks,
    once: Once,
    end_other_logins: bool,
}

impl LibrePassPolicyBuilder {
    /// Sets where the web pages are; mailed links lead to [`VERIFICATION_PATH`] below it. The
    /// default is the public address.
    pub fn web_url(mut self, url: impl Into<String>) -> Self {
        self.web_url = Some(url.into());
        self
    }

    /// Sets whether an address must be verified before it can log in, and a new one before it takes
    /// effect. The default is yes.
    pub const fn verify_email(mut self, on: bool) -> Self {
        self.verify_email = on;
        self
    }

    /// Sets the most ciphers of a vault: 1 to 100,000. The default is [`VAULT_LIMIT`].
    pub const fn vault_limit(mut self, ciphers: u64) -> Self {
        self.vault_limit = ciphers;
        self
    }

    /// Sets the most hex digits of a cipher's data: 56 to 16,777,216. The default is
    /// [`DATA_CEILING`].
    pub const fn data_ceiling(mut self, digits: usize) -> Self {
        self.data_ceiling = digits;
        self
    }

    /// Sets the largest body that carries a whole vault, in bytes: 1 KiB to 1 GiB. The default is
    /// [`MAX_VAULT_BODY`]. A cipher is refused if the whole vault would no longer fit into such a
    /// body, of which 2 KiB are kept for what a change sends beside it (`docs/decisions.md` 62).
    pub const fn max_vault_body(mut self, bytes: usize) -> Self {
        self.max_vault_body = bytes;
        self
    }

    /// Sets what an outsider can learn about whether an address has an account. The default is
    /// [`Privacy::Wire`].
    pub const fn privacy(mut self, privacy: Privacy) -> Self {
        self.privacy = privacy;
        self
    }

    /// Sets what opening a mailed link does. The default is [`MailedLinks::Act`].
    pub const fn mailed_links(mut self, links: MailedLinks) -> Self {
        self.mailed_links = links;
        self
    }

    /// Sets the scope within which a time-based code is accepted once. The default is the whole
    /// account (`docs/decisions.md` 38).
    pub const fn once(mut self, once: Once) -> Self {
        self.once = once;
        self
    }

    /// Sets whether setting up a second factor ends all other logins (`docs/decisions.md` 34). The
    /// default is yes.
    pub const fn end_other_logins(mut self, end: bool) -> Self {
        self.end_other_logins = end;
        self
    }

    /// Returns the policy.
    ///
    /// # Errors
    /// [`LibrePassPolicyError`] if a choice is out of its bounds; it names the field.
    pub fn build(self) -> Result<LibrePassPolicy, LibrePassPolicyError> {
        let public_url = url("public_url", &self.public_url)?;
        let web_url = self.web_url.as_deref().map_or_else(|| Ok(public_url.clone()), |text| url("web_url", text))?;
        within("vault_limit", self.vault_limit, 1, 100_000)?;
        within("data_ceiling", self.data_ceiling as u64, 56, 16 * 1024 * 1024)?;
        within("max_vault_body", self.max_vault_body as u64, 1024, 1024 * 1024 * 1024)?;
        // What goes into a vault must fit into the body of a change (`docs/decisions.md` 62).
        let sendable = self.max_vault_body.saturating_sub(CHANGE_BYTES).max(1) as u64;
        let vaults = VaultPolicy::builder()
            .most_ciphers(self.vault_limit)
            .sendable_size(sendable, BYTES_BESIDE_A_TEXT)
            .build()?;
        // A vault may have more ciphers than the current limit, from a time when it was higher: a
        // submission may have the default number, which is the highest that `vault_limit` can be.
        let limits = Limits::builder().max_text(self.data_ceiling).build()?;
        // One device, six digits, thirty seconds, a step on either side, secrets from 10 bytes on,
        // one UUID (protocol § 7).
        let two_factor = TwoFactorPolicy::builder()
            .devices(1)
            .min_secret_bits(80)
            .recovery(Preset::LibrePass)
            .once(self.once)
            .end_other_logins(self.end_other_logins)
            .build()?;
        Ok(LibrePassPolicy {
            public_url,
            web_url,
            verify_email: self.verify_email,
            vaults,
            limits,
            max_vault_body: self.max_vault_body,
            privacy: self.privacy,
            mailed_links: self.mailed_links,
            two_factor,
        })
    }
}

const fn within(field: &'static str, value: u64, min: u64, max: u64) -> Result<(), LibrePassPolicyError> {
    if min <= value && value <= max { Ok(()) } else { Err(LibrePassPolicyError::OutOfBounds { field, min, max }) }
}

/// Checks a base that paths are appended to: scheme, host, and perhaps a port and a path. It is used
/// in mails, in `Location` and in pages, so it must have none of the characters that have a meaning
/// there.
fn url(field: &'static str, text: &str) -> Result<String, LibrePassPolicyError> {
    let base = text.strip_suffix('/').unwrap_or(text);
    let plain = |byte: u8| byte.is_ascii_graphic() && !br#""'<>?#\^`{|}"#.contains(&byte);
    let fits = base.len() <= 1_000 && !base.ends_with('/') && base.bytes().all(plain);
    match base.parse::<Uri>() {
        Ok(uri) if fits && is_base(&uri) => Ok(base.to_owned()),
        _ => Err(LibrePassPolicyError::Url { field }),
    }
}

/// Whether it is an `http` or `https` URL with a host, without a user, and with a valid port if it
/// has one.
fn is_base(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    // A user comes before the host, so the text then does not begin with the host.
    let port = authority.as_str().strip_prefix(authority.host());
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|n: u16| n > 0);
    matches!(uri.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && port.is_some_and(|port| port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

/// Why the choices make no [`LibrePassPolicy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LibrePassPolicyError {
    /// A number is out of its bounds.
    #[error("`{field}` is not in {min}..={max}")]
    OutOfBounds {
        /// The name of the field.
        field: &'static str,
        /// The smallest allowed value.
        min: u64,
        /// The largest allowed value.
        max: u64,
    },
    /// An address is not `http://HOST…` or `https://HOST…` without user, query and fragment.
    #[error("`{field}` is no address that paths can be appended to")]
    Url {
        /// The name of the field.
        field: &'static str,
    },
    /// The numbers of vaults are invalid.
    #[error("`vaults`: {0}")]
    Vaults(#[from] VaultPolicyError),
    /// The numbers of two-factor authentication are invalid.
    #[error("`two_factor`: {0}")]
    TwoFactor(#[from] TwoFactorPolicyError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_both_bounds_and_is_named() {
        type Change = fn(LibrePassPolicyBuilder, u64) -> LibrePassPolicyBuilder;
        #[expect(clippy::cast_possible_truncation, reason = "small numbers of a test")]
        let fields: [(&str, u64, u64, Change); 3] = [
            ("vault_limit", 1, 100_000, |b, n| b.vault_limit(n)),
            ("data_ceiling", 56, 16_777_216, |b, n| b.data_ceiling(n as usize)),
            ("max_vault_body", 1_024, 1_073_741_824, |b, n| b.max_vault_body(n as usize)),
        ];
        for (field, min, max, change) in fields {
            let build = |n| change(LibrePassPolicy::builder("http://a"), n).build();
            assert!(build(min).is_ok() && build(max).is_ok(), "{field}");
            let refused = LibrePassPolicyError::OutOfBounds { field, min, max };
            assert_eq!(build(min - 1).unwrap_err(), refused);
            assert_eq!(build(max + 1).unwrap_err(), refused);
        }
    }

    #[test]
    fn an_address_is_one_that_paths_can_be_appended_to() {
        for good in [
            "http://127.0.0.1:8080",
            "http://[::1]:1",
            "https://pass.example/",
            "https://pass.example:65535",
            "https://pass.example/below/@user",
        ] {
            let policy = LibrePassPolicy::builder(good).build().unwrap();
            assert_eq!(policy.web_url(), good.trim_end_matches('/'));
        }
        for bad in [
            "",
            "https://",
            "https:///",
            "ftp://a",
            "//a",
            "https://a b",
            "https://user@a",
            "https://user:pass@a:443",
            "https://a@a",
            "https://a:",
            "https://a:0",
            "https://a:+1",
            "https://a:65536",
            "https://a:b",
            "https://:443",
            "https://[::1",
            "https://a?b",
            "https://a/b?",
            "https://a#b",
            "https://a/b#",
            "https://a//",
            "https://a\r\nX: y",
            "https://\"a",
        ] {
            let refused = LibrePassPolicy::builder("https://a").web_url(bad).build();
            assert_eq!(refused.unwrap_err(), LibrePassPolicyError::Url { field: "web_url" }, "{bad:?}");
        }
    }
}
