//! Files that are there in whole or not at all.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use super::exit::Exit;

/// Refuses to write over a file.
///
/// # Errors
/// [`Exit::Conflict`] if there is one, unless it was asked for with `force`.
pub(crate) fn check_new(path: &Path, force: bool) -> anyhow::Result<()> {
    if !force && path.exists() {
        return Err(Exit::Conflict.error(format!("{} is there: choose another name, or --force", path.display())));
    }
    Ok(())
}

/// Writes a file: durably, and so that nobody ever sees a part of it.
///
/// # Errors
/// What the disk says.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("{} names no file", path.display()))?.to_string_lossy();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let scratch = folder.join(format!(".{name}.{}.part", std::process::id()));
    let whole = || {
        fs::create_dir_all(folder)?;
        let mut file = File::create(&scratch)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&scratch, path)?;
        File::open(folder)?.sync_all()
    };
    let written = whole();
    if written.is_err() {
        // It may not even have been made.
        _ = fs::remove_file(&scratch);
    }
    written.with_context(|| format!("{} can't be written", path.display()))
}

/// Reads a file, or standard input for `-`, of at most so many bytes.
///
/// # Errors
/// What the disk says, or that there is more.
pub(crate) fn read(path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let wrong = || format!("{} can't be read", path.display());
    if path == Path::new("-") {
        std::io::stdin().take(limit + 1).read_to_end(&mut bytes).with_context(wrong)?;
    } else {
        File::open(path).with_context(wrong)?.take(limit + 1).read_to_end(&mut bytes).with_context(wrong)?;
    }
    anyhow::ensure!(bytes.len() as u64 <= limit, "{} has more than {limit} bytes", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{Exit, check_new, read, write};
    use crate::cli::exit;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("crowdfold-cli-files-{}-{name}", std::process::id()));
        _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn a_file_is_there_in_whole_and_nothing_else_is_left() {
        let folder = folder("whole");
        let path = folder.join("deep/a.proof");
        check_new(&path, false).expect("it is not there");
        write(&path, b"first").expect("it can be written");
        assert_eq!(exit::of(&check_new(&path, false).expect_err("it is there")), Exit::Conflict);
        check_new(&path, true).expect("it was asked for");
        write(&path, b"second").expect("it can be written");
        assert_eq!(read(&path, 6).expect("it is there"), b"second");
        assert!(read(&path, 5).expect_err("it is longer").to_string().contains("more than 5 bytes"));
        assert_eq!(std::fs::read_dir(folder.join("deep")).expect("a folder").count(), 1);
        // A folder of that name is in the way.
        assert!(write(&folder.join("deep"), b"third").is_err());
        assert_eq!(std::fs::read_dir(&folder).expect("a folder").count(), 1);
        _ = std::fs::remove_dir_all(folder);
    }
}
