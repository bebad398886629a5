//! When a certificate is valid, read from its DER (RFC 5280 §4.1).

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`, where the version is; version 1 certificates leave it out.
const VERSION: u8 = 0xa0;

/// The first and the last moment at which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
}

/// Why a certificate is not valid at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutOfDate {
    /// Not any more.
    Expired(SystemTime),
    /// Not yet.
    Early(SystemTime),
}

impl Validity {
    pub(super) fn out_of_date(self, now: SystemTime) -> Option<OutOfDate> {
        if now > self.not_after {
            return Some(OutOfDate::Expired(self.not_after));
        }
        (now < self.not_before).then_some(OutOfDate::Early(self.not_before))
    }
}

impl fmt::Display for OutOfDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired(end) => write!(f, "the certificate expired on {}", httpdate::HttpDate::from(*end)),
            Self::Early(start) => {
                write!(f, "the certificate is not valid before {}", httpdate::HttpDate::from(*start))
            }
        }
    }
}

/// Returns `None` when the bytes are no certificate.
pub(super) fn validity(certificate: &[u8]) -> Option<Validity> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (to_be_signed, _) = element(certificate, SEQUENCE)?;
    let rest = element(to_be_signed, VERSION).map_or(to_be_signed, |(_version, rest)| rest);
    let (_serial_number, rest) = element(rest, INTEGER)?;
    let (_signature_algorithm, rest) = element(rest, SEQUENCE)?;
    let (_issuer, rest) = element(rest, SEQUENCE)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_not_before, not_after) = any_element(validity)?;
    // Before 1970 is as good as then.
    Some(Validity { not_before: date(validity).unwrap_or(UNIX_EPOCH), not_after: date(not_after)? })
}

fn date(bytes: &[u8]) -> Option<SystemTime> {
    match *bytes.first()? {
        UTC_TIME => time(element(bytes, UTC_TIME)?.0, 2),
        GENERALIZED_TIME => time(element(bytes, GENERALIZED_TIME)?.0, 4),
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
    fn validity_of_a_certificate_is_found() {
        for (from, start, year, seconds_of_it) in
            [(2024, 1_704_067_200, 2031, 1_924_992_000), (1960, 0, 2055, 2_682_374_400)]
        {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("is a name");
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().expect("makes a key");
            let certificate = params.self_signed(&key).expect("signs");
            let found = validity(certificate.der()).expect("is a certificate");
            let (not_before, not_after) = (seconds(found.not_before), seconds(found.not_after));
            assert_eq!((not_before, not_after), (start, seconds_of_it), "{year}");
            let second = Duration::from_secs(1);
            assert_eq!(found.out_of_date(found.not_before), None);
            assert_eq!(found.out_of_date(found.not_after), None);
            let late = found.out_of_date(found.not_after + second).expect("is over");
            assert!(late.to_string().ends_with(&format!("01 Jan {year} 00:00:00 GMT")), "{late}");
            if start > 0 {
                let early = found.out_of_date(found.not_before - second).expect("has not begun");
                assert!(
                    early.to_string().ends_with("not valid before Mon, 01 Jan 2024 00:00:00 GMT"),
                    "{early}"
                );
            }
        }
    }

    #[test]
    fn other_bytes_have_none() {
        let key = rcgen::KeyPair::generate().expect("makes a key");
        let certificate = rcgen::CertificateParams::default().self_signed(&key).expect("signs");
        let der = certificate.der();
        assert!(validity(der).is_some());
        for end in 0..der.len() {
            assert_eq!(validity(&der[..end]), None, "{end}");
        }
        assert_eq!(validity(b"-----BEGIN CERTIFICATE-----"), None);
        assert_eq!(validity(&[SEQUENCE, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
