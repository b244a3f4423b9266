//! Where the references of a set may point. A set is untrusted input: remote storage and files below its own directory (or below
//! a directory that the user allows), nothing else.
//!
//! `../../etc/passwd` in a set at `/data/refs/x.json` is refused, and so is a symbolic link below `/data/refs` that leads there.

use std::path::{Path, PathBuf};

use url::Host;

use crate::location::Location;
use crate::storage::is_link_local;

/// Why a reference is not followed. Never shows credentials.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    /// A file elsewhere on this machine.
    #[error(
        "{path}: a set may name files below its own directory only; --allow-root DIR allows another one"
    )]
    Outside {
        /// The path as the set has it.
        path: String,
    },
    /// A file that is not there, so that where it lies cannot be told.
    #[error("{path}: {reason}")]
    NoFile {
        /// The path.
        path: String,
        /// What the file system says.
        reason: String,
    },
    /// A host that is this machine's own affair.
    #[error("{url}: link-local and cloud-metadata addresses are not read")]
    Host {
        /// The URL, shortened.
        url: String,
    },
    /// A scheme that is not read.
    #[error("scheme `{scheme}` is not read (s3, gs, az, abfs, http, https, file)")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// A user name or password in a URL.
    #[error("a URL with a user name or password in it is not read ({host})")]
    UserInfo {
        /// The host.
        host: String,
    },
    /// No URL at all.
    #[error("{url}: not a URL: {reason}")]
    Malformed {
        /// The URL, shortened.
        url: String,
        /// What is wrong.
        reason: String,
    },
}

/// The rule of one set.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Directory of the set, if it lies on this machine; relative paths are against it.
    own: Option<PathBuf>,
    /// Directories below which files may be read, canonical.
    roots: Vec<PathBuf>,
}

impl Policy {
    /// The rule of a set that lies in `own` (`None` for a remote one), with further directories.
    ///
    /// # Errors
    /// If a directory is not there.
    pub fn new(own: Option<&Path>, allowed: &[PathBuf]) -> std::io::Result<Self> {
        let own = own.map(Path::canonicalize).transpose()?;
        let mut roots: Vec<PathBuf> = own.iter().cloned().collect();
        for root in allowed {
            roots.push(root.canonicalize()?);
        }
        Ok(Self { own, roots })
    }

    /// Where a URL of the set leads, if it may be followed. Looks at the file system for local ones.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn resolve(&self, url: &str) -> Result<Location, Refusal> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return self.file(url);
        };
        match scheme {
            "file" | "local" => {
                let path = rest
                    .strip_prefix("localhost/")
                    .map_or(rest.to_owned(), |rest| format!("/{rest}"));
                let decoded = percent_encoding::percent_decode_str(&path).decode_utf8();
                let decoded = decoded.map_err(|_not| malformed(url, "the path is no text"))?;
                self.file(&decoded)
            }
            "http" | "https" => web(url),
            "s3" | "s3a" | "gs" | "gcs" | "az" | "abfs" | "abfss" => bucket(url, scheme, rest),
            _ => Err(Refusal::Scheme {
                scheme: scheme.chars().take(40).collect(),
            }),
        }
    }

    fn file(&self, text: &str) -> Result<Location, Refusal> {
        let shown: String = text.chars().take(300).collect();
        let outside = || Refusal::Outside {
            path: shown.clone(),
        };
        if text.contains('\0') || text.is_empty() {
            return Err(malformed(text, "no path"));
        }
        let path = match (&self.own, Path::new(text).is_absolute()) {
            (_, true) => PathBuf::from(text),
            (Some(own), false) => own.join(text),
            (None, false) => return Err(outside()),
        };
        if path
            .components()
            .any(|part| part == std::path::Component::ParentDir)
        {
            return Err(outside());
        }
        if !self.roots.iter().any(|root| path.starts_with(root)) && !self.leads_inside(&path) {
            return Err(outside());
        }
        let real = path.canonicalize().map_err(|error| Refusal::NoFile {
            path: shown.clone(),
            reason: error.to_string(),
        })?;
        if !self.roots.iter().any(|root| real.starts_with(root)) {
            return Err(outside());
        }
        Ok(Location::from_path(&real))
    }

    /// Whether a path that is written otherwise (through a link) lies below an allowed directory. Tells nothing of others.
    fn leads_inside(&self, path: &Path) -> bool {
        path.canonicalize()
            .is_ok_and(|real| self.roots.iter().any(|root| real.starts_with(root)))
    }
}

/// A URL for people: without query, without user name.
#[must_use]
pub fn shown(url: &str) -> String {
    let plain = url.split(['?', '#']).next().unwrap_or_default();
    let plain = match plain.split_once("://") {
        Some((scheme, rest)) if matches!(scheme, "http" | "https" | "s3" | "gs") => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit('@').next().unwrap_or_default();
            format!("{scheme}://{host}/{path}")
        }
        _ => plain.to_owned(),
    };
    plain.chars().take(300).collect()
}

fn malformed(url: &str, reason: &str) -> Refusal {
    Refusal::Malformed {
        url: shown(url),
        reason: reason.to_owned(),
    }
}

fn web(url: &str) -> Result<Location, Refusal> {
    let parsed = url::Url::parse(url).map_err(|error| malformed(url, &error.to_string()))?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err(Refusal::UserInfo {
            host: parsed.host_str().unwrap_or_default().to_owned(),
        });
    }
    let refused = match parsed.host() {
        None => return Err(malformed(url, "no host")),
        Some(Host::Ipv4(address)) => is_link_local(address.into()),
        Some(Host::Ipv6(address)) => is_link_local(address.into()),
        Some(Host::Domain(name)) => is_metadata_name(name),
    };
    if refused {
        return Err(Refusal::Host { url: shown(url) });
    }
    // As the parser writes it, so that what was looked at is what is asked for.
    location(parsed.as_str(), url)
}

fn bucket(url: &str, scheme: &str, rest: &str) -> Result<Location, Refusal> {
    let (host, key) = rest.split_once('/').unwrap_or((rest, ""));
    if host.contains('@') && !scheme.starts_with("abfs") {
        return Err(Refusal::UserInfo {
            host: host.rsplit('@').next().unwrap_or_default().to_owned(),
        });
    }
    if let Some((container, account)) = host.split_once('@') {
        // abfs://container@account.dfs.core.windows.net
        if container.contains(':') || !account.ends_with(".core.windows.net") {
            return Err(Refusal::UserInfo {
                host: account.to_owned(),
            });
        }
    }
    let sound = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    if host.is_empty() || !host.chars().all(sound) {
        return Err(malformed(url, "no bucket of that name can exist"));
    }
    if key.is_empty() || key.split('/').any(|part| part == ".." || part == ".") {
        return Err(malformed(url, "no key of that name can exist"));
    }
    let scheme = match scheme {
        "s3a" => "s3",
        "gcs" => "gs",
        other => other,
    };
    location(&format!("{scheme}://{rest}"), url)
}

fn location(text: &str, url: &str) -> Result<Location, Refusal> {
    Location::parse(text, Path::new("/")).map_err(|_wrong| malformed(url, "it cannot be read"))
}

/// Names under which clouds serve metadata.
fn is_metadata_name(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    matches!(
        name.as_str(),
        "metadata" | "metadata.google.internal" | "instance-data" | "instance-data.ec2.internal"
    ) || name.ends_with(".metadata.google.internal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remote_storage_is_followed_and_nothing_odd() {
        let policy = Policy::default();
        for url in [
            "s3://b/k",
            "gs://b/k",
            "gcs://b/k",
            "https://host/a?sig=1",
            "az://c/k",
            "abfs://c@a.dfs.core.windows.net/k",
            "http://127.0.0.1:8000/x",
        ] {
            assert!(policy.resolve(url).is_ok(), "{url}");
        }
        for url in [
            "http://169.254.169.254/latest/meta-data",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://[fe80::1]/x",
            "http://[::ffff:169.254.169.254]/x",
            "http://metadata.google.internal/x",
            "http://METADATA.google.internal./x",
            "http://[fd00:ec2::254]/x",
            "http://100.100.100.200/x",
        ] {
            assert!(
                matches!(policy.resolve(url), Err(Refusal::Host { .. })),
                "{url}"
            );
        }
        for url in ["ftp://h/x", "gopher://h/x", "data://x", "memory://x"] {
            assert!(
                matches!(policy.resolve(url), Err(Refusal::Scheme { .. })),
                "{url}"
            );
        }
        for url in [
            "https://me:hush@host/x",
            "s3://me:hush@b/k",
            "abfs://c@evil.example/k",
        ] {
            let refusal = policy.resolve(url).unwrap_err();
            assert!(
                matches!(refusal, Refusal::UserInfo { .. })
                    && !refusal.to_string().contains("hush"),
                "{url}"
            );
        }
        for url in [
            "s3:///k",
            "s3://b",
            "s3://b/../k",
            "http://",
            "/etc/passwd",
            "../x",
            "x.grib2",
            "file:///etc/passwd",
            "",
        ] {
            assert!(policy.resolve(url).is_err(), "{url}");
        }
    }

    #[test]
    fn files_are_read_below_the_sets_own_directory_and_below_allowed_ones() {
        let folder = tempfile::tempdir().unwrap();
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(&other).unwrap();
        std::fs::write(own.join("a b"), b"x").unwrap();
        std::fs::write(other.join("b"), b"x").unwrap();
        std::os::unix::fs::symlink(other.join("b"), own.join("link")).unwrap();
        std::os::unix::fs::symlink(&other, own.join("folder")).unwrap();
        let policy = Policy::new(Some(&own), &[]).unwrap();
        assert!(policy.resolve("a b").is_ok());
        assert!(
            policy
                .resolve(&format!("file://{}/a%20b", own.display()))
                .is_ok()
        );
        let outside = other.join("b").display().to_string();
        for url in [
            "link",
            "folder/b",
            "../other/b",
            "a/../../other/b",
            &outside,
            &format!("file://{outside}"),
            "file://%2e%2e/other/b",
        ] {
            let refusal = policy.resolve(url).unwrap_err();
            assert!(
                matches!(refusal, Refusal::Outside { .. }),
                "{url}: {refusal}"
            );
        }
        assert!(matches!(
            policy.resolve("nothing"),
            Err(Refusal::NoFile { .. })
        ));
        let policy = Policy::new(Some(&own), &[other]).unwrap();
        assert!(policy.resolve("link").is_ok() && policy.resolve(&outside).is_ok());
        assert!(policy.resolve("../other/b").is_err(), "dots stay refused");
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        assert_eq!(
            shown("https://me:hush@h/a/b?X-Amz-Signature=hush"),
            "https://h/a/b"
        );
    }
}
