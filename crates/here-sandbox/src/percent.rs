//! Percent-encoding as RFC 5849 §3.6 wants it, and the form encoding that queries and bodies arrive in.

use std::fmt::Write as _;

/// Name and value of one parameter, decoded. Bytes, because a signature covers whatever was sent, UTF-8 or
/// not.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Encodes everything but RFC 3986's unreserved characters, with upper-case digits.
pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::with_capacity(bytes.as_ref().len());
    for &byte in bytes.as_ref() {
        if is_unreserved(byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    text
}

/// Decodes a name or value of the `Authorization` header.
///
/// A character that should have been encoded makes it `None`: a signer that forgets to encode `+` or `/` in
/// the signature works with some servers and not with others.
pub(crate) fn decode_strictly(text: &str) -> Option<String> {
    let bytes = decode(text.as_bytes(), |byte| is_unreserved(byte).then_some(byte))?;
    String::from_utf8(bytes).ok()
}

/// Splits and decodes `application/x-www-form-urlencoded` text: a query or a form body. `None` for a broken
/// escape.
///
/// A segment without `=` is a name with an empty value; empty segments are nothing.
pub(crate) fn form_pairs(text: &[u8]) -> Option<Vec<Pair>> {
    let plain = |byte| Some(if byte == b'+' { b' ' } else { byte });
    let segments = text.split(|&byte| byte == b'&').filter(|segment| !segment.is_empty());
    segments
        .map(|segment| {
            let mut halves = segment.splitn(2, |&byte| byte == b'=');
            let mut half = || decode(halves.next().unwrap_or_default(), plain);
            Some((half()?, half()?))
        })
        .collect()
}

pub(crate) fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Undoes `%XX`; `plain` says what any other byte stands for, or that it may not stand there.
fn decode(text: &[u8], plain: impl Fn(u8) -> Option<u8>) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        let decoded = match byte {
            b'%' => hex_digit(rest.next()?)? << 4 | hex_digit(rest.next()?)?,
            other => plain(other)?,
        };
        bytes.push(decoded);
    }
    Some(bytes)
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_unreserved_characters_stay_plain() {
        assert_eq!(encode("aZ09-._~"), "aZ09-._~");
        assert_eq!(encode("a+b/c=d&e%f g*'ü"), "a%2Bb%2Fc%3Dd%26e%25f%20g%2A%27%C3%BC");
    }

    #[test]
    fn header_value_must_be_encoded_and_whole() {
        assert_eq!(decode_strictly("a%2Fb%3d"), Some("a/b=".into()));
        for bad in ["a/b", "a+b", "a b", "%", "%2", "%zz", "%ff", "\"", "%+1"] {
            assert_eq!(decode_strictly(bad), None, "{bad}");
        }
    }

    #[test]
    fn form_pairs_follow_the_form_encoding() {
        let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let pairs = form_pairs(b"a=1&&b&=v&c+d=e%20f+g&h=i=j&k=").expect("well-formed");
        let expected = [
            pair("a", "1"),
            pair("b", ""),
            pair("", "v"),
            pair("c d", "e f g"),
            pair("h", "i=j"),
            pair("k", ""),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(form_pairs(b""), Some(vec![]));
        assert_eq!(form_pairs(b"a=%4"), None);
    }

    proptest! {
        #[test]
        fn decoding_undoes_encoding(text in any::<String>()) {
            prop_assert_eq!(decode_strictly(&encode(&text)), Some(text));
        }

        #[test]
        fn form_decoding_undoes_encoding(name in any::<Vec<u8>>(), value in any::<Vec<u8>>()) {
            let text = format!("{}={}", encode(&name), encode(&value));
            prop_assert_eq!(form_pairs(text.as_bytes()), Some(vec![(name, value)]));
        }
    }
}
