//! `stmc fmt`: files into the house style. What is wrong with one file does not keep the others from being formatted.
use super::args::Format;
use super::{print, report, unwritable};
use crate::Error;
use similar::TextDiff;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stmc_base::Sources;
use stmc_base::diagnostic::Style;

/// What is done with a file that is not in the house style.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// It is rewritten.
    Write,
    /// The differences are printed, and the exit code is 1.
    Compare,
}

/// What became of a file.
enum Found {
    Formatted,
    Unformatted,
}

/// Formats files, the `.stm` files of folders, and standard input for `-`.
pub(super) fn run(paths: &[PathBuf], action: Action, format: Format) -> Result<ExitCode, Error> {
    let mut code = ExitCode::SUCCESS;
    for path in files(paths)? {
        match one(&path, action) {
            Ok(Found::Unformatted) if action == Action::Compare => code = ExitCode::FAILURE,
            Ok(_) => {}
            Err(error) => {
                report(&error, format);
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

/// The files that are meant, in order.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![];
    for path in paths {
        if path.is_dir() {
            let before = found.len();
            collect(path, &mut found).map_err(|e| unreadable(path, &e))?;
            if found.len() == before {
                return Err(Error::Usage(format!(
                    "{}: there is no `.stm` file in this folder",
                    path.display()
                )));
            }
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    let mut entries =
        std::fs::read_dir(folder)?.map(|e| Ok(e?.path())).collect::<std::io::Result<Vec<_>>>()?;
    entries.sort();
    let is_hidden = |path: &Path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.'));
    for path in entries.into_iter().filter(|path| !is_hidden(path)) {
        // A link may lead back to a folder above.
        if path.is_dir() && !path.is_symlink() {
            collect(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "stm") {
            found.push(path);
        }
    }
    Ok(())
}

fn one(path: &Path, action: Action) -> Result<Found, Error> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "<stdin>".to_string() } else { path.display().to_string() };
    let text = if is_stdin { read_stdin() } else { std::fs::read_to_string(path) };
    let text = text.map_err(|e| Error::World(format!("{name}: {}", crate::front::reason(&e))))?;
    let mut sources = Sources::default();
    let id = sources.add(name.clone(), text.clone());
    let formatted = stmc_syntax::format(id, &text).map_err(|d| Error::program(&sources, d))?;
    let is_formatted = formatted == text;
    match action {
        Action::Compare if !is_formatted => print(&difference(&name, &text, &formatted))?,
        Action::Write if is_stdin => print(&formatted)?,
        Action::Write if !is_formatted => {
            replace(path, &formatted).map_err(|e| unwritable(path, &e))?;
            print(&format!("{name}: formatted\n"))?;
        }
        _ => {}
    }
    Ok(if is_formatted { Found::Formatted } else { Found::Unformatted })
}

fn read_stdin() -> std::io::Result<String> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Writes beside the file and renames, so that at no moment there is half a file. Links stay links.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let name = path.file_name().expect("a file that was read has a name").to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = std::fs::write(&beside, text)
        .and_then(|()| std::fs::set_permissions(&beside, std::fs::metadata(&path)?.permissions()))
        .and_then(|()| std::fs::rename(&beside, &path));
    if written.is_err() {
        // What is left of it helps nobody; the first error is the one to tell.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::World(format!("{}: {}", path.display(), crate::front::reason(error)))
}

/// A unified diff, in colour on a terminal.
fn difference(name: &str, before: &str, after: &str) -> String {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().header(name, "formatted").to_string();
    match super::style_for(std::io::stdout().is_terminal()) {
        Style::Plain => text,
        Style::Colour => text.lines().map(coloured).collect(),
    }
}

fn coloured(line: &str) -> String {
    let code = match line.chars().next() {
        Some('+') => 32,
        Some('-') => 31,
        Some('@') => 36,
        _ => return format!("{line}\n"),
    };
    format!("\x1b[{code}m{line}\x1b[0m\n")
}
