//! Ranges of IP addresses, in CIDR notation (RFC 4632).

use std::fmt;
use std::net::IpAddr;

/// A range of addresses: those that share the first `prefix` bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpNet {
    address: IpAddr,
    prefix: u8,
}

impl IpNet {
    /// Says whether an address is in the range. An IPv4 peer of a dual-stack socket counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
            (_, address) => first_bits(address, self.prefix) == first_bits(self.address, self.prefix),
        }
    }
}

impl fmt::Display for IpNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
pub(super) fn ip_net(text: &str) -> Result<IpNet, &'static str> {
    const EXPECTED: &str = "expected an address range such as \"10.0.0.0/8\" or \"fd00::/8\", or one address";
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| EXPECTED)?;
    if address != address.to_canonical() {
        return Err("expected an IPv4 address in its own form, not mapped into IPv6");
    }
    let prefix = match prefix {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| EXPECTED)?
        }
        Some(_) => return Err(EXPECTED),
        None => width(address),
    };
    if prefix > width(address) {
        return Err(EXPECTED);
    }
    if prefix == 0 {
        return Err("takes in every address there is, so that anybody could say who they are");
    }
    // 10.1.2.3/8: the whole range, or the one address? Guessing wrong trusts strangers.
    if first_bits(address, prefix) != first_bits(address, width(address)) {
        return Err("has bits set behind its prefix: expected the first address of the range");
    }
    Ok(IpNet { address, prefix })
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address as a number, all but the first `prefix` bits set to zero.
fn first_bits(address: IpAddr, prefix: u8) -> u128 {
    let bits = match address {
        IpAddr::V4(address) => u128::from(u32::from(address)) << 96,
        IpAddr::V6(address) => u128::from(address),
    };
    let rest = 128_u32.saturating_sub(u32::from(prefix));
    bits.checked_shr(rest).and_then(|bits| bits.checked_shl(rest)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        for (range, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("10.0.0.0/8", "a00::", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.6", false),
            ("128.0.0.0/1", "255.0.0.1", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
        ] {
            assert_eq!(
                ip_net(range).unwrap().contains(address.parse().unwrap()),
                expected,
                "{range} {address}"
            );
        }
    }

    #[test]
    fn other_texts_are_refused() {
        let texts = [
            "",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/256",
            "10.0.0/8",
            "::/129",
            "0.0.0.0/0",
            "::/0",
            "10.1.2.3/8",
            "fd00::1/64",
            "::ffff:10.0.0.1",
            "example.com",
            "10.0.0.0/8/8",
            "*",
        ];
        for text in texts {
            assert!(ip_net(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_exactly_what_shares_its_prefix(one: u32, other: u32, prefix in 1_u8..=32) {
            let mask = u32::MAX << (32 - prefix);
            let range = IpNet { address: IpAddr::V4((one & mask).into()), prefix };
            prop_assert_eq!(ip_net(&range.to_string()), Ok(range));
            prop_assert!(range.contains(IpAddr::V4(one.into())));
            prop_assert_eq!(range.contains(IpAddr::V4(other.into())), one & mask == other & mask);
        }
    }
}
