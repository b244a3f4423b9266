//! The house of the code, held against the code: which module may name which, and which external crates.
//!
//! Rows stand bottom-up and a row may name only rows above it, so the table is itself the proof that there is no cycle. A new
//! module or arrow is a decision that is made here. The reader is textual: comments are dropped, then the heads of `crate::a`
//! and `crate::{a, b::c}` are gathered.

#![expect(
    clippy::string_slice,
    reason = "positions come from find and match_indices on the same text"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Module, modules that it may name, external crates of the fence that it may name.
type Rule = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const HOUSE: &[Rule] = &[
    // core: pure, synchronous, no I/O
    ("time", &[], &["chrono"]),
    ("location", &[], &[]),
    ("files", &[], &["rustix"]),
    ("sync", &[], &[]),
    ("pages", &[], &["parquet"]),
    ("zarr", &[], &[]),
    ("picture", &[], &["colorous", "embedded_graphics", "png"]),
    ("grib", &["time"], &["jpeg2k", "png"]),
    ("index", &["time", "grib"], &[]),
    (
        "table",
        &["time", "location", "files", "pages", "grib"],
        &["parquet", "arrow_array", "arrow_schema"],
    ),
    (
        "refs",
        &["time", "sync", "pages", "zarr"],
        &["parquet", "arrow_array", "arrow_schema"],
    ),
    ("dataset", &["time", "grib", "table"], &[]),
    ("slices", &["time", "zarr", "dataset"], &[]),
    // services: async, they move bytes
    (
        "storage",
        &["time", "location", "files", "sync"],
        &[
            "chrono",
            "object_store",
            "reqwest",
            "rustix",
            "rustls",
            "tokio",
        ],
    ),
    (
        "store",
        &[
            "time", "location", "files", "sync", "zarr", "grib", "table", "refs", "dataset",
            "storage",
        ],
        &["rayon", "rustix", "tokio"],
    ),
    (
        "vfs",
        &["time", "sync", "zarr", "refs", "dataset", "slices", "store"],
        &[],
    ),
    (
        "scan",
        &[
            "time", "location", "sync", "grib", "index", "table", "dataset", "storage",
        ],
        &["tokio", "rustix"],
    ),
    (
        "copy",
        &[
            "time", "location", "files", "sync", "zarr", "refs", "dataset", "slices", "storage",
            "store",
        ],
        &["blosc_src", "tokio"],
    ),
    // edge: humans and the kernel
    (
        "fuse",
        &["sync", "vfs"],
        &["fuser", "rustix", "libc", "tokio"],
    ),
    ("config", &["location", "storage"], &["rustix"]),
    (
        "telemetry",
        &[],
        &[
            "http_body_util",
            "hyper",
            "hyper_util",
            "tokio",
            "tracing_subscriber",
        ],
    ),
    (
        "cli",
        &[
            "time",
            "zarr",
            "location",
            "zarr",
            "grib",
            "table",
            "refs",
            "dataset",
            "slices",
            "storage",
            "store",
            "vfs",
            "picture",
            "scan",
            "copy",
            "fuse",
            "config",
            "telemetry",
        ],
        &[
            "clap",
            "clap_complete",
            "clap_mangen",
            "indicatif",
            "libc",
            "terminal_size",
            "tokio",
        ],
    ),
];

/// External crates that are named in few places only.
const FENCED: &[&str] = &[
    "arrow_array",
    "arrow_schema",
    "blosc_src",
    "chrono",
    "clap",
    "clap_complete",
    "clap_mangen",
    "colorous",
    "embedded_graphics",
    "fuser",
    "gribberish",
    "http_body_util",
    "hyper",
    "hyper_util",
    "jpeg2k",
    "indicatif",
    "libc",
    "object_store",
    "parquet",
    "png",
    "rayon",
    "reqwest",
    "rustix",
    "rustls",
    "terminal_size",
    "tokio",
    "tracing_subscriber",
];

#[test]
fn nothing_points_outwards() {
    for (row, (module, may_name, _)) in HOUSE.iter().enumerate() {
        for other in *may_name {
            let above = HOUSE.iter().take(row).any(|(name, ..)| name == other);
            assert!(
                above,
                "the table lets `{module}` name `{other}`, which does not stand above it"
            );
        }
    }
}

#[test]
fn every_arrow_of_the_code_is_in_the_table() {
    let mut wrong = Vec::new();
    for (path, module) in sources() {
        let Some((_, may_name, crates)) = HOUSE.iter().find(|(name, ..)| *name == module) else {
            wrong.push(format!(
                "{}: module `{module}` has no row in the table",
                path.display()
            ));
            continue;
        };
        let text = without_comments(&fs::read_to_string(&path).unwrap());
        for (line, target) in crate_heads(&text) {
            if target != module && !may_name.contains(&target.as_str()) {
                wrong.push(format!("{}:{line}: {module} -> {target}", path.display()));
            }
        }
        for fenced in FENCED.iter().filter(|fenced| !crates.contains(fenced)) {
            for (number, line) in text.lines().enumerate() {
                if names_crate(line, fenced) {
                    wrong.push(format!(
                        "{}:{}: {module} names the crate {fenced}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the table does not allow:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn planted_arrows_are_found() {
    let text = "use crate::{\n    fuse::x,\n    time::Instant,\n};\nfn f() { crate::cli::main(); }\nuse fuser::Errno;\n";
    let heads: Vec<String> = crate_heads(text)
        .into_iter()
        .map(|(_, head)| head)
        .collect();
    assert_eq!(heads, ["fuse", "time", "cli"]);
    assert!(names_crate("use fuser::Errno;", "fuser") && !names_crate("let my_fuser::x", "fuser"));
    assert_eq!(
        without_comments("a // crate::cli\n\"http://x\" b"),
        "a \n\"http://x\" b"
    );
}

/// Every source file with the module that it belongs to; the two roots of the crate are exempt.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&root).unwrap();
                let head = inside
                    .components()
                    .next()
                    .unwrap()
                    .as_os_str()
                    .to_string_lossy()
                    .into_owned();
                let module = head.trim_end_matches(".rs").to_owned();
                if module != "lib" && module != "main" {
                    found.push((path.clone(), module));
                }
            }
        }
    }
    assert!(found.len() > 50, "the sources were not found");
    found
}

/// The text with line comments blanked; `//` inside a string (a URL) stays.
fn without_comments(text: &str) -> String {
    let kept: Vec<&str> = text
        .lines()
        .map(|line| {
            let comment = line
                .match_indices("//")
                .find(|(at, _)| line[..*at].matches('"').count() % 2 == 0);
            comment.map_or(line, |(at, _)| &line[..at])
        })
        .collect();
    kept.join("\n")
}

/// First segments of every path that begins with `crate::`, with their line.
fn crate_heads(text: &str) -> Vec<(usize, String)> {
    let mut heads = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let line = text[..at].matches('\n').count() + 1;
        let rest = &text[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            heads.extend(group_heads(group).into_iter().map(|head| (line, head)));
        } else {
            heads.push((line, identifier(rest)));
        }
    }
    heads
}

/// First segments of the members of `{a, b::{c, d}, e}`, given from behind its opening brace.
fn group_heads(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut expects_head) = (0, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expects_head = true,
            _ if depth == 0 && expects_head && !character.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                expects_head = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|character| character.is_alphanumeric() || *character == '_')
        .collect()
}

fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let path_start =
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_' && c != ':' && c != '.');
        path_start && line[at + name.len()..].starts_with("::")
    })
}

#[test]
fn every_module_of_the_table_exists() {
    let mut modules: BTreeMap<&str, bool> = HOUSE.iter().map(|(name, ..)| (*name, false)).collect();
    for (_, module) in sources() {
        if let Some(seen) = modules.get_mut(module.as_str()) {
            *seen = true;
        }
    }
    let missing: Vec<_> = modules.iter().filter(|(_, seen)| !**seen).collect();
    assert!(missing.is_empty(), "rows without a module: {missing:?}");
}
