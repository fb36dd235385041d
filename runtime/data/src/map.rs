//! Files as bytes: memory-mapped, so that data larger than memory are read page by page as they are needed.
use crate::DataError;
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// The bytes of a file.
pub(crate) struct Bytes(Mmap);

impl Bytes {
    /// Maps a file. `name` is the path as the user wrote it.
    pub(crate) fn open(path: &Path, name: &str) -> Result<Bytes, DataError> {
        let failed = |e: std::io::Error| DataError::unreadable(name, reason(&e) + &near(path, &e));
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            return Err(DataError::unreadable(name, "this is a directory, a file is needed"));
        }
        // SAFETY: the map is only read, as plain bytes of which every value is fine. What remains is the promise that
        // no other process cuts the file while it is read: the system would stop us then, as it does every reader of maps.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Bytes(map))
    }
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Of a file that is not there: the one beside it that was probably meant.
fn near(path: &Path, error: &std::io::Error) -> String {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return String::new() };
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let there = match std::fs::read_dir(folder) {
        Ok(entries) if error.kind() == std::io::ErrorKind::NotFound => entries,
        _ => return String::new(),
    };
    let name = name.to_string_lossy();
    let files = there.flatten().map(|e| e.file_name().to_string_lossy().into_owned());
    let scored = files.map(|file| (stmc_base::distance(&name, &file), file));
    let nearest = scored.filter(|(d, _)| *d <= 2 + name.len() / 8).min();
    nearest.map_or(String::new(), |(_, file)| format!("; did you mean `{file}`?"))
}

/// What the system says, in the words of these messages.
fn reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file".into(),
        std::io::ErrorKind::PermissionDenied => "the file may not be read (permission denied)".into(),
        _ => error.to_string(),
    }
}
