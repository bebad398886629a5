//! Ranges of IP addresses, in CIDR notation (RFC 4632).

use std::net::IpAddr;

use ipnet::IpNet;

/// Reads `10.0.0.0/8`, `fd00::/8`, or one address.
pub(crate) fn ip_net(text: &str) -> Result<IpNet, &'static str> {
    let net: Option<IpNet> = match text.split_once('/') {
        // `ipnet` reads 010.0.0.0 as 10.0.0.0, others read octal digits: 8.0.0.0. The standard library takes no such address.
        Some((address, _)) => address.parse::<IpAddr>().ok().and_then(|_| text.parse().ok()),
        None => text.parse().ok().map(|address: IpAddr| address.into()),
    };
    let net =
        net.ok_or("expected an address range such as \"10.0.0.0/8\" or \"fd00::/8\", or one address")?;
    if net.addr() != net.addr().to_canonical() {
        return Err("expected an IPv4 address, not one mapped into IPv6");
    }
    if net.prefix_len() == 0 {
        return Err("contains every address, so that anyone could claim any name");
    }
    // 10.1.2.3/8: the whole range, or the one address? Guessing wrong trusts strangers.
    if net != net.trunc() {
        return Err("has bits set after its prefix: expected the first address of the range");
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_addresses() {
        for (range, address, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "a00::", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("192.168.1.7", "192.168.1.6", false),
            ("128.0.0.0/1", "255.0.0.1", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::1", "::1", true),
            ("::1", "::2", false),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(ip_net(range).unwrap().contains(&address), expected, "{range} {address}");
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
            "010.0.0.0/8",
            "010.0.0.1",
            "10.0.00.0/8",
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
}
