//! A file as its editor sees it: the messages of `stmc check`, what its places stand for, and what its names refer to.
//!
//! A text with mistakes is analysed as far as it goes. Where the data are not there, the model is checked on what the
//! fields declare, and whatever depends on an extent stays unsaid.
use crate::cache::Cache;
use crate::symbols::Symbols;
use crate::{data, phases};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stmc_base::diagnostic::add_new;
use stmc_base::{Diagnostic, SourceId, Sources};
use stmc_model::{Facts, Resolved, Settings};

/// Gives the text of a file: the editor's, where it is open there.
pub type Reader<'a> = &'a dyn Fn(&Path) -> io::Result<String>;

/// A file and what it imports.
pub struct Analysis {
    /// Where the main file is; relative paths begin in its folder.
    pub path: PathBuf,
    /// The texts.
    pub sources: Sources,
    /// The main text.
    pub main: SourceId,
    /// The trees.
    pub resolved: Resolved,
    /// Errors and warnings, of all texts.
    pub diagnostics: Vec<Diagnostic>,
    /// What places in the user's texts stand for.
    pub facts: Facts,
    /// What names refer to.
    pub symbols: Symbols,
    /// The data are not there: their extents are made up.
    pub guessed: bool,
}

impl Analysis {
    /// Analyses a text.
    pub fn of(path: &Path, text: &str, read: Reader<'_>, cache: &Cache) -> Analysis {
        cache.grow_older();
        let mut sources = Sources::default();
        let name = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let main = sources.add(name, text);
        let folder = path.parent().unwrap_or(Path::new(""));
        let import = |relative: &str| read(&folder.join(relative));
        let (mut resolved, mistakes) =
            stmc_model::resolve_what_parses(&mut sources, main, &import, &|id, text| cache.parse(id, text));
        let Looked { told, facts, guessed } = look_over(&mut resolved, path, cache);
        let diagnostics = if mistakes.is_empty() { told } else { mistakes };
        let symbols = Symbols::of(&resolved, &sources);
        let path = path.to_path_buf();
        Analysis { path, sources, main, resolved, diagnostics, facts, symbols, guessed }
    }

    /// The text of the main file.
    pub fn text(&self) -> &Arc<str> {
        &self.sources.source(self.main).text
    }

    /// Where a text comes from.
    pub fn origin(&self, source: SourceId) -> Origin {
        let unit = self.resolved.units.iter().find(|u| u.file.span.source == source);
        let name = &self.sources.source(source).name;
        match unit {
            _ if source == self.main => Origin::File(self.path.clone()),
            Some(unit) if unit.library => Origin::Library(name.clone()),
            _ => Origin::File(self.path.parent().unwrap_or(Path::new("")).join(name)),
        }
    }
}

/// What was found in a file that parses.
#[derive(Default)]
struct Looked {
    told: Vec<Diagnostic>,
    facts: Facts,
    guessed: bool,
}

/// Looks at every model with its `train` block and its data, as `stmc check` does. The first one stays chosen.
fn look_over(resolved: &mut Resolved, path: &Path, cache: &Cache) -> Looked {
    let settings = Settings::default();
    let mut all = Looked::default();
    for choice in resolved.choices().into_iter().rev() {
        resolved.choose(choice);
        let bound = data::bind(resolved, &settings, path, &cache.data);
        let (found, facts) = stmc_model::inspect(resolved, &settings, bound.plan.as_ref(), &bound.counts);
        let guessed = bound.guessed;
        let mut told = bound.messages_with(found);
        if !guessed {
            add_new(&mut told, phases::mistakes(resolved, &settings, path, cache));
        }
        add_new(&mut told, all.told);
        all = Looked { told, facts: facts.with(all.facts), guessed: guessed || all.guessed };
    }
    all
}

/// Where a text comes from.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Origin {
    /// A file of the user's.
    File(PathBuf),
    /// The library, which is part of the compiler: `std/nn.stm`.
    Library(String),
}
