//! The otpauth URI that authenticator apps read. It is written in one exact form
//! (`vectors/two-factor.json`, `key_uri`) and parsed leniently (`docs/decisions.md` 67).

use std::borrow::Cow;

use keywright_core::{SecretString, typed};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::totp::parameters::{Algorithm, Parameters, ParametersError};
use crate::totp::secret::{SecretError, TotpSecret};

const SCHEME: &str = "otpauth://";

/// The characters to be encoded: all but the unreserved characters of RFC 3986 § 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The characters that occur in no percent-encoded text.
const NEVER_ENCODED: &AsciiSet = &RESERVED.remove(b'%');

/// The maximum length of a text that is parsed, in bytes; a QR code holds 2,953.
pub(crate) const MAX_TEXT: usize = 4_096;

/// A parsed otpauth URI.
///
/// ```
/// # use keywright_twofactor::{KeyUri, Parameters, TotpSecret};
/// let secret = TotpSecret::from_base32("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")?;
/// let uri = KeyUri::new(Some("ACME Co"), "john.doe@example.com", secret, Parameters::default())?;
/// assert_eq!(
///     uri.to_text().expose(),
///     "otpauth://totp/ACME%20Co:john.doe%40example.com?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=ACME%20Co",
/// );
/// assert_eq!(KeyUri::parse(uri.to_text().expose())?.account(), "john.doe@example.com");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct KeyUri {
    issuer: Option<String>,
    account: String,
    secret: TotpSecret,
    parameters: Parameters,
}

impl KeyUri {
    /// Creates a URI. Without an issuer the label is the account alone.
    ///
    /// # Errors
    /// Returns [`UriError::Label`] if the issuer or the account is empty, or if the account
    /// contains a colon and there is no issuer, so that the label would be ambiguous.
    pub fn new(
        issuer: Option<&str>,
        account: &str,
        secret: TotpSecret,
        parameters: Parameters,
    ) -> Result<Self, UriError> {
        Self::check_label(issuer, account)?;
        Ok(Self { issuer: issuer.map(Into::into), account: account.into(), secret, parameters })
    }

    /// Creates a URI with the names that another program chose.
    pub(crate) const fn imported(
        issuer: Option<String>,
        account: String,
        secret: TotpSecret,
        parameters: Parameters,
    ) -> Self {
        Self { issuer, account, secret, parameters }
    }

    /// Checks whether these form a label. Call this before a code is spent for a device that could
    /// not be shown.
    ///
    /// # Errors
    /// Returns [`UriError::Label`] under the same conditions as [`new`](Self::new).
    pub fn check_label(issuer: Option<&str>, account: &str) -> Result<(), UriError> {
        let plain = match issuer {
            Some(issuer) => !issuer.is_empty(),
            None => !account.contains(':'),
        };
        if plain && !account.is_empty() { Ok(()) } else { Err(UriError::Label) }
    }

    /// Returns the URI as text. Parameters that are the default of every app are omitted.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        self.write(false)
    }

    /// Returns the URI with the algorithm, digits and period always included, for apps that require
    /// them.
    #[must_use]
    pub fn to_explicit_text(&self) -> SecretString {
        self.write(true)
    }

    /// Returns the name of the service.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// Returns the user's account at the service. It is empty if a parsed URI contains none.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Returns the secret.
    #[must_use]
    pub const fn secret(&self) -> &TotpSecret {
        &self.secret
    }

    /// Returns the algorithm, digits and step.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the secret, for an [`ImportedDevice`](crate::ImportedDevice).
    #[must_use]
    pub fn into_secret(self) -> TotpSecret {
        self.secret
    }

    fn write(&self, explicit: bool) -> SecretString {
        let secret = self.secret.to_base32();
        let issuer = self.issuer.as_deref().map(encode);
        let account = encode(&self.account);
        // The capacity fits the longest form, so that no growth leaves a copy of the secret behind.
        let names = issuer.as_ref().map_or(0, |issuer| issuer.len().saturating_mul(2));
        let size = names.saturating_add(account.len()).saturating_add(secret.expose().len()).saturating_add(96);
        let mut text = String::with_capacity(size);
        text.push_str("otpauth://totp/");
        if let Some(issuer) = &issuer {
            text.push_str(issuer);
            text.push(':');
        }
        for part in [&account, "?secret=", secret.expose()] {
            text.push_str(part);
        }
        if let Some(issuer) = &issuer {
            text.push_str("&issuer=");
            text.push_str(issuer);
        }
        let (parameters, default) = (&self.parameters, Parameters::DEFAULT);
        if explicit || parameters.algorithm() != default.algorithm() {
            text.push_str("&algorithm=");
            text.push_str(parameters.algorithm().as_str());
        }
        if explicit || parameters.digits() != default.digits() {
            text.push_str("&digits=");
            text.push_str(&parameters.digits().to_string());
        }
        if explicit || parameters.step_seconds() != default.step_seconds() {
            text.push_str("&period=");
            text.push_str(&parameters.step_seconds().to_string());
        }
        SecretString::new(text)
    }

    /// Parses a URI leniently, as other programs write it. The issuer of the parameter takes
    /// precedence over the label's. Both may be empty, missing, or percent-encoded twice. Blanks
    /// around the URI and in its secret are ignored. Unknown parameters are ignored, as apps do; a
    /// known one that occurs twice is an error.
    ///
    /// # Errors
    /// Returns a [`UriError`] that states what is wrong with the URI; it does not quote the text.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        // A hyphen can be the last character of the URI itself.
        let text = text.trim_matches(|character| typed::is_ignored(character) && character != '-');
        if text.len() > MAX_TEXT {
            return Err(UriError::Label);
        }
        let rest = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest,
            _ => return Err(UriError::Scheme),
        };
        let (kind, rest) = rest.split_once('/').ok_or(UriError::Label)?;
        let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
        let (label, query) = rest.split_once('?').unwrap_or((rest, ""));
        let query = Query::parse(query)?;
        if kind.eq_ignore_ascii_case("hotp") {
            return Err(if query.counter { UriError::Kind } else { UriError::Counter });
        }
        if !kind.eq_ignore_ascii_case("totp") {
            return Err(UriError::Kind);
        }
        let (issuer, account) = read_label(label)?;
        let secret = query.secret.ok_or(UriError::NoSecret)?;
        let parameters = Parameters::new(query.algorithm, query.digits, query.period).map_err(|error| match error {
            ParametersError::Digits => UriError::Digits,
            ParametersError::Step => UriError::Period,
        })?;
        let issuer = query.issuer.filter(|issuer| !issuer.is_empty()).or(issuer);
        Ok(Self::imported(issuer, account, secret, parameters))
    }
}

/// Splits an encoded label into issuer and account, at the first colon that is not encoded, or else
/// at the first encoded one.
fn read_label(label: &str) -> Result<(Option<String>, String), UriError> {
    match label.split_once(':') {
        Some((issuer, account)) => {
            let (issuer, account) = (decode_name(issuer)?, decode_name(account)?);
            Ok((Some(issuer).filter(|issuer| !issuer.is_empty()), account.trim_start_matches(' ').to_owned()))
        }
        None => Ok(split_label(&decode_name(label)?)),
    }
}

/// Splits a label into issuer and account.
pub(crate) fn split_label(label: &str) -> (Option<String>, String) {
    let (issuer, account) = label.split_once(':').unwrap_or(("", label));
    (Some(issuer.to_owned()).filter(|issuer| !issuer.is_empty()), account.trim_start_matches(' ').to_owned())
}

/// The parameters of a URI.
struct Query {
    secret: Option<TotpSecret>,
    issuer: Option<String>,
    algorithm: Algorithm,
    digits: u8,
    period: u64,
    counter: bool,
}

impl Query {
    fn parse(text: &str) -> Result<Self, UriError> {
        let default = Parameters::DEFAULT;
        let mut query = Self {
            secret: None,
            issuer: None,
            algorithm: default.algorithm(),
            digits: default.digits(),
            period: default.step_seconds(),
            counter: false,
        };
        let mut seen = Vec::new();
        // `form_urlencoded` is not used because it decodes into vectors that it does not wipe, and
        // accepts malformed encodings.
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(UriError::Repeated);
            }
            // Some programs write a query as a form, where a plus is a blank; no parameter of ours
            // contains a literal plus.
            let value = Zeroizing::new(value.replace('+', "%20"));
            if name == "issuer" {
                query.issuer = Some(decode_name(&value)?);
                seen.push(name);
                continue;
            }
            let value = Zeroizing::new(decode(&value)?);
            match name {
                "secret" => query.secret = Some(TotpSecret::from_base32(&value).map_err(UriError::Secret)?),
                "algorithm" => query.algorithm = Algorithm::parse(&value).ok_or(UriError::Algorithm)?,
                "digits" => query.digits = number(&value).ok_or(UriError::Digits)?,
                "period" => query.period = number(&value).ok_or(UriError::Period)?.into(),
                "counter" => query.counter = true,
                _ => continue,
            }
            seen.push(name);
        }
        Ok(query)
    }
}

/// Parses one to three ASCII digits.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Percent-encodes all but the unreserved characters.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).collect()
}

/// Decodes percent-encoding, and decodes once more if the result consists of percent-encoded text
/// only.
fn decode_name(text: &str) -> Result<String, UriError> {
    let once = decode(text)?;
    let encoded = once.contains('%') && Cow::from(utf8_percent_encode(&once, NEVER_ENCODED)) == once;
    Ok(decode(&once).ok().filter(|_| encoded).unwrap_or(once))
}

/// Decodes percent-encoding. A plus stays a plus, because this is not a form.
pub(crate) fn decode(text: &str) -> Result<String, UriError> {
    // The decoder passes over a percent sign that begins no escape, so this is checked here.
    let is_escape = |rest: &str| matches!(rest.as_bytes(), [high, low, ..] if [high, low].iter().all(|digit| digit.is_ascii_hexdigit()));
    if !text.split('%').skip(1).all(is_escape) {
        return Err(UriError::Encoding);
    }
    // The bytes are pushed into a vector sized once: `decode_utf8` grows its own, which leaves
    // copies of a secret behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    out.extend(percent_decode_str(text));
    // The vector itself becomes the string, so no copy is left behind.
    String::from_utf8(std::mem::take(&mut *out)).map_err(|_| UriError::Encoding)
}

/// Why text is not a valid otpauth URI, or why none can be created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// The text is not an `otpauth:` URI.
    #[error("not an otpauth URI")]
    Scheme,
    /// The URI is not of the kind `totp`.
    #[error("an otpauth URI is not of the kind `totp`")]
    Kind,
    /// The URI is of the kind `hotp` but lacks the counter that this kind requires.
    #[error("an otpauth URI of the kind `hotp` has no counter")]
    Counter,
    /// The issuer or the account is empty or ambiguous, or the whole is too long.
    #[error("the label of an otpauth URI is empty, ambiguous or too long")]
    Label,
    /// A percent sign is not followed by two hex digits, or the bytes are not UTF-8.
    #[error("an otpauth URI is not percent-encoded UTF-8")]
    Encoding,
    /// A migration URI has no data that can be parsed.
    #[error("a migration URI contains no readable data")]
    Migration,
    /// A parameter occurs twice.
    #[error("an otpauth URI repeats a parameter")]
    Repeated,
    /// The URI has no secret.
    #[error("an otpauth URI has no secret")]
    NoSecret,
    /// The secret cannot be used.
    #[error("an otpauth URI has an invalid secret")]
    Secret(#[source] SecretError),
    /// The algorithm is not one of the three that are supported.
    #[error("an otpauth URI has an unknown algorithm")]
    Algorithm,
    /// The number of digits is not 6 to 8.
    #[error("`digits` is not in 6..=8")]
    Digits,
    /// The period is not 15 to 60 seconds.
    #[error("`period` is not in 15..=60")]
    Period,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_unreserved_characters_are_encoded() {
        let plain: String = ('\0'..='\x7f').filter(|one| encode(&one.to_string()).len() == 1).collect();
        assert_eq!(plain, "-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~");
        assert_eq!(encode("%/ é\0"), "%25%2F%20%C3%A9%00");
        let all: String = ('\0'..='\u{500}').collect();
        assert_eq!(decode(&encode(&all)).as_ref(), Ok(&all));
        assert_eq!(decode(&encode(&all).to_ascii_lowercase()).map(|text| text.len()), Ok(all.len()));
    }

    #[test]
    fn only_what_is_encoded_throughout_is_decoded_twice() {
        for (text, read) in [("a%2520b", "a b"), ("a%20%2520b", "a %20b"), ("100%25", "100%"), ("%2525", "%"), ("", "")]
        {
            assert_eq!(decode_name(text).as_deref(), Ok(read), "{text}");
        }
    }
}
