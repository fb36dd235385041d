//! `stmc doc`: what modules declare, on the terminal or as pages.
use super::{make_folder, plural, print, style_for, unwritable};
use crate::Error;
use std::io::IsTerminal;
use std::path::Path;
use stmc_base::Sources;
use stmc_doc::{Found, Library, Module};

/// `name`: a module, an entry, or a file; `html`: the folder for pages.
pub(super) fn run(name: Option<&str>, html: Option<&Path>) -> Result<(), Error> {
    let mut library = Library::standard();
    let file = name.filter(|name| name.ends_with(".stm"));
    if let Some(file) = file {
        library.modules.push(read(file)?);
    }
    if let Some(folder) = html {
        return write_pages(&library, folder);
    }
    let style = style_for(std::io::stdout().is_terminal());
    let Some(name) = name else { return print(&stmc_doc::overview(&library, style)) };
    match stmc_doc::find(&library, name) {
        Found::Module(module) => print(&stmc_doc::module(module, style)),
        Found::Entries(entries) => {
            let texts: Vec<String> = entries.iter().map(|(m, e)| stmc_doc::entry(m, e, style)).collect();
            print(&texts.join("\n"))
        }
        Found::Nothing(nearest) => {
            let help =
                nearest.map_or("`stmc doc` lists the modules".into(), |n| format!("did you mean `{n}`?"));
            Err(Error::Usage(format!("there is no `{name}` in the library; {help}")))
        }
    }
}

fn read(file: &str) -> Result<Module, Error> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|e| Error::World(format!("{file}: {}", crate::front::reason(&e))))?;
    let mut sources = Sources::default();
    sources.add(file, text.as_str());
    Module::read(file, &text).map_err(|d| Error::program(&sources, d))
}

fn write_pages(library: &Library, folder: &Path) -> Result<(), Error> {
    make_folder(folder)?;
    let pages = stmc_doc::pages(library);
    for (name, text) in &pages {
        let path = folder.join(name);
        std::fs::write(&path, text).map_err(|e| unwritable(&path, &e))?;
    }
    print(&format!("{}: {}\n", folder.join("index.html").display(), plural(library.modules.len(), "module")))
}
