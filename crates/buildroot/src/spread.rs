//! A folder whose folders have nothing to do with one another, so that the file system keeps them apart.
//!
//! ext4 puts a new folder near its parent, and files near their folder. Roots come and go: the place of each new one is then full of
//! what the last one left, and a file system without a journal goes round every file that was deleted in the last five
//! minutes, one by one (`recently_deleted` in Linux' `fs/ext4/ialloc.c`), which made an installation five times as long. A top
//! folder's folders go to groups of blocks of their own instead (`chattr +T`, `EXT4_TOPDIR_FL` in `find_group_orlov`).

use std::path::Path;

use rustix::fs::{CWD, IFlags, Mode, OFlags, ioctl_getflags, ioctl_setflags, openat};
use rustix::io::{Errno, Result};

/// Has each folder that is made in `folder` from now on placed by itself. File systems that know nothing of this do as they do.
pub(crate) fn spread(folder: &Path) -> Result<()> {
    let open = openat(CWD, folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let set = ioctl_getflags(&open).and_then(|flags| match flags.contains(IFlags::TOPDIR) {
        true => Ok(()),
        false => ioctl_setflags(&open, flags | IFlags::TOPDIR),
    });
    match set {
        Err(Errno::NOTTY | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS | Errno::PERM | Errno::ACCESS) => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_spread_where_the_file_system_can_and_is_as_it_was_where_not() {
        let folder = tempfile::tempdir().expect("make a directory");
        let flags = || {
            let open = openat(CWD, folder.path(), OFlags::RDONLY, Mode::empty()).expect("open");
            ioctl_getflags(open)
        };

        spread(folder.path()).expect("spread");
        spread(folder.path()).expect("spread again");

        let is_ext4 = rustix::fs::statfs(folder.path()).expect("ask the file system").f_type == 0xEF53;
        assert!(!is_ext4 || flags().expect("read flags").contains(IFlags::TOPDIR));
    }
}
