//! `gribfs mount`: a table or a reference set at a directory, in the background once it answers.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Args;

use super::selection::SelectionArgs;
use super::view::ViewArgs;
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::Collection;
use crate::fuse::daemon::{self, DaemonError};
use crate::fuse::{Ended, MountConfig, MountError, Session, Signals, mount, options};
use crate::location::Location;
use crate::scan::load;
use crate::storage::Storage;
use crate::store::{DiskCache, DiskConfig, FieldReader, OnStale, ReaderConfig};
use crate::table::row::Table;
use crate::telemetry::endpoint;
use crate::vfs::tree::Tree;
use crate::vfs::{MountTree, RefTree, TreeConfig};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs mount gfs.parquet /mnt/gfs
  gribfs mount gfs.parquet /mnt/gfs --variable t2m,gh --level 500 --step 0h..48h
  python3 -c 'import xarray; print(xarray.open_zarr(\"/mnt/gfs/best_available.zarr\"))'
  gribfs mount refs.json /mnt/refs
  gribfs umount /mnt/gfs")]
pub(super) struct MountArgs {
    /// Table (a file X.parquet, a directory of tables) or reference set (kerchunk, GIK: a file, a directory, a pattern), or its URL
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Empty directory to mount at
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Stay in the foreground
    #[arg(short, long)]
    foreground: bool,
    /// Mount options, comma separated (`allow_other`, uid=N, gid=N, ...)
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Memory for messages and fields, in flight and kept [default: a quarter of the machine's, at most 4G]
    #[arg(long, value_name = "BYTES", value_parser = config::byte_count)]
    memory: Option<u64>,
    /// Fields fetched at most ahead of a reader that walks along an axis; 0 for none
    #[arg(long, value_name = "N", default_value_t = ReaderConfig::default().look_ahead)]
    look_ahead: usize,
    /// Directory below which a reference set may name files, besides its own (repeatable)
    #[arg(long, value_name = "DIR")]
    allow_root: Vec<PathBuf>,
    /// Serve the counters of .gribfs/metrics over HTTP at this address or port of 127.0.0.1
    #[arg(long, value_name = "ADDRESS", value_parser = endpoint::address)]
    metrics_addr: Option<SocketAddr>,
    /// Keep messages on disk in this directory; several mounts may share it
    #[arg(long, value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    /// Most bytes kept there
    #[arg(long, value_name = "BYTES", default_value = CACHE_SIZE, value_parser = config::byte_count, requires = "cache_dir")]
    cache_size: u64,
    /// Where a message is not where its index says: search for it in its file, or fail
    #[arg(long, value_name = "POLICY", value_enum, default_value_t)]
    on_stale: StaleArg,
    /// Started by `gribfs mount` itself
    #[arg(long, hide = true)]
    in_background: bool,
    #[command(flatten)]
    selection: SelectionArgs,
    #[command(flatten)]
    view: ViewArgs,
    #[command(flatten)]
    storage: StorageArgs,
}

/// Default of `--cache-size`: some days of one model, and little beside the disks of today.
const CACHE_SIZE: &str = "20G";

/// `--on-stale`.
#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum StaleArg {
    /// Search for it by the headers of the file
    #[default]
    Heal,
    /// The read fails
    Fail,
}

pub(super) fn run(args: &MountArgs) -> Result<u8, Failure> {
    if args.foreground {
        return serve(args, None);
    }
    if args.in_background {
        let child = daemon::Child::begin()
            .map_err(|error| Failure::failed(format!("cannot go into the background: {error}")))?;
        return serve(args, Some(child));
    }
    check_mountpoint(&args.directory)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.push("--in-background".into());
    let started = daemon::spawn(&program, arguments, daemon::START_DEADLINE);
    started.map_err(|error| daemon_failure(&error))?;
    let shown = args
        .directory
        .canonicalize()
        .unwrap_or_else(|_| args.directory.clone());
    say!("{} is mounted at {}", args.source, shown.display());
    say!(
        "  read     xarray.open_zarr(\"{}/best_available.zarr\")",
        shown.display()
    );
    say!("  unmount  gribfs umount {}", shown.display());
    Ok(0)
}

/// What can be said of the directory before anything is started.
fn check_mountpoint(directory: &Path) -> Result<(), Failure> {
    match std::fs::metadata(directory) {
        Ok(found) if !found.is_dir() => Err(Failure::usage(format!(
            "mount point {} is not a directory",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

/// Mounts and serves; tells `child`'s parent how the start went.
fn serve(args: &MountArgs, child: Option<daemon::Child>) -> Result<u8, Failure> {
    super::allocator::give_back();
    let runtime = runtime()?;
    let started = start(args, &runtime);
    let (session, signals) = match (started, child) {
        (Ok(running), Some(child)) => {
            child.ready(None).map_err(|error| {
                Failure::failed(format!("nobody waits for this mount: {error}"))
            })?;
            running
        }
        (Ok(running), None) => {
            say!(
                "{} is mounted at {}; Ctrl-C unmounts",
                args.source,
                args.directory.display()
            );
            running
        }
        (Err(failure), Some(child)) => {
            drop(child.failed(&failure.message));
            return Err(Failure {
                message: String::new(),
                ..failure
            });
        }
        (Err(failure), None) => return Err(failure),
    };
    if let Some(socket) = std::env::var_os("NOTIFY_SOCKET") {
        drop(daemon::notify_ready(&socket));
    }
    let ended = runtime.block_on(session.run_until_unmounted(signals));
    // Reads that are still under way belong to readers that are gone.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match ended {
        Ended::Unmounted => Ok(0),
        Ended::Broken { reason } => Err(Failure::failed(format!("the mount broke: {reason}"))),
        Ended::Abandoned => Err(Failure::failed(
            "left while busy: a dead mount stays until the next mount there",
        )),
    }
}

fn start(
    args: &MountArgs,
    runtime: &tokio::runtime::Runtime,
) -> Result<(Session, Signals), Failure> {
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let signals = Signals::listen(runtime.handle())
        .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let tree = tree_of(args, &source, storage, runtime)?;
    let mut mount_config = MountConfig {
        source_name: source.as_str().to_owned(),
        ..MountConfig::default()
    };
    mount_config.read_deadline = Duration::try_from_secs_f64(args.storage.timeout + 5.0)
        .unwrap_or(mount_config.read_deadline);
    for option in args.options.iter().flat_map(|text| options::split(text)) {
        if !mount_config.apply(&option).map_err(Failure::usage)? {
            return Err(Failure::usage(format!(
                "mount option `{option}` is not known"
            )));
        }
    }
    let session = mount(
        tree,
        runtime.handle().clone(),
        &args.directory,
        &mount_config,
    )
    .map_err(|error| mount_failure(&error))?;
    Ok((session, signals))
}

/// The tree of whatever the source is: told by its content.
fn tree_of(
    args: &MountArgs,
    source: &Location,
    storage: Storage,
    runtime: &tokio::runtime::Runtime,
) -> Result<Arc<dyn Tree>, Failure> {
    let table = match super::refs::open(&args.source, source, &storage, runtime, &args.allow_root)?
    {
        super::refs::Opened::Set(reader) => {
            if args.metrics_addr.is_some() || args.cache_dir.is_some() {
                return Err(Failure::usage(
                    "--metrics-addr and --cache-dir are for tables, not for reference sets",
                ));
            }
            return Ok(Arc::new(RefTree::new(
                reader,
                source.to_string(),
                now_seconds(),
            )));
        }
        super::refs::Opened::Table(table, _) => *table,
        super::refs::Opened::Other => runtime
            .block_on(load(source, &storage))
            .map_err(|error| load_failure(&error))?,
    };
    let tree = Arc::new(tree(args, source, storage, runtime, table)?);
    if let Some(address) = args.metrics_addr {
        let shown = Arc::clone(&tree);
        endpoint::serve(address, runtime.handle(), move || shown.metrics())
            .map_err(|error| Failure::failed(format!("cannot listen at {address}: {error}")))?;
    }
    Ok(tree)
}

fn now_seconds() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or_default()
}

fn tree(
    args: &MountArgs,
    source: &Location,
    storage: Storage,
    runtime: &tokio::runtime::Runtime,
    table: Table,
) -> Result<MountTree, Failure> {
    let table = Arc::new(table);
    let collection = Collection::build(Arc::clone(&table), args.view.as_of);
    if let (true, Some(as_of)) = (collection.runs.is_empty(), args.view.as_of) {
        return Err(Failure::usage(format!(
            "--as-of {}: no run is as old as that",
            as_of.path_name()
        )));
    }
    if collection.groups.is_empty() {
        return Err(Failure::failed(format!(
            "{source}: no message of this table can be shown; `gribfs info` says why"
        )));
    }
    let collection = Arc::new(args.selection.select(collection)?);
    // The background process leaves this directory.
    let here = config::working_directory().unwrap_or_default();
    let cache_dir = args.cache_dir.as_ref().map(|path| here.join(path));
    let disk = cache_dir.as_deref().map(|directory| {
        let config = DiskConfig {
            directory: directory.to_owned(),
            limit_bytes: args.cache_size,
        };
        let opened = DiskCache::open(&config);
        opened.map_err(|error| {
            Failure::usage(format!("--cache-dir {}: {error}", directory.display()))
        })
    });
    let disk = disk.transpose()?;
    let reader = FieldReader::new(
        table,
        storage,
        runtime.handle().clone(),
        &ReaderConfig {
            memory_bytes: args.memory.unwrap_or_else(config::memory_default),
            look_ahead: args.look_ahead,
            bounds: collection.selection.bounds,
            disk,
            on_stale: match args.on_stale {
                StaleArg::Heal => OnStale::Heal,
                StaleArg::Fail => OnStale::Fail,
            },
            corrections: cache_dir.or_else(config::state_directory),
            ..ReaderConfig::default()
        },
    );
    let tree_config = TreeConfig {
        source: source.to_string(),
        best: args.view.best(),
        layout: args.view.layout(),
        format: args.view.format(),
        modified_seconds: now_seconds(),
    };
    Ok(MountTree::new(collection, Arc::new(reader), tree_config))
}

/// What the background process said, with the exit code that it would have had here.
fn daemon_failure(error: &DaemonError) -> Failure {
    if let DaemonError::Failed { code: Some(2), .. } = error {
        Failure::usage(error)
    } else {
        Failure::failed(error)
    }
}

fn mount_failure(error: &MountError) -> Failure {
    let usage = matches!(
        error,
        MountError::Absent { .. } | MountError::NotADirectory { .. } | MountError::NotEmpty { .. }
    );
    if usage {
        Failure::usage(error)
    } else {
        Failure::failed(error)
    }
}
