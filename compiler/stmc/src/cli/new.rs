//! `stmc new`: a folder with a program that trains as it is, on data that it makes up.
use super::{make_folder, print, unwritable};
use crate::Error;
use clap::ValueEnum;
use std::path::Path;

/// What to begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Template {
    /// The next radar frames from the last ones: convolutional LSTM cells
    Nowcast,
    /// The next map on a grid from the last ones: residual blocks
    Forecast,
    /// The class of a sequence of maps: strided convolutions
    Classifier,
}

impl Template {
    fn text(self) -> &'static str {
        match self {
            Template::Nowcast => include_str!("../../templates/nowcast.stm"),
            Template::Forecast => include_str!("../../templates/forecast.stm"),
            Template::Classifier => include_str!("../../templates/classifier.stm"),
        }
    }
}

/// Makes the folder, `NAME.stm` in it, and what keeps its runs out of git.
pub(super) fn run(folder: &Path, template: Template) -> Result<(), Error> {
    let name = folder.file_name().and_then(|n| n.to_str()).filter(|n| !n.starts_with('-'));
    let name =
        name.ok_or_else(|| Error::Usage(format!("{}: this is no name for a model", folder.display())))?;
    if std::fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_some()) || folder.is_file() {
        return Err(Error::World(format!(
            "{}: this is there already; nothing was changed",
            folder.display()
        )));
    }
    make_folder(folder)?;
    let program = folder.join(format!("{name}.stm"));
    for (path, text) in [(&program, template.text()), (&folder.join(".gitignore"), "/runs/\n")] {
        std::fs::write(path, text).map_err(|e| unwritable(path, &e))?;
    }
    print(&format!(
        "{}\n\n  cd {}\n  stmc check {name}.stm\n  stmc train {name}.stm\n",
        program.display(),
        folder.display()
    ))
}
