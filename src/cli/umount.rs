//! `gribfs umount`.

use std::path::PathBuf;

use clap::Args;

use super::Failure;
use crate::fuse::umount;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  gribfs umount /mnt/gfs")]
pub(super) struct UmountArgs {
    /// Directory that shows the mount
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(args: &UmountArgs) -> Result<u8, Failure> {
    umount(&args.directory).map_err(Failure::failed)?;
    Ok(0)
}
