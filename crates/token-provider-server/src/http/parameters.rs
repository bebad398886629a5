//! The parameters of a request for a token, as the query of `/getToken` and the body of `/oauth2/token` have them, and which of
//! their names show a credential.

use std::borrow::Cow;
use std::time::Duration;

use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use token_provider::MAX_LIFETIME;
use zeroize::Zeroizing;

use crate::problem::Problem;
use crate::values::ttl::MIN_LIFETIME;

/// The shortest and the longest lifetime that a caller may ask for, in seconds.
const MIN_TTL: u64 = MIN_LIFETIME.as_secs();
pub(super) const MAX_TTL: u64 = MAX_LIFETIME.as_secs();
const MILLISECONDS: &str = "86400 seconds or less; this looks like milliseconds";

/// HERE's numbers for a lifetime.
const NOT_A_NUMBER: u32 = 400_208;
const TOO_SMALL: u32 = 400_209;
const INVALID: u32 = 400_203;

/// A parameter's value, decoded. Wiped, because a client secret is one.
pub(super) type Value = Zeroizing<String>;

/// A parameter as it was given: its name and its value.
pub(super) type Given<'a> = (Cow<'a, str>, Cow<'a, str>);

/// Returns whether the body of a request is of this type, whatever its parameters.
pub(crate) fn has_content_type(headers: &HeaderMap, expected: &str) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split_once(';').map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case(expected)
}

/// Takes the parameters of these names, each of which may be given once. Others are ignored: people add some to get round
/// caches.
pub(super) fn parameters<'a, const N: usize>(
    given: impl IntoIterator<Item = Given<'a>>,
    names: [&str; N],
) -> Result<[Option<Value>; N], Problem> {
    let mut values = [const { None }; N];
    for (name, value) in given {
        // Before its name is looked at: a secret may be in the wrong place.
        let value = Zeroizing::new(value.into_owned());
        let Some((_, slot)) = names.iter().zip(&mut values).find(|(known, _)| **known == name) else {
            continue;
        };
        if slot.replace(value).is_some() {
            return Err(Problem::invalid_request(format!("{name}: given twice")));
        }
    }
    Ok(values)
}

/// Returns whether a field is for another way to authenticate, such as a JWT (RFC 7523 §2.2) or a signature: who sends it must not be
/// let in as anonymous. HERE's SDKs send none, however it is spelled, and no secret either.
pub(super) fn is_credential(name: &str, is_here: bool) -> bool {
    if !is_here {
        return matches!(name, "client_assertion" | "client_assertion_type") || name.starts_with("oauth_");
    }
    let plain = name.replace('_', "").to_ascii_lowercase();
    ["clientsecret", "clientassertion", "oauth"].iter().any(|start| plain.starts_with(start))
}

/// Reads a lifetime, which `name` is called in this request. It is `None` where none is given. One that is shorter than all
/// configured lifetimes is refused rather than rounded up: nobody gets a token that lives longer than requested.
pub(super) fn lifetime(
    name: &str,
    value: Option<&Value>,
    shortest: Duration,
) -> Result<Option<Duration>, Problem> {
    let Some(digits) = value else { return Ok(None) };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that do not fit are a number above every limit.
    let seconds = is_number.then(|| digits.parse().unwrap_or(u64::MAX));
    let (number, expected) = match seconds {
        None => (NOT_A_NUMBER, "whole seconds in decimal digits, 60 to 86400"),
        Some(..MIN_TTL) => (TOO_SMALL, "60 seconds or more"),
        Some(ms) if ms > MAX_TTL && ms <= MAX_TTL * 1000 && ms % 1000 == 0 => (INVALID, MILLISECONDS),
        Some(seconds) if seconds > MAX_TTL => (INVALID, "86400 seconds or less"),
        Some(seconds) if seconds < shortest.as_secs() => {
            let shortest = shortest.as_secs();
            let problem = format!("{name}: the shortest lifetime handed out here is {shortest} seconds");
            return Err(Problem::invalid_request(problem).with_number(TOO_SMALL));
        }
        Some(seconds) => return Ok(Some(Duration::from_secs(seconds))),
    };
    Err(Problem::invalid_request(format!("{name}: expected {expected}")).with_number(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_given_once() {
        let read = |query: &str| {
            parameters(url::form_urlencoded::parse(query.as_bytes()), ["ttl", "profile", "scope"])
        };
        let values = read("ttl=60&scope=hrn%3Ahere%3Aa+b&_=123&_=124").expect("is well-formed");
        let values = values.map(|value| value.map(|value| value.to_string()));
        assert_eq!(values, [Some("60".to_owned()), None, Some("hrn:here:a b".to_owned())]);
        for twice in ["ttl=60&ttl=61", "ttl=60&t%74l=60", "profile=a&profile=a", "scope=&scope="] {
            assert!(read(twice).is_err(), "{twice}");
        }
    }
}
