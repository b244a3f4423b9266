//! Settings of a mount, and the words of `-o` and `/etc/fstab` that change them.
//!
//! `-o ro,allow_other,umask=027,x-systemd.automount` is split by [`split`] and each word is given to
//! [`MountConfig::apply`], which takes what belongs to mounting, passes over what other programs read, and hands back
//! what it does not know, so that the command can try it as a flag of its own.

use std::time::Duration;

use super::error::MountError;

/// Permission bits of files: readable by all, since `allow_other` decides who gets that far.
const FILE_MODE: u16 = 0o444;
/// Permission bits of directories.
const DIRECTORY_MODE: u16 = 0o555;
/// More loops than this gained nothing, as no callback blocks.
const MAX_THREADS: usize = 8;

/// Settings of one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountConfig {
    /// What `df` and `mount` show as the source. Default: `gribfs`.
    pub source_name: String,
    /// Others than the user who mounts may read. Default: no, as users need a line in `/etc/fuse.conf` for it.
    pub allow_other: bool,
    /// Owner of all files. Default: the user who mounts.
    pub uid: Option<u32>,
    /// Group of all files. Default: that of the user who mounts.
    pub gid: Option<u32>,
    /// Permission bits of files. Default: 0444.
    pub file_mode: u16,
    /// Permission bits of directories. Default: 0555.
    pub directory_mode: u16,
    /// Threads that answer the kernel. Default: one per core, at most 8: callbacks do not block, so more do not help.
    pub threads: usize,
    /// Reads go past the page cache: less work for data that is read once, much more for small reads. Default: no.
    pub direct_io: bool,
    /// Programs on the mount may be run. Default: no, there are none.
    pub exec: bool,
    /// When a read is given up, whatever the tree says. Default: 90 s, more than the 60 s that storage allows itself,
    /// so that it only ever catches a read that lost its own deadline.
    pub read_deadline: Duration,
    /// How long the root may take to answer its first `stat`. Default: 10 s.
    pub start_deadline: Duration,
}

impl Default for MountConfig {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            source_name: "gribfs".to_owned(),
            allow_other: false,
            uid: None,
            gid: None,
            file_mode: FILE_MODE,
            directory_mode: DIRECTORY_MODE,
            threads: cores.min(MAX_THREADS),
            direct_io: false,
            exec: false,
            read_deadline: Duration::from_secs(90),
            start_deadline: Duration::from_secs(10),
        }
    }
}

impl MountConfig {
    /// Takes one word of `-o`. `false` if it is not known here.
    ///
    /// # Errors
    /// [`MountError::Option`] for a value that is not one.
    pub fn apply(&mut self, option: &str) -> Result<bool, MountError> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        match (name, value) {
            ("allow_other", None) => self.allow_other = true,
            ("direct_io", None) => self.direct_io = true,
            ("exec", None) => self.exec = true,
            ("noexec", None) => self.exec = false,
            ("fsname", Some(text)) => self.source_name = text.to_owned(),
            ("uid", Some(text)) => self.uid = Some(number(option, text, 10)?),
            ("gid", Some(text)) => self.gid = Some(number(option, text, 10)?),
            ("umask", Some(text)) => {
                let mask = mask(option, text)?;
                self.file_mode = FILE_MODE & !mask;
                self.directory_mode = DIRECTORY_MODE & !mask;
            }
            ("fmask", Some(text)) => self.file_mode = FILE_MODE & !mask(option, text)?,
            ("dmask", Some(text)) => self.directory_mode = DIRECTORY_MODE & !mask(option, text)?,
            _ => return Ok(is_for_others(name)),
        }
        Ok(true)
    }
}

/// Words that mean something to mount(8), systemd or the kernel's own defaults, and nothing more to a read-only mount
/// without devices. mount(8) adds `rw` by itself, so it is no request for a writable mount.
fn is_for_others(name: &str) -> bool {
    const PASSED_OVER: [&str; 39] = [
        "ro",
        "rw",
        "defaults",
        "auto",
        "noauto",
        "nofail",
        "_netdev",
        "_rnetdev",
        "user",
        "users",
        "nouser",
        "nousers",
        "owner",
        "noowner",
        "group",
        "nogroup",
        "dev",
        "nodev",
        "suid",
        "nosuid",
        "sync",
        "async",
        "dirsync",
        "atime",
        "noatime",
        "diratime",
        "nodiratime",
        "relatime",
        "norelatime",
        "strictatime",
        "lazytime",
        "nolazytime",
        "nosymfollow",
        "silent",
        "helper",
        "uhelper",
        "comment",
        "default_permissions",
        "subtype",
    ];
    PASSED_OVER.contains(&name) || name.starts_with("x-") || name.starts_with("X-")
}

fn number(option: &str, text: &str, radix: u32) -> Result<u32, MountError> {
    u32::from_str_radix(text, radix).map_err(|error| MountError::Option {
        option: option.to_owned(),
        reason: error.to_string(),
    })
}

fn mask(option: &str, text: &str) -> Result<u16, MountError> {
    let bits = number(option, text, 8)?;
    u16::try_from(bits)
        .ok()
        .filter(|bits| *bits <= 0o777)
        .ok_or_else(|| MountError::Option {
            option: option.to_owned(),
            reason: "not within 0..777".to_owned(),
        })
}

/// Splits the argument of `-o` at its commas; `\,` is a comma within a word, and so is one between `"`, as mount(8) has it.
#[must_use]
pub fn split(options: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut characters = options.chars().peekable();
    let mut quoted = false;
    while let Some(character) = characters.next() {
        let escaped = character == '\\' && characters.next_if_eq(&',').is_some();
        if character == '"' {
            quoted = !quoted;
        } else if character == ',' && !quoted {
            words.push(String::new());
        } else if let Some(word) = words.last_mut() {
            word.push(if escaped { ',' } else { character });
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_at_commas_that_are_not_escaped() {
        assert_eq!(split(r"a,b=c\,d,,e\f,"), ["a", "b=c,d", r"e\f"]);
        assert_eq!(
            split(r#"ro,level="500,850",follow"#),
            ["ro", "level=500,850", "follow"]
        );
        assert!(split("").is_empty());
    }

    #[test]
    fn known_words_set_what_they_say() {
        let mut config = MountConfig::default();
        for word in
            split("rw,allow_other,uid=7,gid=8,umask=027,_netdev,x-systemd.automount,direct_io")
        {
            assert!(config.apply(&word).unwrap(), "{word}");
        }
        assert!(config.allow_other && config.direct_io);
        assert_eq!((config.uid, config.gid), (Some(7), Some(8)));
        assert_eq!((config.file_mode, config.directory_mode), (0o440, 0o550));
        assert!(!config.apply("follow").unwrap());
        assert!(!config.apply("allow_other=1").unwrap());
    }

    #[test]
    fn values_that_are_none_are_refused() {
        let mut config = MountConfig::default();
        for word in ["uid=root", "umask=8", "umask=1000", "gid=-1", "fmask="] {
            let error = config.apply(word).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}
