//! The cookie that stays on a device.

use keywright_core::{Entropy, EntropyError};

/// The value's bytes before they are written as hexadecimal digits.
const RANDOM_BYTES: usize = 16;

/// The cookie that stays on a device after the log-out. By it the guess ledger knows the device, and
/// wrong codes from elsewhere do not delay its owner.
///
/// Read it in every request that checks a code, pass its [bytes](Self::as_bytes) to
/// `Keywright::client` or `Driver::client_tag`, and send it with the answer to a log-in. It belongs to
/// no framework.
///
/// ```
/// use keywright_core::SystemEntropy;
/// use keywright_tower::DeviceCookie;
///
/// // The request's `Cookie` headers: in axum `headers.get_all("cookie")`.
/// let fresh = DeviceCookie::read_or_draw(["session=5f0c"], &SystemEntropy)?;
/// let sent = fresh.to_set_cookie(); // the answer's `Set-Cookie`
/// let back = DeviceCookie::read_or_draw([sent.split(';').next().unwrap_or_default()], &SystemEntropy)?;
/// assert_eq!(back.as_bytes(), fresh.as_bytes());
/// # Ok::<(), keywright_core::EntropyError>(())
/// ```
///
/// Its prefix `__Host-` keeps other hosts of the domain from setting it; browsers keep such a cookie
/// only over TLS or from localhost. It lets nobody in by itself.
#[derive(Clone)]
pub struct DeviceCookie(String);

keywright_core::redacted_debug!(DeviceCookie);

impl DeviceCookie {
    /// The name of the cookie.
    pub const NAME: &'static str = "__Host-device";

    /// Reads the cookie from the values of a request's `Cookie` headers, or draws a new one if there is
    /// none. A value that no server can have drawn is none.
    ///
    /// # Errors
    /// Returns [`EntropyError`] if there is no cookie and the generator fails.
    pub fn read_or_draw(
        cookies: impl IntoIterator<Item: AsRef<[u8]>>,
        entropy: &(impl Entropy + ?Sized),
    ) -> Result<Self, EntropyError> {
        if let Some(value) = cookies.into_iter().find_map(|header| value_in(header.as_ref())) {
            return Ok(Self(value));
        }
        let mut drawn = [0_u8; RANDOM_BYTES];
        entropy.fill(&mut drawn)?;
        Ok(Self(hex::encode(drawn)))
    }

    /// Returns the value, for `Keywright::client`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// Returns the value of a `Set-Cookie` header, which keeps the cookie for another year.
    #[must_use]
    pub fn to_set_cookie(&self) -> String {
        format!("{}={}; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=31536000", Self::NAME, self.0)
    }
}

/// The value of the cookie in one header.
fn value_in(header: &[u8]) -> Option<String> {
    let cookies = header.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    let mut values =
        cookies.filter_map(|cookie| cookie.strip_prefix(DeviceCookie::NAME.as_bytes())?.strip_prefix(b"="));
    let value = values.find(|value| is_drawn(value))?;
    String::from_utf8(value.to_vec()).ok()
}

/// Whether a value has the form of those that are drawn.
fn is_drawn(value: &[u8]) -> bool {
    value.len() == RANDOM_BYTES * 2 && value.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use keywright_core::SystemEntropy;

    use super::*;

    const VALUE: &str = "00112233445566778899aabbccddeeff";

    fn read(headers: &[&str]) -> Result<String, EntropyError> {
        DeviceCookie::read_or_draw(headers, &SystemEntropy).map(|cookie| cookie.0)
    }

    #[test]
    fn it_is_found_in_any_header_and_between_others() -> Result<(), EntropyError> {
        assert_eq!(read(&[&format!("__Host-device={VALUE}")])?, VALUE);
        assert_eq!(read(&["a=b", &format!("session=1;  __Host-device={VALUE} ; c=d")])?, VALUE);
        assert_eq!(read(&[&format!("__Host-device=planted; __Host-device={VALUE}")])?, VALUE);
        Ok(())
    }

    #[test]
    fn what_no_server_has_drawn_is_replaced() -> Result<(), EntropyError> {
        let upper = VALUE.to_uppercase();
        for value in
            ["", "1", &upper, &format!("{VALUE}0"), "network:192.0.2.7", "00112233445566778899aabbccddeef\u{e9}"]
        {
            let drawn = read(&[&format!("__Host-device={value}")])?;
            assert!(drawn != value && is_drawn(drawn.as_bytes()), "{value}");
        }
        for header in [format!("x__Host-device={VALUE}"), format!("__Host-device2={VALUE}"), format!("device={VALUE}")]
        {
            assert_ne!(read(&[&header])?, VALUE, "{header}");
        }
        assert_ne!(read(&[])?, read(&[])?);
        Ok(())
    }

    #[test]
    fn it_stays_for_a_year_and_is_not_shown() -> Result<(), EntropyError> {
        let cookie = DeviceCookie::read_or_draw([format!("__Host-device={VALUE}")], &SystemEntropy)?;
        let set =
            "__Host-device=00112233445566778899aabbccddeeff; Path=/; HttpOnly; Secure; SameSite=Lax; Max-Age=31536000";
        assert_eq!(cookie.to_set_cookie(), set);
        assert!(!format!("{cookie:?}").contains(VALUE));
        Ok(())
    }
}
