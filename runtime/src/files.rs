//! Files that are whole or absent: written under another name, flushed to the disk, then renamed. Every error names its path.
use crate::error::{Result, RunError};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Writes a file so that a reader, or a crash at any moment, sees the old content or the new one.
pub fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let draft = draft_of(path);
    may_crash();
    let written = write_through(&draft, content).and_then(|()| {
        may_crash();
        std::fs::rename(&draft, path)
    });
    written.map_err(|e| {
        // A draft that could not be completed only takes up space.
        let _ = std::fs::remove_file(&draft);
        RunError::file(path, e)
    })?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Makes a file that `write` writes under the name it is given, so that it is there whole or not at all.
pub fn whole(path: &Path, write: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let draft = draft_of(path);
    // A folder that takes no file is told by the name that the file was to have.
    File::create(&draft).map_err(|e| RunError::file(path, e))?;
    let made = write(&draft).and_then(|()| rename(&draft, path));
    if made.is_err() {
        let _ = std::fs::remove_file(&draft);
    }
    made
}

/// Makes a name point to another entry of the same folder, in one step.
pub(crate) fn point(link: &Path, target: &str) -> Result<()> {
    let draft = draft_of(link);
    let _ = std::fs::remove_file(&draft);
    may_crash();
    let switched = symlink(target, &draft).and_then(|()| {
        may_crash();
        std::fs::rename(&draft, link)
    });
    switched.map_err(|e| RunError::file(link, e))?;
    sync_folder(link.parent().unwrap_or(Path::new(".")))
}

/// What a pointer made by `point` says. `None`: there is none.
pub(crate) fn pointed(link: &Path) -> Option<PathBuf> {
    read_symlink(link).ok()
}

/// Gives an entry another name, which is free.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    may_crash();
    std::fs::rename(from, to).map_err(|e| RunError::file(to, e))
}

/// Removes a folder with what is in it, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<()> {
    may_crash();
    match std::fs::remove_dir_all(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(RunError::file(path, e)),
        _ => Ok(()),
    }
}

/// Waits until a file's content is on the disk.
pub(crate) fn sync(path: &Path) -> Result<()> {
    may_crash();
    File::open(path).and_then(|f| f.sync_all()).map_err(|e| RunError::file(path, e))
}

/// Waits until a folder's entries are on the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    if cfg!(unix) { sync(path) } else { Ok(()) }
}

/// The text of a file.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|e| RunError::file(path, e))
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path).map_err(|e| RunError::file(path, e))
}

fn draft_of(path: &Path) -> PathBuf {
    let name = path.file_name().expect("a file has a name").to_string_lossy();
    path.with_file_name(format!(".{name}.draft"))
}

fn write_through(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(unix)]
fn read_symlink(link: &Path) -> std::io::Result<PathBuf> {
    std::fs::read_link(link)
}

// Elsewhere symbolic links need a privilege: the pointer is a small text file.
#[cfg(not(unix))]
fn symlink(target: &str, link: &Path) -> std::io::Result<()> {
    write_through(link, target.as_bytes())
}

#[cfg(not(unix))]
fn read_symlink(link: &Path) -> std::io::Result<PathBuf> {
    std::fs::read_to_string(link).map(PathBuf::from)
}

/// Stands before every change of the disk: tests crash here.
fn may_crash() {
    #[cfg(test)]
    crash::tick();
}

/// Crashes on purpose.
#[cfg(test)]
pub(crate) mod crash {
    use std::cell::Cell;

    thread_local!(static LEFT: Cell<Option<usize>> = const { Cell::new(None) });

    /// Runs `f`, and panics in the middle of it before change number `after` of the disk. Whether it came to that.
    pub(crate) fn within(after: usize, f: impl FnOnce()) -> bool {
        LEFT.set(Some(after));
        let crashed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).is_err();
        LEFT.set(None);
        crashed
    }

    pub(super) fn tick() {
        match LEFT.get() {
            Some(0) => std::panic::resume_unwind(Box::new("a crash on purpose")),
            left => LEFT.set(left.map(|n| n - 1)),
        }
    }
}
