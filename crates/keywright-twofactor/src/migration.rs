//! Parsing of the URI in which Google Authenticator exports its accounts. One QR code holds several
//! accounts, as base64 of a protocol buffer.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

use crate::totp::parameters::{Algorithm, Parameters};
use crate::totp::secret::TotpSecret;
use crate::typed;
use crate::uri::{KeyUri, MAX_TEXT, UriError, decode, split_label};

const SCHEME: &str = "otpauth-migration://";

/// The maximum number of accounts in one URI. The app puts ten in a QR code.
const MAX_ACCOUNTS: usize = 100;

/// Standard base64, with or without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl KeyUri {
    /// Parses the URI in which Google Authenticator exports accounts
    /// (`otpauth-migration://offline?data=…`). Each account is parsed separately: one with
    /// counter-based codes or an unknown hash yields an error in its place.
    ///
    /// ```
    /// # use keywright_twofactor::KeyUri;
    /// let accounts = KeyUri::parse_migration(
    ///     "otpauth-migration://offline?data=CjEKCkhlbGxvId6tvu8SGEV4YW1wbGU6YWxpY2VAZ29vZ2xlLmNvbRoHRXhhbXBsZTAC",
    /// )?;
    /// let [Ok(account)] = accounts.as_slice() else { panic!("one account") };
    /// assert_eq!((account.issuer(), account.account()), (Some("Example"), "alice@google.com"));
    /// # Ok::<(), keywright_twofactor::UriError>(())
    /// ```
    ///
    /// # Errors
    /// Returns [`UriError::Scheme`] for any other text, and [`UriError::Migration`] for data that
    /// cannot be parsed.
    pub fn parse_migration(text: &str) -> Result<Vec<Result<Self, UriError>>, UriError> {
        let text = text.trim_matches(typed::is_ignored);
        if text.len() > MAX_TEXT {
            return Err(UriError::Migration);
        }
        let query = match text.split_at_checked(SCHEME.len()) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case(SCHEME) => rest.split_once('?'),
            _ => return Err(UriError::Scheme),
        };
        let (_, query) = query.ok_or(UriError::Migration)?;
        // Parsed by hand for the same reasons as in `KeyUri::parse`.
        let data = query.split('&').find_map(|pair| pair.strip_prefix("data=")).ok_or(UriError::Migration)?;
        // A plus sign that was decoded as a blank is restored.
        let data = Zeroizing::new(Zeroizing::new(decode(data)?).replace(' ', "+"));
        let payload = Zeroizing::new(BASE64.decode(data.as_bytes()).map_err(|_| UriError::Migration)?);
        let mut accounts = Vec::new();
        for field in Fields(&payload) {
            if let (1, Value::Bytes(account)) = field? {
                if accounts.len() == MAX_ACCOUNTS {
                    return Err(UriError::Migration);
                }
                accounts.push(read_account(account));
            }
        }
        Ok(accounts)
    }
}

/// Parses one account of an export.
fn read_account(message: &[u8]) -> Result<KeyUri, UriError> {
    let (mut secret, mut name, mut issuer) = (None, "", "");
    let (mut algorithm, mut digits) = (Algorithm::Sha1, Parameters::DEFAULT.digits());
    for field in Fields(message) {
        match field? {
            (1, Value::Bytes(bytes)) => secret = Some(TotpSecret::from_slice(bytes).map_err(UriError::Secret)?),
            (2, Value::Bytes(bytes)) => name = text(bytes)?,
            (3, Value::Bytes(bytes)) => issuer = text(bytes)?,
            (4, Value::Number(0 | 1)) => algorithm = Algorithm::Sha1,
            (4, Value::Number(2)) => algorithm = Algorithm::Sha256,
            (4, Value::Number(3)) => algorithm = Algorithm::Sha512,
            (4, _) => return Err(UriError::Algorithm),
            (5, Value::Number(0 | 1)) => digits = 6,
            (5, Value::Number(2)) => digits = 8,
            (5, _) => return Err(UriError::Digits),
            // Counter-based codes are not supported.
            (6, Value::Number(1)) => return Err(UriError::Kind),
            _ => {}
        }
    }
    let secret = secret.ok_or(UriError::NoSecret)?;
    let parameters = Parameters::new(algorithm, digits, Parameters::DEFAULT.step_seconds());
    let (label, account) = split_label(name);
    let issuer = Some(issuer.to_owned()).filter(|issuer| !issuer.is_empty()).or(label);
    Ok(KeyUri::imported(issuer, account, secret, parameters.map_err(|_| UriError::Digits)?))
}

fn text(bytes: &[u8]) -> Result<&str, UriError> {
    std::str::from_utf8(bytes).map_err(|_| UriError::Encoding)
}

/// The value of a field of a protocol buffer.
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A value of another type, which is skipped.
    Other,
}

/// Iterates over the fields of a protocol buffer, by number. `prost` is not used because it copies
/// each secret out of the one buffer that is wiped, and because a single text that is not UTF-8
/// would make all accounts unreadable.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a number in groups of seven bits, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            number |= u64::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let key = self.number()?;
        let value = match key & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Other)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Other)?,
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), UriError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field().ok_or(UriError::Migration);
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn message(fields: &[(u8, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (number, bytes) in fields {
            out.extend([number << 3 | 2, u8::try_from(bytes.len()).unwrap()]);
            out.extend_from_slice(bytes);
        }
        out
    }

    fn numbers(fields: &[(u8, u8)]) -> Vec<u8> {
        fields.iter().flat_map(|(number, value)| [number << 3, *value]).collect()
    }

    fn account(name: &str, issuer: &str, rest: &[(u8, u8)]) -> Vec<u8> {
        let mut out = message(&[(1, b"12345678901234567890"), (2, name.as_bytes()), (3, issuer.as_bytes())]);
        out.extend(numbers(rest));
        out
    }

    fn uri(payload: &[u8]) -> String {
        let data = BASE64.encode(payload).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        format!("otpauth-migration://offline?data={data}")
    }

    #[test]
    fn every_account_is_read_for_itself() {
        let accounts = [
            account("ACME:alice", "", &[(4, 1), (5, 1), (6, 2)]),
            account("ACME:bob", "Other", &[(4, 3), (5, 2), (6, 2)]),
            account("", "", &[]),
            account("counted", "", &[(6, 1), (7, 9)]),
            account("hashed", "", &[(4, 4), (6, 2)]),
            message(&[(2, b"no secret")]),
            message(&[(1, b"short")]),
            message(&[(1, b"12345678901234567890"), (2, b"\xff")]),
        ];
        let mut payload = message(&accounts.each_ref().map(|account| (1, account.as_slice())));
        payload.extend(numbers(&[(2, 1), (3, 1), (4, 0)]));
        let read = KeyUri::parse_migration(&format!(" {}\n", uri(&payload))).unwrap();
        let shown = |at: usize| {
            let read: &KeyUri = read[at].as_ref().unwrap();
            assert_eq!(read.secret().expose(), b"12345678901234567890");
            let parameters = read.parameters();
            (read.issuer(), read.account(), parameters.algorithm(), parameters.digits(), parameters.step_seconds())
        };
        assert_eq!(shown(0), (Some("ACME"), "alice", Algorithm::Sha1, 6, 30));
        assert_eq!(shown(1), (Some("Other"), "bob", Algorithm::Sha512, 8, 30));
        assert_eq!(shown(2), (None, "", Algorithm::Sha1, 6, 30));
        let errors: Vec<UriError> = read.into_iter().filter_map(Result::err).collect();
        assert_eq!(errors[..3], [UriError::Kind, UriError::Algorithm, UriError::NoSecret]);
        assert!(matches!(errors[3..], [UriError::Secret(_), UriError::Encoding]));
    }

    #[test]
    fn what_is_no_export_is_an_error() {
        let error = |text: &str| KeyUri::parse_migration(text).err();
        for text in ["", "otpauth://totp/a?secret=GEZDGNBVGY3TQOJQ", "otpauth-migration:/"] {
            assert_eq!(error(text), Some(UriError::Scheme), "{text}");
        }
        let long = format!("otpauth-migration://offline?data={}", "A".repeat(5_000));
        let many = uri(&message(&[(1, b"".as_slice()); 101]));
        for text in [
            "otpauth-migration://offline",
            "otpauth-migration://offline?x=1",
            "otpauth-migration://offline?data=!!!",
            "otpauth-migration://offline?data=CjE",
            &long,
            &many,
        ] {
            assert_eq!(error(text), Some(UriError::Migration), "{text:.60}");
        }
        assert_eq!(KeyUri::parse_migration("otpauth-migration://offline?data=").unwrap().len(), 0);
        assert!(KeyUri::parse_migration(&uri(&numbers(&[(2, 1)]))).unwrap().is_empty());
        // The plus sign arrives as a blank.
        let payload = message(&[(1, &account("\u{3fb}\u{3ef}~~", "", &[])), (9, &[0xfb; 12]), (10, &[7])]);
        let blanks = format!("otpauth-migration://offline?data={}", BASE64.encode(&payload).replace('+', " "));
        assert!(blanks.contains(' '));
        assert_eq!(KeyUri::parse_migration(&blanks).unwrap().len(), 1);
    }

    proptest! {
        #[test]
        fn any_payload_is_read_or_refused(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = KeyUri::parse_migration(&uri(&payload));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(otpauth-migration://offline\\?data=)?[a-zA-Z0-9%+/= ]{0,80}") {
            let _ = KeyUri::parse_migration(&text);
        }
    }
}
