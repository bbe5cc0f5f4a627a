//! How much space is left.

use std::io;
use std::path::Path;

use nix::sys::statvfs::statvfs;

/// Free bytes on the file system of a path, for programs that are not root.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    Ok(found.blocks_available().saturating_mul(found.fragment_size()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_has_space() {
        let directory = tempfile::tempdir().unwrap();
        assert!(free_bytes(directory.path()).unwrap() > 0);
        assert!(free_bytes(&directory.path().join("nowhere")).is_err());
    }
}
