//! The HTTP client of all origins: one pool of connections that stay open between reads.
//!
//! TLS is rustls with ring; certificates are the system's. Proxies come from the usual variables of the environment.

use std::sync::Arc;
use std::time::Duration;

use super::addresses;
use super::config::StorageConfig;
use super::error::{ErrorKind, Fault};

/// Redirects that are followed. Archives use one (a mirror, a signed address); more look like a login.
const REDIRECTS: usize = 4;
/// Time to open a connection. Two handshakes around the world take one second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the client.
///
/// # Errors
/// [`ErrorKind::Config`] where none can be made.
pub(super) fn build(config: &StorageConfig) -> Result<reqwest::Client, Fault> {
    // Fails only where a provider is installed already, and then there is one.
    drop(rustls::crypto::ring::default_provider().install_default());
    let with = |certificates: bool| {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("gribfs/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(config.max_requests)
            // S3 and Azure speak HTTP/1.1 only. Where HTTP/2 is offered, sixty-four streams share one connection: its
            // congestion window, its flow control, its lost packets; as many connections do not, and they stay open.
            // Even without losses 64 messages take 0.8 to 0.9 of the time (tests/bench/http_versions.rs).
            .http1_only()
            .referer(false)
            .dns_resolver(Arc::new(addresses::Resolver))
            .redirect(reqwest::redirect::Policy::custom(|attempt| {
                let left_tls = attempt.previous().last().is_some_and(|from| {
                    from.scheme() == "https" && attempt.url().scheme() != "https"
                });
                if left_tls {
                    attempt.error("redirected from https to http")
                } else if !addresses::may_follow(attempt.url().host().as_ref()) {
                    attempt.error("redirected to a link-local or metadata address")
                } else if attempt.previous().len() > REDIRECTS {
                    attempt.error("redirected too often")
                } else {
                    attempt.follow()
                }
            }));
        if certificates {
            builder.build()
        } else {
            builder.tls_certs_only([]).build()
        }
    };
    with(true)
        .or_else(|error| {
            // Plain HTTP works without certificates; https will say which one it does not know.
            tracing::warn!(%error, "no certificates of this system can be read");
            with(false)
        })
        .map_err(|error| Fault::new(ErrorKind::Config, format!("no HTTP client: {error}")))
}
