//! `gribfs mount`: a table or a reference set at a directory, in the background once it answers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::follow::keep_up;
use super::list::read_status;
use super::mount_options::behind_subcommand;
use super::output::count_text;
use super::selection::SelectionArgs;
use super::view::ViewArgs;
use super::{Failure, Invocation, StorageArgs, load_failure, log_signals, runtime};
use crate::config::{self, StorageSettings};
use crate::dataset::archive::{RowSource, rows_of};
use crate::dataset::{Archive, Collection};
use crate::fuse::daemon::{self, DaemonError};
use crate::fuse::{Ended, MountConfig, MountError, Session, Signals, is_passed, mount, options};
use crate::location::Location;
use crate::scan::{Found, Library, SaveError, TableWatch, now};
use crate::storage::Storage;
use crate::store::{DiskCache, DiskConfig, FieldReader, OnStale, ReaderConfig, RefConfig};
use crate::telemetry::{self, Log, endpoint};
use crate::vfs::tree::Tree;
use crate::vfs::{Follow, MountTree, RefTree, TreeConfig};

/// Most bytes that wait to be written to disk.
const WAITING_BYTES: u64 = 32 << 20;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs mount gfs.parquet /mnt/gfs
  gribfs mount gfs.parquet /mnt/gfs --variable t2m,gh --level 500 --step 0h..48h
  gribfs mount tables/ /mnt/gfs --follow
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
    // Twice is as good as once: Apptainer adds `-f` to whatever it is told to run.
    #[arg(short, long, overrides_with = "foreground")]
    foreground: bool,
    /// Mount options, comma separated: `allow_other`, uid=N, gid=N, umask=N, ..., and the flags below without their dashes
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Vec<String>,
    /// Memory for messages and fields, in flight and kept [default: a quarter of the machine's, at most 4G]
    #[arg(long, value_name = "BYTES", value_parser = config::byte_count)]
    memory: Option<u64>,
    /// Most bytes to read from the archive in all; then reads fail with EDQUOT (a walk through everything is stopped)
    #[arg(long, value_name = "BYTES", value_parser = config::byte_count)]
    max_bytes: Option<u64>,
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
    /// Read past the kernel's page cache: for programs that read each chunk once, with large buffers; slow with small ones
    #[arg(long)]
    direct_io: bool,
    /// Log to the end of this file (SIGUSR1 opens it anew). Default: in the background the system's log, else standard error
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Started by `gribfs mount` itself
    #[arg(long, hide = true)]
    in_background: bool,
    /// Follow the tables: runs appear as they complete, and what is shown already stays as it is
    #[arg(long, conflicts_with = "as_of")]
    follow: bool,
    /// With --follow: show runs before they are complete; reading what has not arrived is an error
    #[arg(long, requires = "follow")]
    partial: bool,
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

impl MountArgs {
    /// The words of all `-o`.
    pub(super) fn words(&self) -> Vec<String> {
        self.options
            .iter()
            .flat_map(|text| options::split(text))
            .collect()
    }

    /// Whether the log goes elsewhere than to a terminal.
    pub(super) fn logs_elsewhere(&self) -> bool {
        self.in_background || self.log_file.is_some()
    }
}

pub(super) fn run(args: &MountArgs, invocation: &Invocation) -> Result<u8, Failure> {
    if args.foreground {
        return serve(args, &invocation.log, None);
    }
    if args.in_background {
        let child = daemon::Child::begin()
            .map_err(|error| Failure::failed(format!("cannot go into the background: {error}")))?;
        return serve(args, &invocation.log, Some(child));
    }
    check_mountpoint(&args.directory)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    let arguments = behind_subcommand(&invocation.arguments, vec!["--in-background".into()]);
    let started = daemon::spawn(
        &program,
        arguments.into_iter().skip(1),
        daemon::START_DEADLINE,
    );
    started.map_err(|error| daemon_failure(&error))?;
    tell(args);
    Ok(0)
}

/// Says where the mount is, what it shows and how it ends.
fn tell(args: &MountArgs) {
    if is_passed(&args.directory) {
        let at = args.directory.display();
        say!("{} is mounted at {at}", args.source);
        say!("  unmount  where it was mounted, by whoever passed the descriptor");
        return;
    }
    let shown = args
        .directory
        .canonicalize()
        .unwrap_or_else(|_| args.directory.clone());
    say!("{} is mounted at {}", args.source, shown.display());
    if let Some(summary) = summary(&shown) {
        say!("  shows    {summary}");
    }
    // A reference set shows its own hierarchy at the root.
    let best = shown.join("best_available.zarr");
    let store = if best.is_dir() || args.follow {
        best
    } else {
        shown.clone()
    };
    say!("  read     xarray.open_zarr(\"{}\")", store.display());
    let log = match &args.log_file {
        Some(path) => path.display().to_string(),
        None if Path::new(telemetry::SYSTEM_LOG).exists() => "the system's, as gribfs".to_owned(),
        None => format!(
            "nowhere: there is no {} here, see --log-file",
            telemetry::SYSTEM_LOG
        ),
    };
    say!("  log      {log}");
    say!("  unmount  gribfs umount {}", shown.display());
}

/// What a mount says of itself in its status file: `3 runs (2026-11-22T00 to 2026-11-22T12), 12 arrays`.
fn summary(mounted: &Path) -> Option<String> {
    let status = read_status(mounted)?;
    let arrays = count_text(status.get("arrays")?.as_u64()?, "array");
    let runs: Vec<&str> = status
        .get("runs")
        .and_then(|runs| runs.as_array())
        .into_iter()
        .flatten()
        .filter_map(|run| run.as_str())
        .collect();
    Some(match runs.as_slice() {
        [] => arrays,
        [run] => format!("{arrays} of the run {run}"),
        [first, .., last] => {
            let count = count_text(runs.len() as u64, "run");
            format!("{arrays} of {count}, {first} to {last}")
        }
    })
}

/// What can be said of the directory before anything is started.
fn check_mountpoint(directory: &Path) -> Result<(), Failure> {
    match std::fs::metadata(directory) {
        Ok(found) if !found.is_dir() && !is_passed(directory) => Err(Failure::usage(format!(
            "mount point {} is not a directory",
            directory.display()
        ))),
        _ => Ok(()),
    }
}

/// Mounts and serves; tells `child`'s parent how the start went.
fn serve(args: &MountArgs, log: &Log, child: Option<daemon::Child>) -> Result<u8, Failure> {
    super::allocator::give_back();
    let runtime = runtime()?;
    let started = log_to_file(args, log).and_then(|()| {
        log_signals::listen(runtime.handle(), log)
            .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
        start(args, &runtime)
    });
    let (session, signals) = match (started, child) {
        (Ok(running), Some(child)) => {
            if args.log_file.is_none() {
                // Without one the log ends here, as the parent says.
                drop(log.to_system());
            }
            child.ready(None).map_err(|error| {
                Failure::failed(format!("nobody waits for this mount: {error}"))
            })?;
            running
        }
        (Ok(running), None) => {
            let ends = if is_passed(&args.directory) {
                "who started this unmounts"
            } else {
                "Ctrl-C unmounts"
            };
            say!(
                "{} is mounted at {}; {ends}",
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

/// Turns the log to the file that is wanted, whose path is against the directory that a background process leaves.
fn log_to_file(args: &MountArgs, log: &Log) -> Result<(), Failure> {
    let Some(path) = &args.log_file else {
        return Ok(());
    };
    let here = config::working_directory().unwrap_or_default();
    log.to_file(&here.join(path))
        .map_err(|error| Failure::usage(format!("--log-file {}: {error}", path.display())))
}

fn start(
    args: &MountArgs,
    runtime: &tokio::runtime::Runtime,
) -> Result<(Session, Signals), Failure> {
    let settings = StorageSettings {
        max_bytes: args.max_bytes,
        ..args.storage.settings()
    };
    let storage = settings.storage().map_err(Failure::usage)?;
    let source = config::location(&args.source).map_err(Failure::usage)?;
    let signals = Signals::listen(runtime.handle())
        .map_err(|error| Failure::failed(format!("cannot listen for signals: {error}")))?;
    let tree = tree_of(args, &source, storage, runtime)?;
    let mut mount_config = MountConfig {
        source_name: source.to_string(),
        ..MountConfig::default()
    };
    mount_config.read_deadline = Duration::try_from_secs_f64(args.storage.timeout + 5.0)
        .unwrap_or(mount_config.read_deadline);
    mount_config.direct_io = args.direct_io;
    for word in args.words() {
        // What it does not know has become a flag by now.
        mount_config.apply(&word).map_err(Failure::usage)?;
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
    let opened = super::refs::open(&args.source, source, &storage, runtime, &args.allow_root)?;
    let tree = match opened {
        super::refs::Opened::Set(set, policy) => {
            if args.follow {
                return Err(Failure::usage(
                    "--follow is for tables, not for reference sets",
                ));
            }
            let config = RefConfig {
                memory_bytes: memory(args),
                disk: disk_cache(args)?,
                ..RefConfig::default()
            };
            let reader = super::refs::reader(*set, policy, storage, runtime, &config);
            reader.learn_sizes();
            let shown = Arc::new(RefTree::new(reader, source.to_string(), now().seconds()));
            serve_metrics(args, runtime, &shown, RefTree::metrics)?;
            return Ok(shown);
        }
        super::refs::Opened::Table(table, _) => {
            if args.follow {
                return Err(Failure::usage("--follow is for tables, not for a k_index"));
            }
            let table = Arc::new(*table);
            let collection = shown(args, source, &Archive::of_table(Arc::clone(&table)))?;
            let rows = rows_of(table);
            show(args, source, storage, runtime, collection, rows, None)?
        }
        super::refs::Opened::Other => tree(args, source, storage, runtime)?,
    };
    serve_metrics(args, runtime, &tree, MountTree::metrics)?;
    Ok(tree)
}

/// Serves the counters of a tree over HTTP, if that is asked for.
fn serve_metrics<T: Send + Sync + 'static>(
    args: &MountArgs,
    runtime: &tokio::runtime::Runtime,
    tree: &Arc<T>,
    metrics: fn(&T) -> String,
) -> Result<(), Failure> {
    let Some(address) = args.metrics_addr else {
        return Ok(());
    };
    let shown = Arc::clone(tree);
    endpoint::serve(address, runtime.handle(), move || metrics(&shown))
        .map(|_bound| ())
        .map_err(|error| Failure::failed(format!("cannot listen at {address}: {error}")))
}

/// The tree of a table, a directory of tables or a prefix.
fn tree(
    args: &MountArgs,
    source: &Location,
    storage: Storage,
    runtime: &tokio::runtime::Runtime,
) -> Result<Arc<MountTree>, Failure> {
    let follow = args.follow.then_some(Follow {
        partial: args.partial,
    });
    let handle = runtime.handle().clone();
    let most_open = config::open_files_limit() / 2;
    let library = Library::new(source.clone(), storage.clone(), handle.clone(), most_open);
    // From here on, so that nothing that comes meanwhile is missed.
    let watch = follow.map(|_| TableWatch::new(source));
    let found = runtime
        .block_on(library.look())
        .map_err(|error| load_failure(&error))?;
    let collection = match follow {
        None => mounted(args, source, &found)?,
        Some(follow) => followed(args, &found, follow)?,
    };
    let rows = library.rows();
    let tree = show(args, source, storage, runtime, collection, rows, follow)?;
    if let Some(watch) = watch {
        let task = keep_up(Arc::clone(&tree), library, watch, found.bad);
        runtime.spawn(task);
    }
    Ok(tree)
}

/// Shows a collection whose rows come from `rows`.
fn show(
    args: &MountArgs,
    source: &Location,
    storage: Storage,
    runtime: &tokio::runtime::Runtime,
    collection: Collection,
    rows: Arc<dyn RowSource>,
    follow: Option<Follow>,
) -> Result<Arc<MountTree>, Failure> {
    let reader_config = ReaderConfig {
        disk: disk_cache(args)?,
        on_stale: match args.on_stale {
            StaleArg::Heal => OnStale::Heal,
            StaleArg::Fail => OnStale::Fail,
        },
        corrections: cache_directory(args).or_else(config::state_directory),
        memory_bytes: memory(args),
        look_ahead: args.look_ahead,
        view: collection.selection.view.clone(),
        ..ReaderConfig::default()
    };
    let reader = FieldReader::new(rows, storage, runtime.handle().clone(), &reader_config);
    let tree_config = TreeConfig {
        source: source.to_string(),
        best: args.view.best(),
        layout: args.view.layout(),
        format: args.view.format(),
        follow,
        modified_seconds: now().seconds(),
    };
    let tree = MountTree::new(Arc::new(collection), Arc::new(reader), tree_config);
    Ok(Arc::new(tree))
}

/// `--memory`.
fn memory(args: &MountArgs) -> u64 {
    args.memory.unwrap_or_else(config::memory_default)
}

/// `--cache-dir`: as a whole path, since the background process leaves this directory.
fn cache_directory(args: &MountArgs) -> Option<PathBuf> {
    let here = config::working_directory().unwrap_or_default();
    args.cache_dir.as_ref().map(|path| here.join(path))
}

fn disk_cache(args: &MountArgs) -> Result<Option<Arc<DiskCache>>, Failure> {
    let Some(directory) = cache_directory(args) else {
        return Ok(None);
    };
    let config = DiskConfig {
        directory,
        limit_bytes: args.cache_size,
        // A disk that hangs holds no more of the memory than this.
        waiting_bytes: WAITING_BYTES.min(memory(args) / 4),
    };
    let opened = DiskCache::open(&config);
    let directory = config.directory.display();
    opened
        .map(Some)
        .map_err(|error| Failure::usage(format!("--cache-dir {directory}: {error}")))
}

/// The collection of a mount that stays as it is: something must be there to show, and all of it must be readable.
fn mounted(args: &MountArgs, source: &Location, found: &Found) -> Result<Collection, Failure> {
    if let Some(bad) = found.bad.first() {
        return Err(Failure::failed(format!("{}: {}", bad.name, bad.reason)));
    }
    if found.archive.parts.is_empty() {
        return Err(load_failure(&SaveError::Empty(source.clone())));
    }
    shown(args, source, &found.archive)
}

/// The part of an archive that is asked for; there must be some.
fn shown(
    args: &MountArgs,
    source: &Location,
    archive: &Arc<Archive>,
) -> Result<Collection, Failure> {
    let collection = Collection::build(Arc::clone(archive), args.view.as_of);
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
    args.selection.select(collection)
}

/// What is there already of a mount that follows its tables: it may be nothing.
fn followed(args: &MountArgs, found: &Found, follow: Follow) -> Result<Collection, Failure> {
    let selection = args.selection.selection()?;
    let archive = Arc::clone(&found.archive);
    let complete = Arc::clone(&found.archive);
    let shown = |run| follow.partial || complete.is_complete(run);
    let collection = selection.apply(Collection::of_runs(archive, None, shown));
    Ok(Collection {
        selection,
        ..collection
    })
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
