//! `gribfs quicklook`: one field as a map, in a file or in the terminal.

mod choose;
mod coding;
mod files;
mod zarr;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde_json::Value;

use self::choose::{Cell, Wanted, choose};
use self::files::Files;
use self::zarr::ZarrArray;
use super::output::{terminal_size_of, terminal_width};
use super::{Failure, StorageArgs, load_failure, runtime};
use crate::config;
use crate::dataset::{Archive, Collection};
use crate::picture::{Colours, Conversion, Field, Palette, Picture, Quantity, look_of};
use crate::scan::Library;
use crate::slices::{BestRule, Layout, SliceKind};
use crate::store::{FieldReader, ReaderConfig};
use crate::time::{Instant, parse_step, step_text};
use crate::vfs::{MountTree, TreeConfig};
use crate::zarr::Format;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  gribfs quicklook gfs/run_time.zarr t2m --step 24h -o t2m.png
  gribfs quicklook gfs.parquet gh --level 500 --run 2026-11-22T00 --step 12h
  gribfs quicklook gfs/best_available.zarr u10,v10 --bbox 35,-15,65,35

What no flag says is chosen: the newest run, and of everything else the first that is there.")]
pub(super) struct QuicklookArgs {
    /// Store in a mount (`gfs/run_time.zarr`), or of a copy without Blosc; or a table, which need not be mounted
    #[arg(value_name = "STORE")]
    store: String,
    /// Array; two components (u10,v10) give the speed
    #[arg(value_name = "ARRAY")]
    array: String,
    /// PNG to write; without it the map is drawn in the terminal
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Run, by its reference time (2026-11-22T00)
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    run: Option<Instant>,
    /// Step (24h)
    #[arg(long, value_name = "STEP", value_parser = step)]
    step: Option<i64>,
    /// Moment that the forecast is for (2026-11-22T12)
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    valid_time: Option<Instant>,
    /// Level, in the units of the level axis (500)
    #[arg(long, value_name = "VALUE")]
    level: Option<f64>,
    /// Ensemble member
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    member: Option<i16>,
    /// Slice of a table's collection: `run_time`, `best_available`, runs/2026-11-22T00, ...
    #[arg(long, value_name = "SLICE", default_value = "run_time")]
    slice: SliceKind,
    /// Box to draw, in degrees (35,-10,60,30)
    #[arg(long, value_name = "S,W,N,E", allow_hyphen_values = true, value_parser = numbers::<4>)]
    bbox: Option<[f64; 4]>,
    /// Values at the ends of the colour bar, in the units shown (-20,35)
    #[arg(long, value_name = "LOW,HIGH", allow_hyphen_values = true, value_parser = numbers::<2>)]
    range: Option<[f64; 2]>,
    /// Palette: spectral, turbo, viridis, magma, red-blue, blue-red, rain, wind, clouds, grey
    #[arg(long, value_name = "NAME")]
    palette: Option<Palette>,
    /// Width of the map in pixels, with -o; in a terminal it is as wide as that
    #[arg(long, value_name = "PIXELS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(100..=8000))]
    width: u32,
    #[command(flatten)]
    storage: StorageArgs,
}

pub(super) fn run(args: &QuicklookArgs) -> Result<u8, Failure> {
    let runtime = runtime()?;
    let files = open(args, &runtime)?;
    let picture = picture(args, &files)?;
    if let Some(path) = &args.output {
        let bytes = picture.png(args.width).map_err(Failure::failed)?;
        std::fs::write(path, bytes)
            .map_err(|error| Failure::failed(format!("{}: {error}", path.display())))?;
        return Ok(0);
    }
    let lines = terminal_size_of().map_or(40, |(_, lines)| lines.max(12));
    let lines = if std::io::stdout().is_terminal() {
        lines
    } else {
        40
    };
    let told = std::env::var("COLORTERM").unwrap_or_default();
    let colours = if matches!(told.as_str(), "truecolor" | "24bit") {
        Colours::True
    } else {
        Colours::Few
    };
    let text = picture.terminal(terminal_width(), lines, colours);
    say!("{}", text.trim_end());
    Ok(0)
}

/// The store's files: of a folder that is one, else of the table.
fn open(args: &QuicklookArgs, runtime: &tokio::runtime::Runtime) -> Result<Files, Failure> {
    let folder = Path::new(&args.store);
    let marks = [".zgroup", ".zmetadata", "zarr.json", ".zattrs"];
    if marks.iter().any(|mark| folder.join(mark).exists()) {
        return Ok(Files::Folder(folder.to_owned()));
    }
    if folder.join("run_time.zarr").is_dir() {
        return Err(Failure::usage(format!(
            "{}: name one of its stores, such as {}",
            args.store,
            folder.join("run_time.zarr").display()
        )));
    }
    if let Some(mountpoint) = empty_above(folder) {
        return Err(Failure::usage(format!(
            "{}: nothing is there; {} is empty: is something to be mounted on it?",
            args.store,
            mountpoint.display()
        )));
    }
    let storage = args.storage.settings().storage().map_err(Failure::usage)?;
    let source = config::location(&args.store).map_err(Failure::usage)?;
    let handle = runtime.handle().clone();
    let library = Library::new(source, storage.clone(), handle.clone(), 1000);
    let found = runtime.block_on(library.look());
    let found = found.map_err(|error| load_failure(&error))?;
    if let Some(bad) = found.bad.first() {
        return Err(Failure::usage(format!("{}: {}", bad.name, bad.reason)));
    }
    let archive: Arc<Archive> = found.archive;
    let collection = Arc::new(Collection::build(archive, None));
    let reader_config = ReaderConfig {
        look_ahead: 0,
        ..ReaderConfig::default()
    };
    let reader = FieldReader::new(library.rows(), storage, handle.clone(), &reader_config);
    let tree_config = TreeConfig {
        source: args.store.clone(),
        best: BestRule {
            totals: true,
            ..BestRule::default()
        },
        layout: Layout::Flat,
        format: Format::V2,
        follow: None,
        modified_seconds: 0,
    };
    Ok(Files::Tree {
        tree: Arc::new(MountTree::new(collection, Arc::new(reader), tree_config)),
        store: format!("{}.zarr", args.slice),
        runtime: handle,
    })
}

/// The empty directory in which a path lies or that it is: a mountpoint without its mount.
fn empty_above(path: &Path) -> Option<&Path> {
    let directory = path.ancestors().find(|above| above.is_dir())?;
    let mut entries = directory.read_dir().ok()?;
    entries.next().is_none().then_some(directory)
}

fn picture(args: &QuicklookArgs, files: &Files) -> Result<Picture, Failure> {
    let names: Vec<&str> = args.array.split(',').map(str::trim).collect();
    let (name, other) = match names.as_slice() {
        [name] => (*name, None),
        [first, second] => (*first, Some(*second)),
        _ => {
            return Err(Failure::usage(format!(
                "{}: one array, or two components with a comma",
                args.array
            )));
        }
    };
    let group = name.rsplit_once('/').map_or("", |(group, _)| group);
    let group = if group.is_empty() {
        String::new()
    } else {
        format!("{group}/")
    };
    let array = array_of(files, name, args)?;
    let grid = Grid::of(files, &group, &array)?;
    let wanted = Wanted {
        run: args.run.map(Instant::seconds),
        step: args.step,
        valid_time: args.valid_time.map(Instant::seconds),
        level: args.level,
        member: args.member,
    };
    let leading = array.dimensions.len() - grid.dimensions;
    let cell = choose(files, &group, &array, leading, &wanted)?;
    let mut values = plane(files, &array, &cell)?;
    let mut long_name = array.text("long_name").to_owned();
    let mut standard_name = array.text("standard_name").to_owned();
    if let Some(other) = other {
        let second = array_of(files, other, args)?;
        if (&second.dimensions, &second.shape) != (&array.dimensions, &array.shape) {
            return Err(Failure::usage(format!(
                "{}: the two arrays have different shapes",
                args.array
            )));
        }
        let others = plane(files, &second, &cell)?;
        for (value, other) in values.iter_mut().zip(others) {
            *value = value.hypot(other);
        }
        long_name = format!("Speed of {name} and {other}");
        standard_name = "wind_speed".to_owned();
    }
    let mut field = grid.field(values)?;
    if let Some(bbox) = args.bbox {
        field = field
            .cropped(bbox)
            .map_err(|error| Failure::usage(format!("--bbox: {error}")))?;
    }
    let quantity = Quantity {
        name,
        standard_name: &standard_name,
        long_name: &long_name,
        units: array.text("units"),
    };
    let (conversion, scale) = look_of(quantity, field.values());
    let scale = scale.with(args.range.map(|[low, high]| (low, high)), args.palette);
    let step_type = array.text("GRIB_stepType");
    let window = match step_type {
        "" | "instant" => String::new(),
        other => format!(", {other}"),
    };
    let named = if long_name.is_empty() {
        name
    } else {
        long_name.as_str()
    };
    Ok(Picture {
        heading: format!("{named} [{}]{window}", conversion.units),
        lines: vec![
            place_text(&cell),
            summary(field.values(), &conversion, &args.array),
        ],
        field,
        conversion,
        scale,
    })
}

/// `run 2026-11-22T00 + 24h, valid 2026-11-23T00; isobaricInhPa 500 hPa; member 3`.
fn place_text(cell: &Cell) -> String {
    let (run, step) = match (cell.run, cell.step, cell.valid_time) {
        (Some(run), None, Some(valid)) => (Some(run), valid.checked_sub(run)),
        (None, Some(step), Some(valid)) => (valid.checked_sub(step), Some(step)),
        (run, step, _) => (run, step),
    };
    let sum = || run?.checked_add(step?);
    let mut parts = Vec::new();
    let lead = step.map(|step| format!(" + {}", step_text(step)));
    match (run, cell.valid_time.or_else(sum)) {
        (Some(run), valid) => {
            let valid = valid.map(|at| format!(", valid {} UTC", Instant(at).path_name()));
            parts.push(format!(
                "run {}{}{}",
                Instant(run).path_name(),
                lead.unwrap_or_default(),
                valid.unwrap_or_default()
            ));
        }
        (None, Some(valid)) => parts.push(format!("valid {} UTC", Instant(valid).path_name())),
        (None, None) => {}
    }
    if let Some((name, value, units)) = &cell.level {
        parts.push(format!("{name} {value} {units}").trim_end().to_owned());
    }
    parts.extend(cell.member.map(|member| format!("member {member}")));
    parts.join("; ")
}

/// Least, mean and largest value.
fn summary(values: &[f32], conversion: &Conversion, array: &str) -> String {
    let there = || values.iter().filter(|value| !value.is_nan());
    let count = there().count();
    if count == 0 {
        return format!("{array}: no value");
    }
    let ends = there().fold((f32::MAX, f32::MIN), |(low, high), value| {
        (low.min(*value), high.max(*value))
    });
    let mean = there().map(|value| f64::from(*value)).sum::<f64>() / count as f64;
    format!(
        "{array}: {:.4} to {:.4}, mean of the cells {:.4} {}",
        conversion.apply(ends.0),
        conversion.apply(ends.1),
        mean * conversion.factor + conversion.offset,
        conversion.units
    )
}

fn array_of(files: &Files, name: &str, args: &QuicklookArgs) -> Result<ZarrArray, Failure> {
    if let Some(array) = ZarrArray::open(files, name)? {
        return Ok(array);
    }
    let mut names = Vec::new();
    if let Some(bytes) = files.get(".zmetadata")? {
        let all: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        names = fields_of(&all);
    }
    let known = if names.is_empty() {
        String::new()
    } else {
        format!("; it has {}", names.join(", "))
    };
    Err(Failure::usage(format!(
        "{}: no array {name}{known}",
        args.store
    )))
}

/// The arrays of consolidated metadata that are fields: no axes, and nothing that another array names as its coordinate, bounds or grid.
fn fields_of(consolidated: &Value) -> Vec<String> {
    let documents = consolidated.get("metadata").and_then(Value::as_object);
    let documents = || documents.into_iter().flatten();
    let mut beside = BTreeSet::new();
    for (_, attributes) in documents().filter(|(key, _)| key.ends_with(".zattrs")) {
        for role in ["coordinates", "bounds", "grid_mapping"] {
            let words = attributes.get(role).and_then(Value::as_str);
            beside.extend(words.into_iter().flat_map(str::split_whitespace));
        }
        let axes = attributes
            .get("_ARRAY_DIMENSIONS")
            .and_then(Value::as_array);
        beside.extend(axes.into_iter().flatten().filter_map(Value::as_str));
    }
    let arrays = documents().filter_map(|(key, _)| key.strip_suffix("/.zarray"));
    arrays
        .filter(|path| !beside.contains(path.rsplit('/').next().unwrap_or(path)))
        .map(str::to_owned)
        .collect()
}

/// The values of a cell.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a colour tells no more than a single-precision number"
)]
fn plane(files: &Files, array: &ZarrArray, cell: &Cell) -> Result<Vec<f32>, Failure> {
    let leading = cell.index.len();
    let mut start = cell.index.clone();
    start.resize(array.shape.len(), 0);
    let mut count = vec![1; leading];
    count.extend(array.shape.iter().skip(leading));
    let values = array.part(files, &start, &count)?;
    Ok(values.into_iter().map(|value| value as f32).collect())
}

/// The horizontal grid of an array.
struct Grid {
    /// Dimensions that it takes, the last ones of the array.
    dimensions: usize,
    form: Form,
}

enum Form {
    Axes(Vec<f64>, Vec<f64>),
    /// Columns, places, whether rows run up and columns leftwards, width of a cell over its height.
    Cells(usize, (Vec<f64>, Vec<f64>), (bool, bool), f64),
    /// One row of cells.
    Points(Vec<f64>, Vec<f64>),
}

impl Grid {
    fn of(files: &Files, group: &str, array: &ZarrArray) -> Result<Self, Failure> {
        let open = |name: &str| ZarrArray::open(files, &format!("{group}{name}"));
        let (Some(latitude), Some(longitude)) = (open("latitude")?, open("longitude")?) else {
            return Err(Failure::usage("the store has no latitude and longitude"));
        };
        let ends_with = |names: &[String]| array.dimensions.ends_with(names);
        let both = (latitude.all(files)?, longitude.all(files)?);
        if ends_with(&["latitude".to_owned(), "longitude".to_owned()]) {
            return Ok(Self {
                dimensions: 2,
                form: Form::Axes(both.0, both.1),
            });
        }
        if latitude.dimensions != longitude.dimensions || !ends_with(&latitude.dimensions) {
            return Err(Failure::usage("the array has no grid that can be drawn"));
        }
        let [rows, columns] = latitude.dimensions.as_slice() else {
            return Ok(Self {
                dimensions: latitude.dimensions.len(),
                form: Form::Points(both.0, both.1),
            });
        };
        let spacing = |name: &String| -> Result<Option<f64>, Failure> {
            let Some(axis) = open(name)? else {
                return Ok(None);
            };
            let values = axis.all(files)?;
            Ok(match values.as_slice() {
                [first, second, ..] => Some(second - first),
                _ => None,
            })
        };
        let (down, right) = (spacing(rows)?, spacing(columns)?);
        let aspect = match (down, right) {
            (Some(down), Some(right)) if down != 0.0 && right != 0.0 => (right / down).abs(),
            _ => 1.0,
        };
        let turned = (
            down.is_none_or(|down| down > 0.0),
            right.is_some_and(|right| right < 0.0),
        );
        let width = latitude.shape.last().copied().unwrap_or_default();
        let width = usize::try_from(width).unwrap_or(usize::MAX);
        Ok(Self {
            dimensions: 2,
            form: Form::Cells(width, both, turned, aspect),
        })
    }

    fn field(self, values: Vec<f32>) -> Result<Field, Failure> {
        let made = match self.form {
            Form::Axes(latitudes, longitudes) => Field::on_axes(values, latitudes, longitudes),
            Form::Cells(columns, places, turned, aspect) => {
                Field::on_cells(columns, values, places, turned, aspect)
            }
            Form::Points(latitudes, longitudes) => {
                Field::of_points(&values, &latitudes, &longitudes)
            }
        };
        made.map_err(Failure::failed)
    }
}

fn instant(text: &str) -> Result<Instant, String> {
    Instant::parse(text).ok_or_else(|| {
        "a moment is written 2026-11-22T06, 2026-11-22T06:00 or 2026-11-22".to_owned()
    })
}

fn step(text: &str) -> Result<i64, String> {
    parse_step(text).ok_or_else(|| "a step is written 24h, 1h30m or 10d".to_owned())
}

/// Numbers separated by commas, ascending where there are two.
fn numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let all: Option<Vec<f64>> = text
        .split(',')
        .map(|part| part.trim().parse().ok())
        .collect();
    let all = all.and_then(|all| <[f64; N]>::try_from(all).ok());
    let all = all.filter(|all| all.iter().all(|number| number.is_finite()));
    let all = all.ok_or_else(|| format!("wanted are {N} numbers with commas between them"))?;
    let is_range = N == 2;
    if is_range
        && all
            .windows(2)
            .any(|pair| matches!(pair, [low, high] if low >= high))
    {
        return Err("the low end comes first".to_owned());
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_and_what_stands_beside_a_field_are_not_offered() {
        let metadata = serde_json::json!({"metadata": {
            ".zgroup": {}, "t2m/.zarray": {}, "step/.zarray": {}, "latitude/.zarray": {}, "grid_2/u10/.zarray": {},
            "grid_2/latitude/.zarray": {}, "projection/.zarray": {}, "step_bounds/.zarray": {},
            "t2m/.zattrs": {"_ARRAY_DIMENSIONS": ["step", "y"], "coordinates": "latitude longitude", "grid_mapping": "projection"},
            "step/.zattrs": {"_ARRAY_DIMENSIONS": ["step"], "bounds": "step_bounds"},
        }});
        assert_eq!(fields_of(&metadata), ["t2m", "grid_2/u10"]);
    }
}
