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
    /// A number of each row of a table from its other columns: a small network
    Table,
}

impl Template {
    fn program(self) -> &'static str {
        match self {
            Template::Nowcast => include_str!("../../templates/nowcast.stm"),
            Template::Forecast => include_str!("../../templates/forecast.stm"),
            Template::Classifier => include_str!("../../templates/classifier.stm"),
            Template::Table => include_str!("../../templates/table.stm"),
        }
    }

    /// The file that the program reads: its name and text. `None`: a generator makes its data.
    fn data(self) -> Option<(&'static str, &'static str)> {
        (self == Template::Table).then_some(("table.csv", include_str!("../../templates/table.csv")))
    }
}

/// Makes the folder, `NAME.stm` in it, its data, and what keeps its runs out of git.
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
    let program = format!("{name}.stm");
    let files = [(program.as_str(), template.program()), (".gitignore", "/runs/\n")];
    for (file, text) in files.into_iter().chain(template.data()) {
        let path = folder.join(file);
        std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
    }
    let shown = folder.display();
    print(&format!(
        "{}\n\n  cd {shown}\n  stmc check {program}\n  stmc train {program}\n",
        folder.join(&program).display()
    ))
}
