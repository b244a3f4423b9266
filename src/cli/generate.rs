//! `gribfs generate`: manual pages and shell completions, made from the command line's own description. For packages.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory as _};
use clap_complete::{Shell, generate_to};

use super::{Cli, Failure};

/// What mount(8) users look up: the page of `gribfs mount` under another name.
#[cfg(feature = "fuse")]
const HELPER_PAGE: (&str, &str) = ("man8/mount.gribfs.8", ".so man1/gribfs-mount.1\n");

#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Directory for man1/, man8/ and completions/
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &GenerateArgs) -> Result<u8, Failure> {
    let wrong = |error| Failure::failed(format!("{}: {error}", args.directory.display()));
    write(&args.directory, &Cli::command()).map_err(wrong)?;
    Ok(0)
}

fn write(directory: &Path, command: &Command) -> std::io::Result<()> {
    let pages = directory.join("man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command.clone(), &pages)?;
    #[cfg(feature = "fuse")]
    {
        let (name, text) = HELPER_PAGE;
        fs::create_dir_all(directory.join("man8"))?;
        fs::write(directory.join(name), text)?;
    }
    let completions = directory.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command.clone(), "gribfs", &completions)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        let command = Cli::command();
        write(folder.path(), &command).unwrap();
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
            let name = sub.get_name();
            let page = folder.path().join(format!("man1/gribfs-{name}.1"));
            let text = fs::read_to_string(&page).unwrap();
            assert!(text.contains(".SH OPTIONS"), "{name}");
            for file in ["gribfs.bash", "_gribfs", "gribfs.fish"] {
                let text =
                    fs::read_to_string(folder.path().join("completions").join(file)).unwrap();
                assert!(text.contains(name), "{file} does not know {name}");
            }
        }
        assert!(!folder.path().join("man1/gribfs-generate.1").exists());
    }
}
