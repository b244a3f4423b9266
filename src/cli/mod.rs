//! The command line: one file per command, arguments to settings, and what people read.
//!
//! Exit codes: 0 done, 1 failed or incomplete, 2 wrong usage. They are decided here and in `main.rs` alone.

#![expect(clippy::print_stderr, reason = "the one module that talks to people")]

/// Prints a line on standard output. Whoever reads it may stop (`gribfs info T | head`): that is no failure.
macro_rules! say {
    ($($text:tt)*) => {
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*))))
    };
}

mod allocator;
mod copy;
mod copy_raw;
mod copy_source;
mod demo;
mod demo_archive;
mod export;
mod follow;
mod index;
mod info;
mod mount;
mod output;
mod progress;
mod quicklook;
mod refs;
mod selection;
mod umount;
mod verify;
mod view;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::StorageSettings;
use crate::scan::SaveError;

/// Shows weather archives (GRIB2 in clouds, on HTTP servers or on disk) as Zarr.
#[derive(Debug, Parser)]
#[command(
    name = "gribfs",
    version,
    max_term_width = 110,
    disable_help_subcommand = true
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say more (twice: even more); `GRIBFS_LOG` takes a filter
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say less
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    quiet: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build or extend an index table from the index files beside GRIB files
    Index(index::IndexArgs),
    /// Mount a table or a reference set at a directory
    Mount(mount::MountArgs),
    /// Unmount a directory
    Umount(umount::UmountArgs),
    /// Stream a slice of a table into a compressed Zarr, on disk or in a bucket
    Copy(copy::CopyArgs),
    /// Tell what is in a table
    Info(info::InfoArgs),
    /// Draw a field as a map, in a file or in the terminal
    Quicklook(quicklook::QuicklookArgs),
    /// Write references to a slice of a table for programs that read kerchunk's formats
    Export(export::ExportArgs),
    /// Check references against the archive: what is dead, stale, wrong or unreadable
    Verify(verify::VerifyArgs),
    /// Make a small forecast archive, index it, mount it, and show how to read it
    Demo(demo::DemoArgs),
}

/// Flags of storage, common to all commands that read archives.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Storage")]
struct StorageArgs {
    /// Never sign requests (known public buckets need no flag)
    #[arg(long)]
    anonymous: bool,
    /// Profile of the AWS configuration files
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Server that speaks the dialect of s3://, gs:// or az:// in place of the vendor's
    #[arg(long, value_name = "URL")]
    endpoint_url: Option<String>,
    /// Agree to pay for requests
    #[arg(long)]
    requester_pays: bool,
    /// Requests in flight per host
    #[arg(long, value_name = "N", default_value_t = 64)]
    max_requests: usize,
    /// The same objects elsewhere, asked when the first place fails or is slow (repeatable; `s3://bucket=https://host/folder`)
    #[arg(long, value_name = "URL=URL")]
    mirror: Vec<String>,
    /// Seconds for one read, retries included
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    timeout: f64,
}

impl StorageArgs {
    fn settings(&self) -> StorageSettings {
        StorageSettings {
            anonymous: self.anonymous,
            profile: self.profile.clone(),
            endpoint_url: self.endpoint_url.clone(),
            requester_pays: self.requester_pays,
            max_requests: self.max_requests,
            mirrors: self.mirror.clone(),
            timeout_seconds: self.timeout,
        }
    }
}

/// How a command failed: what to print, and the exit code.
#[derive(Debug)]
struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    /// Failed or incomplete.
    fn failed(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            code: 1,
        }
    }

    /// Wrong usage.
    fn usage(message: impl std::fmt::Display) -> Self {
        Self {
            message: message.to_string(),
            code: 2,
        }
    }
}

/// Runs the program on its arguments.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let verbosity = i8::try_from(cli.verbose)
        .unwrap_or(i8::MAX)
        .saturating_sub(i8::try_from(cli.quiet).unwrap_or(i8::MAX));
    let filter = std::env::var("GRIBFS_LOG").or_else(|_| std::env::var("RUST_LOG"));
    crate::telemetry::start(verbosity, filter.ok().as_deref());
    let done = match cli.command {
        Command::Index(args) => index::run(&args),
        Command::Mount(args) => mount::run(&args),
        Command::Umount(args) => umount::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Quicklook(args) => quicklook::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Demo(args) => demo::run(&args),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("gribfs: {}", failure.message);
            }
            ExitCode::from(failure.code)
        }
    }
}

/// Why a table could not be read: storage failed, or what was named is no table.
fn load_failure(error: &SaveError) -> Failure {
    if matches!(error, SaveError::Storage(_)) {
        Failure::failed(error)
    } else {
        Failure::usage(error)
    }
}

/// The runtime of a command.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start threads: {error}")))
}
