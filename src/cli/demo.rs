//! `gribfs demo`: from nothing to a mounted forecast archive, without network or data of one's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use serde_json::Value;

use super::Failure;
use super::demo_archive::{FILES, TRUTH};
use super::output::{bytes_text, count_text};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  gribfs demo\n  python3 -c 'import xarray; print(xarray.open_zarr(\"gribfs-demo/mount/best_available.zarr\"))'\n  gribfs umount gribfs-demo/mount"
)]
pub(super) struct DemoArgs {
    /// Folder for the demo's archive, table and mount
    #[arg(value_name = "DIR", default_value = "gribfs-demo")]
    directory: PathBuf,
}

/// The field that the demo reads: 2 m temperature of the first run, 6 hours ahead, third of its valid times.
const STORE: &str = "runs/2026-11-22T00.zarr";
const CHUNK: &str = "t2m/2.0.0";
const STEP_SECONDS: i64 = 6 * 3600;

pub(super) fn run(args: &DemoArgs) -> Result<u8, Failure> {
    let home = prepare(&args.directory)?;
    let (archive, table, mount) = (
        home.join("archive"),
        home.join("gfs.parquet"),
        home.join("mount"),
    );

    say!("1. A small forecast archive: three runs, five steps, ten quantities, one file missing");
    let bytes = write_archive(&archive)?;
    say!(
        "   {}, {} in {}\n",
        count_text(FILES.len() as u64, "file"),
        bytes_text(bytes),
        archive.display()
    );

    say!("2. Index it");
    gribfs(&["index", &text(&archive), "-o", &text(&table)])?;

    say!("\n3. Mount it");
    if is_mounted(&mount) {
        say!("   it is mounted already at {}", mount.display());
    } else {
        fs::create_dir_all(&mount)
            .map_err(|error| Failure::failed(format!("{}: {error}", mount.display())))?;
        gribfs(&["mount", &text(&table), &text(&mount)])?;
    }
    say!("");
    print_tree(&mount);

    say!("\n4. Read a field through it: {STORE}/{CHUNK}");
    read_field(&mount)?;

    say!("\n5. Your turn, in Python (pip install xarray zarr):");
    say!("   import xarray");
    say!(
        "   data = xarray.open_zarr(\"{}\")",
        mount.join("best_available.zarr").display()
    );
    say!("   print(data.t2m.sel(latitude=51, longitude=9).values)");
    say!(
        "\nThe mount stays until `gribfs umount {}`.",
        mount.display()
    );
    Ok(0)
}

fn prepare(directory: &Path) -> Result<PathBuf, Failure> {
    let wrong = |error| Failure::failed(format!("{}: {error}", directory.display()));
    fs::create_dir_all(directory).map_err(wrong)?;
    directory.canonicalize().map_err(wrong)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Runs this program with other arguments, as a user would.
fn gribfs(arguments: &[&str]) -> Result<(), Failure> {
    let program = std::env::current_exe()
        .map_err(|error| Failure::failed(format!("cannot find this program: {error}")))?;
    say!("   $ gribfs {}", arguments.join(" "));
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| {
            Failure::failed(format!(
                "cannot start gribfs {}: {error}",
                arguments.join(" ")
            ))
        })?;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        say!("   {line}");
    }
    if output.status.success() {
        return Ok(());
    }
    Err(Failure::failed(format!(
        "gribfs {} failed: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

/// Writes the files that are not there yet, or not as they should be; gives their bytes.
fn write_archive(archive: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for (name, content) in FILES {
        let path = archive.join(name);
        let wrong = |error| Failure::failed(format!("{}: {error}", path.display()));
        bytes += content.len() as u64;
        if fs::read(&path).is_ok_and(|existing| existing == *content) {
            continue;
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        fs::write(&path, content).map_err(wrong)?;
    }
    Ok(bytes)
}

/// Whether a live mount of ours is there.
fn is_mounted(mount: &Path) -> bool {
    mount.join(".gribfs/status.json").exists()
}

fn print_tree(mount: &Path) {
    let stores = [
        (
            "run_time.zarr/",
            "time, step          the whole collection, run by run",
        ),
        (
            "valid_time.zarr/",
            "valid_time, step    all forecasts of each moment",
        ),
        (
            "horizon.zarr/",
            "step, valid_time    each lead, across runs",
        ),
        (
            "best_available.zarr/",
            "valid_time          the freshest forecast of each moment",
        ),
    ];
    say!("   {}/", mount.display());
    for (name, what) in stores.iter().filter(|(name, _)| mount.join(name).is_dir()) {
        say!("     {name:<22} {what}");
    }
    for (folder, what) in [
        ("runs", "one run each"),
        ("leads", "one lead each"),
        ("valid", "one moment each"),
    ] {
        let mut names: Vec<String> = fs::read_dir(mount.join(folder))
            .map(|entries| {
                entries
                    .filter_map(|entry| {
                        Some(entry.ok()?.file_name().to_string_lossy().into_owned())
                    })
                    .collect()
            })
            .unwrap_or_default();
        names.sort();
        if let Some(first) = names.first() {
            say!(
                "     {:<22} {what}: {first}{}",
                format!("{folder}/"),
                if names.len() > 1 { ", ..." } else { "" }
            );
        }
    }
}

/// Reads one chunk and prints its statistics beside ecCodes'.
fn read_field(mount: &Path) -> Result<(), Failure> {
    let path = mount.join(STORE).join(CHUNK);
    let bytes =
        fs::read(&path).map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
    let values: Vec<f64> = bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|four| f64::from(f32::from_le_bytes(*four)))
        .filter(|value| !value.is_nan())
        .collect();
    let mean = values.iter().sum::<f64>() / u32::try_from(values.len()).map_or(f64::NAN, f64::from);
    let min = values.iter().copied().fold(f64::INFINITY, f64::min);
    let max = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    say!(
        "   {:<12} {:>10} {:>10} {:>10}",
        "",
        "mean",
        "lowest",
        "highest"
    );
    say!(
        "   {:<12} {mean:>10.3} {min:>10.3} {max:>10.3}  K",
        "the mount"
    );
    let truth = truth().ok_or_else(|| Failure::failed("the demo's own truth cannot be read"))?;
    say!(
        "   {:<12} {:>10.3} {:>10.3} {:>10.3}  K",
        "ecCodes",
        truth.0,
        truth.1,
        truth.2
    );
    // Means depend on the order of summing; a wrong field differs by far more.
    if (truth.0 - mean).abs() < 1e-3 && (truth.1 - min).abs() < 1e-6 && (truth.2 - max).abs() < 1e-6
    {
        Ok(())
    } else {
        Err(Failure::failed(
            "the mount shows other values than ecCodes: please report this",
        ))
    }
}

/// Mean, minimum and maximum that ecCodes finds in that field.
fn truth() -> Option<(f64, f64, f64)> {
    let manifest: Value = serde_json::from_str(TRUTH).ok()?;
    let message = manifest
        .get("messages")?
        .as_array()?
        .iter()
        .find(|message| {
            let is = |key: &str, value: Value| message.get(key) == Some(&value);
            is("cfVarName", "t2m".into())
                && message
                    .get("key")
                    .and_then(Value::as_str)
                    .is_some_and(|key| key.starts_with("gfs.20261122/00/"))
                && is("window", serde_json::json!([STEP_SECONDS, STEP_SECONDS]))
        })?;
    let number = |key: &str| message.get(key).and_then(Value::as_f64);
    Some((number("mean")?, number("min")?, number("max")?))
}
