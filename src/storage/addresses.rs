//! Addresses that no archive has: link-local ones, where clouds hand out credentials to the machine itself.
//!
//! Redirects to them are refused, and names that resolve to them, so that nobody's reference or redirect reaches them. The hunt
//! for credentials of our own names its addresses as numbers or by the one name that is let through.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Google's name of its metadata service, which credentials come from.
const GOOGLE_METADATA: &str = "metadata.google.internal";

/// Whether an address is link-local or a cloud's metadata service.
#[must_use]
pub fn is_link_local(address: IpAddr) -> bool {
    match address {
        // 169.254/16; Alibaba's 100.100.100.200; 0.0.0.0 is this machine by another name.
        IpAddr::V4(four) => {
            four.is_link_local()
                || four == Ipv4Addr::new(100, 100, 100, 200)
                || four.is_unspecified()
        }
        IpAddr::V6(six) => {
            let amazon = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
            six.is_unicast_link_local()
                || six == amazon
                || six.is_unspecified()
                || six
                    .to_ipv4_mapped()
                    .is_some_and(|four| is_link_local(four.into()))
        }
    }
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
        ] {
            assert!(
                !may_follow(url::Url::parse(text).unwrap().host().as_ref()),
                "{text}"
            );
        }
        for text in ["http://127.0.0.1/", "https://mirror.example/x"] {
            assert!(
                may_follow(url::Url::parse(text).unwrap().host().as_ref()),
                "{text}"
            );
        }
    }
}
