//! Addresses that no archive has: link-local ones, where clouds hand out credentials to the machine itself.
//!
//! Redirects to them are refused, and names that resolve to them, so that nobody's reference or redirect reaches them. The hunt
//! for credentials of our own names its addresses as numbers or by the one name that is let through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Google's name of its metadata service, which credentials come from.
const GOOGLE_METADATA: &str = "metadata.google.internal";

/// Alibaba, Azure, Oracle.
const METADATA_V4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// Amazon (its metadata and its name service), Google.
const METADATA_V6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// Whether an address is link-local or a cloud's service for its own machines, written as IPv4, as IPv6, or as one in the other.
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        // 169.254/16; 0.0.0.0 is this machine by another name.
        IpAddr::V4(four) => {
            four.is_link_local() || four.is_unspecified() || METADATA_V4.contains(&four)
        }
        IpAddr::V6(six) => {
            six.is_unicast_link_local()
                || six.is_unspecified()
                || METADATA_V6.contains(&six)
                || embedded(six).is_some_and(|four| is_link_local(four.into()))
        }
    }
}

/// The IPv4 address that an IPv6 address leads to: mapped (RFC 4291 section 2.5.5), translated by NAT64 (RFC 6052 and 8215), through a
/// 6to4 relay (RFC 3056).
fn embedded(six: Ipv6Addr) -> Option<Ipv4Addr> {
    let [high, low] = match six.segments() {
        // `::1` is no IPv4 address.
        [0, 0, 0, 0, 0, 0, 0, low] if low < 256 => return None,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low]
        | [0x64, 0xff9b, 0 | 1, _, _, _, high, low]
        | [0x2002, high, low, ..] => [high, low],
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(
        (u32::from(high) << 16) | u32::from(low),
    ))
}

/// Whether a redirect may lead to a host.
pub(super) fn may_follow(host: Option<&url::Host<&str>>) -> bool {
    match host {
        None => false,
        Some(url::Host::Domain(name)) => name.trim_end_matches('.') != GOOGLE_METADATA,
        Some(url::Host::Ipv4(four)) => !is_link_local((*four).into()),
        Some(url::Host::Ipv6(six)) => !is_link_local((*six).into()),
    }
}

/// The system's resolver without link-local answers.
#[derive(Debug)]
pub(super) struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> =
                tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let ours = host.trim_end_matches('.') == GOOGLE_METADATA;
            let kept: Vec<SocketAddr> = found
                .into_iter()
                .filter(|at| ours || !is_link_local(at.ip()))
                .collect();
            if kept.is_empty() {
                return Err(format!(
                    "{host} resolves to link-local addresses only, which are not read"
                )
                .into());
            }
            let addresses: Addrs = Box::new(kept.into_iter());
            Ok(addresses)
        })
    }
}

/// Whether a host, as a URL holds it, is where a cloud hands credentials to its machines: asked without retries and without a place
/// among the archive's requests.
pub(super) fn is_metadata(host: &str) -> bool {
    matches!(host, "metadata" | GOOGLE_METADATA)
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| !address.is_unspecified() && is_link_local(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_to_metadata_services_are_not_followed() {
        for text in [
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://metadata.google.internal/",
            "http://[::ffff:a9fe:a9fe]/",
            "http://0.0.0.0/",
            "http://100.100.100.200/",
            "http://168.63.129.16/",
            "http://192.0.0.192/",
            "http://[fd00:ec2::254]/",
            "http://[fd00:ec2::23]/",
            "http://[fd20:ce::254]/",
            "http://[::a9fe:a9fe]/",
            "http://[64:ff9b::a9fe:a9fe]/",
            "http://[64:ff9b:1::a9fe:a9fe]/",
            "http://[2002:a9fe:a9fe::1]/",
        ] {
            assert!(
                !may_follow(url::Url::parse(text).unwrap().host().as_ref()),
                "{text}"
            );
        }
        for text in [
            "http://127.0.0.1/",
            "http://[::1]/",
            "http://[2001:db8::a9fe:a9fe]/",
            "http://[64:ff9b::c633:6401]/",
            "http://192.0.0.8/",
            "https://mirror.example/x",
        ] {
            assert!(
                may_follow(url::Url::parse(text).unwrap().host().as_ref()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_name_that_begins_like_a_metadata_address_is_none() {
        for host in [
            "169.254.169.254",
            "[fd00:ec2::254]",
            "metadata.google.internal",
        ] {
            assert!(is_metadata(host), "{host}");
        }
        for host in ["169.254.example.org", "127.0.0.1", "0.0.0.0", "example.org"] {
            assert!(!is_metadata(host), "{host}");
        }
    }
}
