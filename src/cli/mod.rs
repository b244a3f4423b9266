//! The command line: one file per command, arguments to settings, and what people read.
//!
//! Exit codes: 0 done, 1 failed or incomplete, 2 wrong usage. They are decided here and in `main.rs` alone.

#![expect(clippy::print_stderr, reason = "the one module that talks to people")]
#![cfg_attr(
    not(feature = "fuse"),
    allow(
        dead_code,
        unused_variables,
        clippy::allow_attributes,
        reason = "some of what commands share is for mounts alone"
    )
)]

/// Prints a line on standard output. Whoever reads it may stop (`gribfs info T | head`): that is no failure.
macro_rules! say {
    ($($text:tt)*) => {
        drop(std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*))))
    };
}

mod allocator;
mod copy;
mod copy_raw;
mod copy_set;
mod copy_source;
#[cfg(feature = "fuse")]
mod demo;
#[cfg(feature = "fuse")]
mod demo_archive;
#[cfg(feature = "fuse")]
mod doctor;
mod export;
#[cfg(feature = "fuse")]
mod follow;
mod generate;
mod index;
mod info;
#[cfg(feature = "fuse")]
mod list;
#[cfg(feature = "fuse")]
mod log_signals;
#[cfg(feature = "fuse")]
mod mount;
#[cfg(feature = "fuse")]
mod mount_options;
mod output;
mod progress;
mod quicklook;
mod refs;
mod selection;
#[cfg(feature = "fuse")]
mod umount;
mod verify;
mod view;

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(feature = "fuse")]
use clap::CommandFactory as _;
use clap::{Args, Parser, Subcommand};

#[cfg(feature = "fuse")]
use self::mount_options::{Called, Longs};
use crate::config::StorageSettings;
use crate::scan::SaveError;
use crate::telemetry::{self, Log};

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
    #[cfg(feature = "fuse")]
    Mount(mount::MountArgs),
    /// Unmount a directory
    #[cfg(feature = "fuse")]
    Umount(umount::UmountArgs),
    /// Show what is mounted, and whether it is served
    #[cfg(feature = "fuse")]
    List(list::ListArgs),
    /// Look at this machine, its credentials and sources: what works, and what to do about the rest
    #[cfg(feature = "fuse")]
    Doctor(doctor::DoctorArgs),
    /// Stream a slice of a table into a compressed Zarr, on disk or in a bucket
    Copy(copy::CopyArgs),
    /// Tell what is in a table or a reference set
    Info(info::InfoArgs),
    /// Draw a field as a map, in a file or in the terminal
    Quicklook(quicklook::QuicklookArgs),
    /// Write references to a slice of a table for programs that read kerchunk's formats
    Export(export::ExportArgs),
    /// Check references against the archive: what is dead, stale, wrong or unreadable
    Verify(verify::VerifyArgs),
    /// Make a small forecast archive, index it, mount it, and show how to read it
    #[cfg(feature = "fuse")]
    Demo(demo::DemoArgs),
    /// Write manual pages and shell completions
    #[command(hide = true)]
    Generate(generate::GenerateArgs),
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
            max_bytes: None,
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

/// How this process was started.
struct Invocation {
    /// The arguments, the program's name first, as a shell would have given them.
    arguments: Vec<OsString>,
    /// The log, started.
    log: Log,
}

/// Whether the log goes elsewhere than to a terminal.
#[cfg(feature = "fuse")]
fn logs_elsewhere(command: &Command) -> bool {
    matches!(command, Command::Mount(args) if args.logs_elsewhere())
}

#[cfg(not(feature = "fuse"))]
fn logs_elsewhere(_command: &Command) -> bool {
    false
}

/// The command line, read; where mount(8) called, what it means. None if there is nothing to do.
#[cfg(feature = "fuse")]
fn command_line() -> Result<Option<(Cli, Vec<OsString>)>, String> {
    let mut arguments: Vec<OsString> = std::env::args_os().collect();
    let longs = Longs::of(Cli::command());
    match mount_options::called(&arguments, &longs)? {
        Called::Plainly => {}
        Called::AsHelper(meant) => arguments = meant,
        Called::ForShow => return Ok(None),
    }
    let cli = Cli::parse_from(&arguments);
    let words = if let Command::Mount(args) = &cli.command {
        args.words()
    } else {
        Vec::new()
    };
    if words.is_empty() {
        return Ok(Some((cli, arguments)));
    }
    let meant = mount_options::with_flags(&arguments, &words, &longs)?;
    Ok(Some((Cli::parse_from(meant), arguments)))
}

#[cfg(not(feature = "fuse"))]
#[expect(clippy::unnecessary_wraps, reason = "as with mounts")]
fn command_line() -> Result<Option<(Cli, Vec<OsString>)>, String> {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    Ok(Some((Cli::parse_from(&arguments), arguments)))
}

/// Runs the program on its arguments.
#[must_use]
pub fn main() -> ExitCode {
    let (cli, arguments) = match command_line() {
        Ok(Some(read)) => read,
        Ok(None) => return ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("gribfs: {wrong}");
            return ExitCode::from(2);
        }
    };
    let verbosity = i8::try_from(cli.verbose)
        .unwrap_or(i8::MAX)
        .saturating_sub(i8::try_from(cli.quiet).unwrap_or(i8::MAX));
    let filter = std::env::var("GRIBFS_LOG").or_else(|_| std::env::var("RUST_LOG"));
    let log = telemetry::start(
        verbosity,
        filter.ok().as_deref(),
        logs_elsewhere(&cli.command),
    );
    let started = Invocation { arguments, log };
    let done = match cli.command {
        Command::Index(args) => index::run(&args),
        #[cfg(feature = "fuse")]
        Command::Mount(args) => mount::run(&args, &started),
        #[cfg(feature = "fuse")]
        Command::Umount(args) => umount::run(&args),
        #[cfg(feature = "fuse")]
        Command::List(args) => list::run(&args),
        #[cfg(feature = "fuse")]
        Command::Doctor(args) => doctor::run(&args),
        Command::Copy(args) => copy::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Quicklook(args) => quicklook::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Verify(args) => verify::run(&args),
        #[cfg(feature = "fuse")]
        Command::Demo(args) => demo::run(&args),
        Command::Generate(args) => generate::run(&args),
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
