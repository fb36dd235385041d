//! What a shell and `man` want to know of the command line: made from the arguments, so it cannot go stale.
use super::args::Args;
use super::{make_folder, plural, print, unwritable};
use crate::Error;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// A script that completes commands, options and files in a shell.
pub(super) fn completions(shell: Shell) -> Result<(), Error> {
    let mut script = vec![];
    clap_complete::generate(shell, &mut Args::command(), "stmc", &mut script);
    print(&String::from_utf8(script).expect("a script is text"))
}

/// The manual: the page of `stmc` alone, or a page for each command in a folder.
pub(super) fn manual(folder: Option<&Path>) -> Result<(), Error> {
    let Some(folder) = folder else {
        return print(&page(arguments()));
    };
    make_folder(folder)?;
    let main = arguments();
    let pages = main.get_subcommands().cloned().collect::<Vec<_>>();
    let count = pages.len() + 1;
    for command in std::iter::once(main).chain(pages) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_string();
        let path = folder.join(format!("{name}.1"));
        std::fs::write(&path, page(command)).map_err(|e| unwritable(&path, &e))?;
    }
    print(&format!("{}: {}\n", folder.display(), plural(count, "page")))
}

/// `stmc help` has no page: it only says what the others do.
fn arguments() -> clap::Command {
    let mut command = Args::command().disable_help_subcommand(true);
    command.build();
    command
}

fn page(command: clap::Command) -> String {
    let mut page = vec![];
    clap_mangen::Man::new(command).render(&mut page).expect("a list of bytes can be written to");
    String::from_utf8(page).expect("a page is text")
}
