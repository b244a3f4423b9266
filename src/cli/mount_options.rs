//! Words of `-o`, and what mount(8) calls: both become the arguments of `gribfs mount`.
//!
//! `-o memory=2G,follow,uid=7` is `--memory=2G --follow` and one word for the mount itself. `mount -t gribfs SOURCE DIR -o ...`
//! and lines of `/etc/fstab` run `mount.gribfs SOURCE DIR [-sfnv] [-N NAMESPACE] [-t TYPE] [-o OPTIONS]` (mount(8), "external
//! helpers"); a link of that name to this program is all it takes.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::fuse::{MountConfig, options};

/// Names under which mount(8) looks for this program, for the types `gribfs` and `fuse.gribfs`.
const HELPERS: [&str; 2] = ["mount.gribfs", "mount.fuse.gribfs"];
/// The subcommand.
const MOUNT: &str = "mount";

/// How this program was called.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Called {
    /// By its arguments as they stand.
    Plainly,
    /// As a helper of mount(8), which means these arguments.
    AsHelper(Vec<OsString>),
    /// As a helper that is to do nothing but say that all is well.
    ForShow,
}

/// Tells whether mount(8) called, and what it wants.
///
/// # Errors
/// What is wrong with the arguments, for people.
pub(super) fn called(arguments: &[OsString], longs: &Longs) -> Result<Called, String> {
    let mut rest = arguments.iter();
    let name = rest.next().and_then(|name| Path::new(name).file_name());
    if !name.is_some_and(|name| HELPERS.iter().any(|helper| name == OsStr::new(helper))) {
        return Ok(Called::Plainly);
    }
    let mut made: Vec<OsString> = vec!["gribfs".into(), MOUNT.into()];
    let (mut words, mut sloppy, mut fake) = (Vec::new(), false, false);
    while let Some(argument) = rest.next() {
        let text = argument.to_str().filter(|text| text.starts_with('-'));
        let Some(flags) = text.and_then(|text| text.strip_prefix('-')) else {
            made.push(argument.clone());
            continue;
        };
        match flags {
            "o" | "N" | "t" => {
                let value = rest.next().and_then(|value| value.to_str());
                let value =
                    value.ok_or_else(|| format!("-{flags} wants a value that is a text"))?;
                if flags == "o" {
                    words.extend(options::split(value));
                }
            }
            _ if !flags.is_empty() && flags.chars().all(|flag| "sfnv".contains(flag)) => {
                sloppy |= flags.contains('s');
                fake |= flags.contains('f');
                if flags.contains('v') {
                    made.push("-v".into());
                }
            }
            _ => return Err(format!("mount(8) knows no `-{flags}`")),
        }
    }
    if fake {
        return Ok(Called::ForShow);
    }
    for word in words {
        if sloppy && longs.argument(&word).is_err() {
            continue;
        }
        made.push("-o".into());
        made.push(word.replace(',', r"\,").into());
    }
    Ok(Called::AsHelper(made))
}

/// The arguments with the flags that words of `-o` stand for, right behind the subcommand.
///
/// # Errors
/// The word that is known to nobody.
pub(super) fn with_flags(
    arguments: &[OsString],
    words: &[String],
    longs: &Longs,
) -> Result<Vec<OsString>, String> {
    let mut flags = Vec::new();
    for word in words {
        flags.extend(longs.argument(word)?);
    }
    Ok(behind_subcommand(arguments, flags))
}

/// The arguments with flags put in right behind the subcommand, where no `--` ends the flags yet.
pub(super) fn behind_subcommand(arguments: &[OsString], flags: Vec<OsString>) -> Vec<OsString> {
    // Nothing before a subcommand takes a value.
    let behind = arguments
        .iter()
        .skip(1)
        .position(|argument| argument == MOUNT)
        .map_or(arguments.len(), |at| at + 2);
    let (head, tail) = arguments
        .split_at_checked(behind)
        .unwrap_or((arguments, &[]));
    let (head, tail) = (head.iter().cloned(), tail.iter().cloned());
    head.chain(flags).chain(tail).collect()
}

/// Long flags of `gribfs mount`, and whether each takes a value.
#[derive(Debug)]
pub(super) struct Longs(Vec<(String, bool)>);

impl Longs {
    /// Those of a command line.
    pub(super) fn of(mut command: clap::Command) -> Self {
        command.build();
        let mount = command.find_subcommand(MOUNT);
        let arguments = mount.into_iter().flat_map(clap::Command::get_arguments);
        Self(
            arguments
                .filter(|argument| !argument.is_hide_set())
                .filter_map(|argument| {
                    let takes_value = argument.get_action().takes_values();
                    Some((argument.get_long()?.to_owned(), takes_value))
                })
                .filter(|(name, _)| name != "help" && name != "version")
                .collect(),
        )
    }

    /// A word of `-o` as a flag; none if it is for the mount itself or for others.
    ///
    /// # Errors
    /// If nobody knows it, or it has a value where none belongs.
    fn argument(&self, word: &str) -> Result<Option<OsString>, String> {
        if MountConfig::default()
            .apply(word)
            .map_err(|error| error.to_string())?
        {
            return Ok(None);
        }
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        // As mount options are usually written.
        let name = name.replace('_', "-");
        let known = self.0.iter().find(|(long, _)| *long == name);
        match (known, value) {
            (Some((_, true)), Some(value)) => Ok(Some(format!("--{name}={value}").into())),
            (Some((_, false)), None) => Ok(Some(format!("--{name}").into())),
            (Some((_, true)), None) => {
                Err(format!("mount option `{word}` wants a value: `{word}=...`"))
            }
            (Some((_, false)), Some(_)) => Err(format!("mount option `{name}` takes no value")),
            (None, _) => Err(format!(
                "mount option `{word}` is not known; there are ro, allow_other, uid=N, gid=N, umask=N, exec, fsname=TEXT, direct_io \
                 and the flags of `gribfs mount --help` without their dashes"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longs() -> Longs {
        Longs(vec![
            ("memory".to_owned(), true),
            ("as-of".to_owned(), true),
            ("follow".to_owned(), false),
        ])
    }

    fn texts(arguments: &[&str]) -> Vec<OsString> {
        arguments.iter().map(OsString::from).collect()
    }

    #[test]
    fn words_become_flags_behind_the_subcommand() {
        let words = options::split("ro,memory=2G,as_of=2026-11-22T06,follow,x-y=z,uid=7");
        let arguments = texts(&["gribfs", "-v", "mount", "mount", "/mnt", "-o", "..."]);
        let made = with_flags(&arguments, &words, &longs()).unwrap();
        let flags = ["--memory=2G", "--as-of=2026-11-22T06", "--follow"];
        assert_eq!(&made[..3], texts(&["gribfs", "-v", "mount"]));
        assert_eq!(&made[3..6], texts(&flags));
        assert_eq!(&made[6..], texts(&["mount", "/mnt", "-o", "..."]));
        for (word, wrong) in [
            ("memry=2G", "is not known"),
            ("memory", "wants a value"),
            ("follow=1", "takes no value"),
            ("uid=root", "uid=root"),
        ] {
            let error = with_flags(&arguments, &[word.to_owned()], &longs()).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn mount_8_is_understood() {
        let called = |arguments: &[&str]| called(&texts(arguments), &longs());
        assert_eq!(called(&["/usr/bin/gribfs", "mount"]), Ok(Called::Plainly));
        let wanted = [
            "gribfs",
            "mount",
            "s3://b/t.parquet",
            "/mnt",
            "-v",
            "-o",
            "rw",
            "-o",
            r"fsname=a\,b",
        ];
        assert_eq!(
            called(&[
                "/sbin/mount.gribfs",
                "s3://b/t.parquet",
                "/mnt",
                "-nv",
                "-t",
                "gribfs",
                "-o",
                r"rw,fsname=a\,b"
            ]),
            Ok(Called::AsHelper(texts(&wanted)))
        );
        let sloppy = ["mount.fuse.gribfs", "a", "/mnt", "-s", "-o", "ro,noise"];
        let wanted = ["gribfs", "mount", "a", "/mnt", "-o", "ro"];
        assert_eq!(called(&sloppy), Ok(Called::AsHelper(texts(&wanted))));
        assert_eq!(
            called(&["mount.gribfs", "a", "/mnt", "-f"]),
            Ok(Called::ForShow)
        );
        assert!(called(&["mount.gribfs", "a", "/mnt", "-o"]).is_err());
        assert!(called(&["mount.gribfs", "a", "/mnt", "-z"]).is_err());
    }
}
