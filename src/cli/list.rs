//! `gribfs list`: the mounts of this program on this machine.

use std::path::Path;

use clap::Args;
use serde_json::{Value, json};

use super::Failure;
use super::output::count_text;
use crate::fuse::{ListedMount, MountState, list};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs list
  gribfs list --json | jq -r '.[] | select(.state == \"dead\").directory'

STATE is `serving`; `dead` (the program that served it ended: `gribfs umount`, or mount there again); `silent` (no answer within 3 s);
`closed` (another user's); `covered` (something else is mounted on top).")]
pub(super) struct ListArgs {
    /// Print an array of JSON objects
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ListArgs) -> Result<u8, Failure> {
    let mounts = list()
        .map_err(|error| Failure::failed(format!("cannot read /proc/self/mountinfo: {error}")))?;
    let told: Vec<_> = mounts.iter().map(|mount| (mount, status(mount))).collect();
    if args.json {
        let document: Vec<_> = told
            .iter()
            .map(|(mount, status)| {
                json!({
                    "directory": mount.mountpoint.display().to_string(),
                    "source": mount.source,
                    "state": mount.state.word(),
                    "pid": status.get("pid"),
                    "uptime_seconds": status.get("uptime_seconds"),
                    "bytes": status.pointer("/storage/bytes"),
                    "failures": status.get("failures"),
                })
            })
            .collect();
        let text = serde_json::to_string_pretty(&document).map_err(Failure::failed)?;
        say!("{text}");
        return Ok(0);
    }
    if told.is_empty() {
        say!("nothing is mounted");
        return Ok(0);
    }
    let widest = |width: usize, text: &str| width.max(text.chars().count());
    let directory = |mount: &ListedMount| mount.mountpoint.display().to_string();
    let directories = told.iter().fold("DIRECTORY".len(), |width, (mount, _)| {
        widest(width, &directory(mount))
    });
    say!(
        "{:<directories$}  {:<8}{:>8}  SOURCE",
        "DIRECTORY",
        "STATE",
        "PID"
    );
    for (mount, status) in &told {
        let pid = status.get("pid").map(Value::to_string).unwrap_or_default();
        let failures = status.get("failures").and_then(Value::as_u64).unwrap_or(0);
        let failures = match failures {
            0 => String::new(),
            count => format!(" ({})", count_text(count, "failed read")),
        };
        say!(
            "{:<directories$}  {:<8}{pid:>8}  {}{failures}",
            directory(mount),
            mount.state.word(),
            mount.source
        );
    }
    Ok(0)
}

/// What a mount says of itself, if it says anything.
fn status(mount: &ListedMount) -> Value {
    if mount.state != MountState::Serving {
        return Value::Null;
    }
    read_status(&mount.mountpoint).unwrap_or(Value::Null)
}

/// The status file of a mount.
pub(super) fn read_status(mounted: &Path) -> Option<Value> {
    let text = std::fs::read(mounted.join(".gribfs/status.json")).ok()?;
    serde_json::from_slice(&text).ok()
}
