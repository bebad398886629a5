//! The end of a certificate's validity, read out of its DER (RFC 5280 §4.1): for a log line and a metric. Whether a
//! certificate is good is for those to say who it is shown to.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, where the version is; version 1 certificates leave it out.
const VERSION: u8 = 0xa0;

/// Returns `notAfter`, unless the bytes are no certificate.
pub(super) fn not_after(certificate: &[u8]) -> Option<SystemTime> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (to_be_signed, _) = element(certificate, SEQUENCE)?;
    let rest = element(to_be_signed, VERSION).map_or(to_be_signed, |(_version, rest)| rest);
    let (_serial_number, rest) = element(rest, INTEGER)?;
    let (_signature_algorithm, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, rest) = any_element(validity)?;
    match *rest.first()? {
        UTC_TIME => time(element(rest, UTC_TIME)?.0, 2),
        GENERALIZED_TIME => time(element(rest, GENERALIZED_TIME)?.0, 4),
        _ => None,
    }
}

/// Splits off an element with this tag: what is in it, and what comes after it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    if *bytes.first()? == tag { any_element(bytes) } else { None }
}

fn any_element(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    // Up to 127 the length itself, else how many bytes the length has.
    if *first < 0x80 {
        return rest.split_at_checked(usize::from(*first));
    }
    let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
    if length.is_empty() || length.len() > 4 {
        return None;
    }
    let length = length.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    rest.split_at_checked(usize::try_from(length).ok()?)
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, always with seconds and in UTC (RFC 5280 §4.1.2.5).
fn time(text: &[u8], year_digits: usize) -> Option<SystemTime> {
    let mut digits = text.strip_suffix(b"Z")?;
    let mut number = |count| {
        let (taken, rest) = digits.split_at_checked(count)?;
        digits = rest;
        taken
            .iter()
            .try_fold(0_u64, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0')))
    };
    let year = match (number(year_digits)?, year_digits) {
        (year, 2) if year < 50 => 2000 + year,
        (year, 2) => 1900 + year,
        (year, _) => year,
    };
    let (month, day) = (number(2)?, number(2)?);
    let (hour, minute, second) = (number(2)?, number(2)?, number(2)?);
    let is_day = year >= 1970 && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !digits.is_empty() || !is_day || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// Days since 1970-01-01. The year is taken to begin in March, so that the leap day is its last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    // 0000-03-01 is 719,468 days before the epoch; months from March on have 30.6 days, rounded right.
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(time: SystemTime) -> u64 {
        time.duration_since(UNIX_EPOCH).expect("is after the epoch").as_secs()
    }

    #[test]
    fn both_forms_of_time_are_read() {
        for (text, year_digits, expected) in [
            ("700101000000Z", 2, 0),
            ("240229235959Z", 2, 1_709_251_199),
            ("240301000000Z", 2, 1_709_251_200),
            ("491231235959Z", 2, 2_524_607_999),
            ("20500101000000Z", 4, 2_524_608_000),
            ("21000301000000Z", 4, 4_107_542_400),
            // RFC 5280 §4.1.2.5: a certificate without a good end.
            ("99991231235959Z", 4, 253_402_300_799),
        ] {
            assert_eq!(time(text.as_bytes(), year_digits).map(seconds), Some(expected), "{text}");
        }
        for (text, year_digits) in [
            ("", 2),
            ("2402292359Z", 2),
            ("240229235959", 2),
            ("240229235959+0100", 2),
            ("241329235959Z", 2),
            ("240229245959Z", 2),
            ("240229236059Z", 2),
            ("240229235960Z", 2),
            ("240200235959Z", 2),
            ("500101000000Z", 2),
            ("2024022923595Z", 4),
            ("-0240229235959Z", 4),
        ] {
            assert_eq!(time(text.as_bytes(), year_digits), None, "{text}");
        }
    }

    #[test]
    fn end_of_a_certificate_is_found() {
        for (year, seconds_of_it) in [(2031, 1_924_992_000), (2055, 2_682_374_400)] {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("is a name");
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().expect("makes a key");
            let certificate = params.self_signed(&key).expect("signs");
            let found = not_after(certificate.der()).map(seconds);
            assert_eq!(found, Some(seconds_of_it), "{year}");
        }
    }

    #[test]
    fn other_bytes_have_none() {
        let key = rcgen::KeyPair::generate().expect("makes a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("signs");
        let der = certificate.der();
        assert!(not_after(der).is_some());
        for end in 0..der.len() {
            assert_eq!(not_after(&der[..end]), None, "{end}");
        }
        assert_eq!(not_after(b"-----BEGIN CERTIFICATE-----"), None);
        assert_eq!(not_after(&[SEQUENCE, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
