//! The otpauth URI that authenticator apps read. Written to the byte (`vectors/two-factor.json`, `key_uri`), read liberally
//! (`docs/decisions.md` 67).

use std::borrow::Cow;

use keywright_core::{SecretString, typed};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

use crate::totp::parameters::{Algorithm, Parameters, ParametersError};
use crate::totp::secret::{SecretError, TotpSecret};

const SCHEME: &str = "otpauth://";

/// All but the unreserved characters of RFC 3986 § 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// What no percent-encoded text has.
const NEVER_ENCODED: &AsciiSet = &RESERVED.remove(b'%');

/// The longest text that is parsed, in bytes: a QR code holds 2,953.
pub(crate) const MAX_TEXT: usize = 4_096;

/// An otpauth URI, taken apart.
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
    /// Puts a URI together. Without an issuer the label is the account alone.
    ///
    /// # Errors
    /// [`UriError::Label`] for an empty issuer or account, or for a colon in the account where there is no issuer: the
    /// label would be ambiguous.
    pub fn new(
        issuer: Option<&str>,
        account: &str,
        secret: TotpSecret,
        parameters: Parameters,
    ) -> Result<Self, UriError> {
        Self::check_label(issuer, account)?;
        Ok(Self { issuer: issuer.map(Into::into), account: account.into(), secret, parameters })
    }

    /// As another program names it.
    pub(crate) const fn imported(
        issuer: Option<String>,
        account: String,
        secret: TotpSecret,
        parameters: Parameters,
    ) -> Self {
        Self { issuer, account, secret, parameters }
    }

    /// Whether a label can be made of these: to be asked before a code is spent for a device that could not be shown.
    ///
    /// # Errors
    /// [`UriError::Label`], as [`new`](Self::new).
    pub fn check_label(issuer: Option<&str>, account: &str) -> Result<(), UriError> {
        let plain = match issuer {
            Some(issuer) => !issuer.is_empty(),
            None => !account.contains(':'),
        };
        if plain && !account.is_empty() { Ok(()) } else { Err(UriError::Label) }
    }

    /// The URI. Parameters that are the default of every app are left out.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        self.write(false)
    }

    /// The URI with algorithm, digits and period always written, for apps that insist on them.
    #[must_use]
    pub fn to_explicit_text(&self) -> SecretString {
        self.write(true)
    }

    /// The service.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The user's account at the service; empty if a URI from elsewhere names none.
    #[must_use]
    pub fn account(&self) -> &str {
        &self.account
    }

    /// The secret.
    #[must_use]
    pub const fn secret(&self) -> &TotpSecret {
        &self.secret
    }

    /// Algorithm, digits and step.
    #[must_use]
    pub const fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The secret, for an [`ImportedDevice`](crate::ImportedDevice).
    #[must_use]
    pub fn into_secret(self) -> TotpSecret {
        self.secret
    }

    fn write(&self, explicit: bool) -> SecretString {
        let secret = self.secret.to_base32();
        let issuer = self.issuer.as_deref().map(encode);
        let account = encode(&self.account);
        // Sized for the longest form, so that no copy of the secret is left behind by growth.
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

    /// Takes a URI apart, as other programs write them: the issuer of the parameter wins over the label's, both may be
    /// empty or missing, or be percent-encoded twice; blanks around the URI and in its secret carry nothing. Unknown
    /// parameters are passed over, as apps do; a known one twice is an error.
    ///
    /// # Errors
    /// [`UriError`]; it does not quote what stood there.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        // A hyphen can be the URI's own last character.
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

/// The issuer and the account of an encoded label. A colon that is not encoded parts them, else the first one that is.
fn read_label(label: &str) -> Result<(Option<String>, String), UriError> {
    match label.split_once(':') {
        Some((issuer, account)) => {
            let (issuer, account) = (decode_name(issuer)?, decode_name(account)?);
            Ok((Some(issuer).filter(|issuer| !issuer.is_empty()), account.trim_start_matches(' ').to_owned()))
        }
        None => Ok(split_label(&decode_name(label)?)),
    }
}

/// The issuer and the account of a label.
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
        // Not `form_urlencoded`: it decodes into vectors that it does not wipe, and lets through what is wrongly encoded.
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&name) {
                return Err(UriError::Repeated);
            }
            // Some write a query as a form, where a plus is a blank; none of ours has a plus in clear.
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

/// One to three ASCII digits.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Percent-encodes all but the unreserved characters.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).collect()
}

/// Undoes percent-encoding, and once more if all that is left is percent-encoded text.
fn decode_name(text: &str) -> Result<String, UriError> {
    let once = decode(text)?;
    let encoded = once.contains('%') && Cow::from(utf8_percent_encode(&once, NEVER_ENCODED)) == once;
    Ok(decode(&once).ok().filter(|_| encoded).unwrap_or(once))
}

/// Undoes percent-encoding. A plus stays a plus: this is no form.
pub(crate) fn decode(text: &str) -> Result<String, UriError> {
    // The decoder takes a percent sign that begins no escape for itself.
    let is_escape = |rest: &str| matches!(rest.as_bytes(), [high, low, ..] if [high, low].iter().all(|digit| digit.is_ascii_hexdigit()));
    if !text.split('%').skip(1).all(is_escape) {
        return Err(UriError::Encoding);
    }
    // Byte by byte into a vector sized once: `decode_utf8` grows its own, which leaves copies of a secret behind.
    let mut out = Zeroizing::new(Vec::with_capacity(text.len()));
    out.extend(percent_decode_str(text));
    // The vector itself becomes the text: no copy is left behind.
    String::from_utf8(std::mem::take(&mut *out)).map_err(|_| UriError::Encoding)
}

/// Why a text is no otpauth URI, or none can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// Not an `otpauth:` URI.
    #[error("not an otpauth URI")]
    Scheme,
    /// Not of the kind `totp`.
    #[error("an otpauth URI is not of the kind `totp`")]
    Kind,
    /// Of the kind `hotp`, and without the counter that this kind must have.
    #[error("an otpauth URI of the kind `hotp` has no counter")]
    Counter,
    /// Issuer or account is empty or ambiguous, or the whole is too long.
    #[error("the label of an otpauth URI is empty, ambiguous or too long")]
    Label,
    /// A percent sign without two hex digits, or bytes that are no UTF-8.
    #[error("an otpauth URI is wrongly encoded")]
    Encoding,
    /// A migration URI without data that can be read.
    #[error("a migration URI has no data that can be read")]
    Migration,
    /// A parameter stands there twice.
    #[error("an otpauth URI has a parameter twice")]
    Repeated,
    /// No secret.
    #[error("an otpauth URI has no secret")]
    NoSecret,
    /// The secret cannot be used.
    #[error("an otpauth URI has a bad secret")]
    Secret(#[source] SecretError),
    /// The algorithm is none of the three.
    #[error("an otpauth URI has an unknown algorithm")]
    Algorithm,
    /// The digits are not 6 to 8.
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
