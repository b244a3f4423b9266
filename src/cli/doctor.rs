//! `gribfs doctor`: looks at this machine, its credentials and sources, and says what to do.

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::bytes_text;
use super::{Failure, StorageArgs, runtime};
use crate::config;
use crate::fuse::{Finding, Verdict, checkup};
use crate::location::{ByteRange, Location};
use crate::storage::{Short, Storage, StorageConfig, credentials};

/// A clock that is off by more is refused by S3 after fifteen minutes, and stamps of logs mislead long before.
const CLOCK_OFF: i64 = 60;
/// Longest that a source may take to answer, all in all.
const PATIENCE: Duration = Duration::from_secs(20);
/// Variables in which HTTP clients look for proxies.
const PROXIES: [&str; 7] = [
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
];

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs doctor
  gribfs doctor s3://noaa-gfs-bdp-pds/gfs.20261122/00/atmos/gfs.t00z.pgrb2.0p25.f000.idx
  gribfs doctor --json | jq '.[] | select(.verdict == \"bad\")'

Exit code 1 if something is bad.")]
pub(super) struct DoctorArgs {
    /// Files, folders or prefixes to reach
    #[arg(value_name = "SOURCE")]
    sources: Vec<String>,
    /// Print an array of JSON objects
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) fn run(args: &DoctorArgs) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let mut findings = checkup(runtime.handle());
    findings.push(Finding::new(
        "memory",
        Verdict::Good,
        format!(
            "{} by default for messages and fields (--memory)",
            bytes_text(config::memory_default())
        ),
    ));
    findings.push(proxies());
    let settings = StorageConfig {
        anonymous: args.storage.anonymous,
        profile: args.storage.profile.clone(),
        ..StorageConfig::from_env()
    };
    for found in credentials(&settings) {
        let what = format!("{}:// credentials", found.scheme);
        let verdict = if found.found {
            Verdict::Good
        } else {
            Verdict::Note
        };
        findings.push(Finding::new(&what, verdict, found.text));
    }
    match args.storage.settings().storage() {
        Ok(storage) => {
            for source in &args.sources {
                findings.push(runtime.block_on(reach(source, &storage)));
            }
            findings.extend(clocks(&storage));
        }
        Err(wrong) => findings.push(Finding::new(
            "storage flags",
            Verdict::Bad,
            wrong.to_string(),
        )),
    }
    print(args, &findings)?;
    Ok(u8::from(
        findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Bad),
    ))
}

fn print(args: &DoctorArgs, findings: &[Finding]) -> Result<(), Failure> {
    if args.json {
        let document: Vec<_> = findings
            .iter()
            .map(|finding| {
                json!({
                    "what": finding.what,
                    "verdict": word(finding.verdict),
                    "text": finding.text,
                })
            })
            .collect();
        let text = serde_json::to_string_pretty(&document).map_err(Failure::failed)?;
        say!("{text}");
        return Ok(());
    }
    let width = findings
        .iter()
        .map(|finding| finding.what.chars().count())
        .max()
        .unwrap_or(0)
        .min(40);
    for finding in findings {
        say!(
            "{:<4}  {:<width$}  {}",
            word(finding.verdict),
            finding.what,
            finding.text
        );
    }
    Ok(())
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Good => "good",
        Verdict::Note => "note",
        Verdict::Bad => "bad",
    }
}

/// The proxies of the environment, without names and passwords.
fn proxies() -> Finding {
    let set: Vec<String> = PROXIES
        .iter()
        .filter_map(|name| Some((name, std::env::var(name).ok()?)))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", without_user(&value)))
        .collect();
    let text = if set.is_empty() {
        "none in the environment".to_owned()
    } else {
        set.join(" ")
    };
    Finding::new("proxies", Verdict::Good, text)
}

/// `http://me:secret@host:1` as `http://...@host:1`.
fn without_user(url: &str) -> String {
    match url.rsplit_once('@') {
        None => url.to_owned(),
        Some((before, host)) => {
            let scheme = before.split_once("://").map_or("", |(scheme, _)| scheme);
            if scheme.is_empty() {
                format!("...@{host}")
            } else {
                format!("{scheme}://...@{host}")
            }
        }
    }
}

/// Asks for the first byte of a file, or for the list of a folder.
async fn reach(source: &str, storage: &Storage) -> Finding {
    let location = match config::location(source) {
        Ok(location) => location,
        Err(wrong) => return Finding::new(source, Verdict::Bad, wrong.to_string()),
    };
    let started = std::time::Instant::now();
    let answer = tokio::time::timeout(PATIENCE, ask(&location, storage)).await;
    let milliseconds = started.elapsed().as_millis();
    match answer {
        Ok(Ok(found)) => Finding::new(
            source,
            Verdict::Good,
            format!("{found}, answered in {milliseconds} ms"),
        ),
        Ok(Err(error)) => Finding::new(source, Verdict::Bad, error),
        Err(_late) => {
            let text = format!("no answer within {} s", PATIENCE.as_secs());
            Finding::new(source, Verdict::Bad, text)
        }
    }
}

async fn ask(location: &Location, storage: &Storage) -> Result<String, String> {
    let is_folder = location.to_path().is_some_and(|path| path.is_dir());
    if is_folder || location.as_str().ends_with('/') {
        let folder = storage
            .list_folder(location)
            .await
            .map_err(|error| error.to_string())?;
        if folder.folders.is_empty() && folder.files.is_empty() {
            return Err("nothing lies there".to_owned());
        }
        let (folders, files) = (folder.folders.len(), folder.files.len());
        return Ok(format!("{folders} folders and {files} files"));
    }
    let first = ByteRange::new(0, 1);
    let fetched = storage
        .get(location, first, Short::Allow)
        .await
        .map_err(|error| error.to_string())?;
    Ok(match fetched.object_size {
        Some(size) => format!("a file of {}", bytes_text(size)),
        None => "a file".to_owned(),
    })
}

/// This machine's clock against those of the servers that answered.
fn clocks(storage: &Storage) -> Vec<Finding> {
    let ahead = |seconds: i64| match seconds {
        1.. => format!("{seconds} s behind"),
        0 => "right".to_owned(),
        _ => format!("{} s ahead", seconds.unsigned_abs()),
    };
    storage
        .origins()
        .into_iter()
        .filter_map(|origin| {
            let seconds = origin.clock_seconds?;
            let text = format!(
                "this machine's is {} by that of {}",
                ahead(seconds),
                origin.origin
            );
            Some(if seconds.abs() > CLOCK_OFF {
                let text = format!(
                    "{text}: signed requests are refused beyond 15 minutes; run an NTP client"
                );
                Finding::new("clock", Verdict::Bad, text)
            } else {
                Finding::new("clock", Verdict::Good, text)
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_shown_without_passwords() {
        for (value, shown) in [
            ("http://proxy:3128", "http://proxy:3128"),
            ("http://me:hu@sh@proxy:3128", "http://...@proxy:3128"),
            ("me:hush@proxy", "...@proxy"),
            (".example.com,localhost", ".example.com,localhost"),
        ] {
            assert_eq!(without_user(value), shown);
        }
    }
}
