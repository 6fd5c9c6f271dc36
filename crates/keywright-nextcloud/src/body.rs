//! The body of a request: JSON, a form where no web page can have sent it unasked, or nothing.

use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use keywright_wire::{is_json, parse_json};
use percent_encoding::percent_decode;
use serde_json::map::Entry;
use serde_json::{Map, Value};

use crate::error::ApiError;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The input of an endpoint.
pub(crate) struct Input<'r> {
    pub(crate) method: &'r Method,
    pub(crate) query: Option<&'r str>,
    /// The segment of the path that varies, for a route that has one.
    pub(crate) segment: Option<&'r str>,
    headers: &'r HeaderMap,
    /// The host of a request that names it in its target, as HTTP/2 does.
    authority: Option<&'r Authority>,
    body: &'r [u8],
    /// The largest body, in bytes.
    max_body: usize,
}

impl<'r> Input<'r> {
    pub(crate) fn new<B: AsRef<[u8]>>(request: &'r Request<B>, segment: Option<&'r str>, max_body: usize) -> Self {
        Self {
            method: request.method(),
            query: request.uri().query(),
            segment,
            headers: request.headers(),
            authority: request.uri().authority(),
            body: request.body().as_ref(),
            max_body,
        }
    }

    /// Reads the parameters of a POST, which are the members of one object.
    pub(crate) fn params(&self) -> Result<Params, ApiError> {
        match self.value()? {
            Value::Object(members) => Ok(Params(members)),
            _ => Err(ApiError::BAD_REQUEST),
        }
    }

    /// Reads the parameters of a query. No secret is ever read from one.
    pub(crate) fn query_params(&self) -> Result<Params, ApiError> {
        form(self.query.unwrap_or("").as_bytes()).map(Params).ok_or(ApiError::BAD_REQUEST)
    }

    /// Reads the body of a POST: JSON, or a form. An absent body is an empty object, whatever media
    /// type it is said to have. JSON has the type `application/json`, which a web page of another
    /// site cannot send without asking first; anything else is taken only if the browser does not
    /// name another site (`docs/decisions.md` 51).
    pub(crate) fn value(&self) -> Result<Value, ApiError> {
        if self.body.len() > self.max_body {
            return Err(ApiError::TOO_LARGE);
        }
        let mut media_types = self.headers.get_all(CONTENT_TYPE).iter();
        let media_type = media_types.next();
        if media_types.next().is_some() {
            // A filter in front may have read the body as the other type.
            return Err(ApiError::MEDIA_TYPE);
        }
        if media_type.is_some_and(is_json) {
            let empty = || Value::Object(Map::new());
            return if self.body.is_empty() { Ok(empty()) } else { parse_json(self.body).ok_or(ApiError::BAD_REQUEST) };
        }
        let is_known = self.body.is_empty() || media_type.is_some_and(is_form);
        if !is_known || self.may_be_of_another_site() {
            return Err(ApiError::MEDIA_TYPE);
        }
        form(self.body).map(Value::Object).ok_or(ApiError::BAD_REQUEST)
    }

    /// Whether a web page of another site may have sent the request, with a login that the browser
    /// remembers. Browsers state where a POST comes from, in at least one of these headers; other
    /// programs send neither.
    fn may_be_of_another_site(&self) -> bool {
        let mut sites = self.headers.get_all(SEC_FETCH_SITE).iter();
        let mut origins = self.headers.get_all(ORIGIN).iter();
        sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
            || origins.any(|origin| !self.is_own_origin(origin).unwrap_or(false))
    }

    fn is_own_origin(&self, origin: &HeaderValue) -> Option<bool> {
        let (scheme, origin) = origin.to_str().ok()?.split_once("://")?;
        let own = match self.headers.get(HOST) {
            Some(host) => host.to_str().ok()?,
            None => self.authority?.as_str(),
        };
        let port = match scheme {
            "https" => ":443",
            "http" => ":80",
            _ => return None,
        };
        let without_port = |host: &str| host.strip_suffix(port).unwrap_or(host).to_ascii_lowercase();
        Some(without_port(origin) == without_port(own))
    }
}

/// Whether a `Content-Type` is that of a form, whatever parameters follow.
fn is_form(content_type: &HeaderValue) -> bool {
    let media_type = content_type.to_str().ok().and_then(|value| value.split(';').next());
    media_type.is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

/// Reads a form as PHP names its fields: `a=x` is a text, `a[]=x` an element of a list, and
/// `a[b]=x` a member of an object. A field that is named twice is refused, as a member of JSON is,
/// and so is text that is not UTF-8: the parser would replace what it cannot read, so that different
/// secrets became equal.
fn form(body: &[u8]) -> Option<Map<String, Value>> {
    // Fields are separated by ASCII characters, which are part of no other character.
    percent_decode(body).decode_utf8().ok()?;
    let mut members = Map::new();
    for (name, value) in form_urlencoded::parse(body) {
        let nested = name.split_once('[').and_then(|(name, rest)| Some((name, rest.strip_suffix(']')?)));
        let (name, key) = nested.map_or((&*name, None), |(name, key)| (name, Some(key)));
        let value = Value::String(value.into_owned());
        match (members.entry(name), key) {
            (Entry::Vacant(entry), None) => drop(entry.insert(value)),
            (Entry::Vacant(entry), Some("")) => drop(entry.insert(Value::Array(vec![value]))),
            (Entry::Vacant(entry), Some(key)) => {
                entry.insert(Value::Object(Map::from_iter([(key.to_owned(), value)])));
            }
            (Entry::Occupied(mut entry), Some(key)) => match (entry.get_mut(), key) {
                (Value::Array(values), "") => values.push(value),
                (Value::Object(inner), key) if !key.is_empty() && !inner.contains_key(key) => {
                    inner.insert(key.to_owned(), value);
                }
                _ => return None,
            },
            (Entry::Occupied(_), None) => return None,
        }
    }
    Some(members)
}

/// The members of a request's object. `null` counts as absent, unknown members are ignored
/// (protocol § 1).
pub(crate) struct Params(Map<String, Value>);

/// A member has the wrong type.
pub(crate) struct Mistyped;

impl Params {
    fn member(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Returns the members, without those that are `null`.
    pub(crate) fn members(self) -> impl Iterator<Item = (String, Value)> {
        self.0.into_iter().filter(|(_, value)| !value.is_null())
    }

    /// Returns a string member, or `None` if it is absent.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Mistyped> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(Mistyped),
        }
    }

    /// Returns a member that is a list of strings, or `None` if it is absent.
    pub(crate) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Mistyped> {
        match self.member(name) {
            None => Ok(None),
            Some(Value::Array(values)) => texts(values).map(Some),
            Some(_) => Err(Mistyped),
        }
    }

    /// Returns the members of an object, without those that are `null`; none if the object is
    /// absent.
    pub(crate) fn object(&self, name: &str) -> Result<Vec<(&str, &Value)>, Mistyped> {
        match self.member(name) {
            None => Ok(Vec::new()),
            Some(Value::Object(members)) => {
                let members = members.iter().filter(|(_, value)| !value.is_null());
                Ok(members.map(|(name, value)| (name.as_str(), value)).collect())
            }
            Some(_) => Err(Mistyped),
        }
    }
}

/// Returns the elements of a list, which must all be strings.
pub(crate) fn texts<'v>(values: impl IntoIterator<Item = &'v Value>) -> Result<Vec<&'v str>, Mistyped> {
    values.into_iter().map(|value| value.as_str().ok_or(Mistyped)).collect()
}

/// Whether a GET's query contains a parameter of this name. Its value is not read.
pub(crate) fn query_names(query: Option<&str>, name: &str) -> bool {
    form_urlencoded::parse(query.unwrap_or("").as_bytes()).any(|(found, _)| found == name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_form_has_texts_lists_and_objects_and_no_field_twice() {
        for (text, expected) in [
            ("", json!({})),
            ("a=1&b=+%C3%A9%26", json!({"a": "1", "b": " é&"})),
            ("a[]=1&a[]=1&a%5B%5D=3", json!({"a": ["1", "1", "3"]})),
            ("token[totp]=123456&token[backup_codes]=x", json!({"token": {"totp": "123456", "backup_codes": "x"}})),
            ("a", json!({"a": ""})),
            ("a[b][c]=1", json!({"a": {"b][c": "1"}})),
            ("a]=1&[=2", json!({"a]": "1", "[": "2"})),
        ] {
            assert_eq!(form(text.as_bytes()).map(Value::Object), Some(expected), "{text}");
        }
        for text in [
            "a=1&a=1",
            "a=1&a[]=1",
            "a[]=1&a=1",
            "a[b]=1&a[b]=1",
            "a[]=1&a[b]=1",
            "a[b]=1&a[]=1",
            "a=%FF",
            "%FF=a",
            "a=%C3&b=%A4",
        ] {
            assert_eq!(form(text.as_bytes()), None, "{text}");
        }
        assert_eq!(form(b"a=\xff"), None);
        assert_eq!(form(b"a=\xef\xbf\xbd").map(Value::Object), Some(json!({"a": "\u{fffd}"})));
    }

    fn is_refused(headers: &[(&str, &str)]) -> bool {
        let mut request = Request::post("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body("").unwrap();
        Input::new(&request, None, 100).may_be_of_another_site()
    }

    #[test]
    fn a_request_of_another_site_is_known_by_its_headers() {
        for own in [
            [].as_slice(),
            &[("host", "a.example")],
            &[("sec-fetch-site", "none")],
            &[("sec-fetch-site", "same-origin")],
            &[("host", "a.example"), ("origin", "https://a.example")],
            &[("host", "A.example:443"), ("origin", "https://a.example")],
            &[("host", "a.example:8080"), ("origin", "http://a.example:8080"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(!is_refused(own), "{own:?}");
        }
        for other in [
            [("host", "a.example"), ("origin", "null")].as_slice(),
            &[("host", "a.example"), ("origin", "")],
            &[("host", "a.example"), ("origin", "https://b.example")],
            &[("host", "a.example"), ("origin", "https://b.a.example")],
            &[("host", "a.example"), ("origin", "https://a.example:8443")],
            &[("host", "a.example:80"), ("origin", "https://a.example")],
            &[("host", "a.example"), ("origin", "moz-extension://a.example")],
            &[("host", "a.example"), ("origin", "https://a.example"), ("origin", "https://b.example")],
            &[("host", "a.example"), ("origin", "https://a.example"), ("sec-fetch-site", "cross-site")],
            &[("origin", "https://a.example")],
            &[("sec-fetch-site", "same-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "")],
        ] {
            assert!(is_refused(other), "{other:?}");
        }
        // HTTP/2 names the host in the target.
        let request = Request::post("https://a.example/").header("origin", "https://a.example").body("").unwrap();
        assert!(!Input::new(&request, None, 100).may_be_of_another_site());
    }

    #[test]
    fn two_media_types_are_none() {
        let (json, form) = ("application/json", "application/x-www-form-urlencoded");
        for (first, second, is_read) in
            [(json, None, true), (form, None, true), (json, Some(form), false), (form, Some(json), false)]
        {
            let mut request = Request::post("/").header(CONTENT_TYPE, first);
            if let Some(second) = second {
                request = request.header(CONTENT_TYPE, second);
            }
            let request = request.body("").unwrap();
            assert_eq!(Input::new(&request, None, 100).value().is_ok(), is_read, "{first} {second:?}");
        }
    }

    proptest! {
        #[test]
        fn any_body_and_any_query_give_an_answer(text in "[a-c=&%\\[\\]0-9]{0,40}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = query_names(Some(&text), "code");
            for kind in ["application/json", "application/x-www-form-urlencoded"] {
                for body in [bytes.as_slice(), text.as_bytes()] {
                    let request = Request::post("/").header(CONTENT_TYPE, kind).body(body).unwrap();
                    let _ = Input::new(&request, None, 100).params();
                }
            }
        }
    }
}
