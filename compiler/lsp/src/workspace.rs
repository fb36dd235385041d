//! The open files, and what is known of each.
use crate::analysis::{Analysis, Origin};
use crate::cache::Cache;
use gen_lsp_types::Uri;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use stmc_base::{SourceId, Span};
use stmc_model::library;

/// A file that is open in the editor.
pub(crate) struct Document {
    pub path: PathBuf,
    pub version: i32,
    pub text: String,
    /// `None`: it has changed since.
    pub analysis: Option<Analysis>,
}

/// A change of a file.
pub(crate) struct FileEdit {
    pub path: PathBuf,
    /// Before the change.
    pub text: String,
    pub start: usize,
    pub end: usize,
    pub new: String,
}

/// All open files.
pub(crate) struct Workspace {
    pub documents: BTreeMap<Uri, Document>,
    cache: Cache,
    /// Where texts of the library are put when somebody wants to see them.
    library: PathBuf,
}

impl Workspace {
    pub(crate) fn new(library: PathBuf) -> Workspace {
        Workspace { documents: BTreeMap::new(), cache: Cache::default(), library }
    }

    pub(crate) fn open(&mut self, uri: Uri, version: i32, text: String) {
        let path = uri.to_file_path().unwrap_or_else(|()| PathBuf::from(uri.path()));
        self.forget(&path);
        self.documents.insert(uri, Document { path, version, text, analysis: None });
    }

    pub(crate) fn change(&mut self, uri: &Uri, version: i32, edit: impl FnOnce(&mut String)) {
        let Some(document) = self.documents.get_mut(uri) else { return };
        edit(&mut document.text);
        document.version = version;
        document.analysis = None;
        let path = document.path.clone();
        self.forget(&path);
    }

    pub(crate) fn close(&mut self, uri: &Uri) {
        if let Some(document) = self.documents.remove(uri) {
            self.forget(&document.path);
        }
    }

    /// Files on disk have changed.
    pub(crate) fn forget_all(&mut self) {
        self.documents.values_mut().for_each(|d| d.analysis = None);
    }

    /// Whatever imports this file is to be looked at again.
    fn forget(&mut self, path: &Path) {
        let changed = Origin::File(path.to_path_buf());
        for document in self.documents.values_mut() {
            let uses = |a: &Analysis| a.sources.iter().any(|(id, _)| a.origin(id) == changed);
            // What could not be read may be there now.
            if document.analysis.as_ref().is_some_and(|a| uses(a) || !a.diagnostics.is_empty()) {
                document.analysis = None;
            }
        }
    }

    /// Analyses what has changed.
    pub(crate) fn refresh(&mut self) {
        let stale: Vec<Uri> =
            self.documents.iter().filter(|(_, d)| d.analysis.is_none()).map(|(uri, _)| uri.clone()).collect();
        for uri in stale {
            let document = &self.documents[&uri];
            let made = self.analyse(&document.path, &document.text);
            self.documents.get_mut(&uri).expect("it was found").analysis = Some(made);
        }
    }

    fn analyse(&self, path: &Path, text: &str) -> Analysis {
        Analysis::of(path, text, &|p| self.read(p), &self.cache)
    }

    /// The text of a file, as the editor has it if it is open.
    pub(crate) fn read(&self, path: &Path) -> io::Result<String> {
        match self.documents.values().find(|d| d.path == path) {
            Some(document) => Ok(document.text.clone()),
            None => std::fs::read_to_string(path),
        }
    }

    /// An open file, analysed. `None`: it is not open.
    pub(crate) fn document(&self, uri: &Uri) -> Option<(&Document, &Analysis)> {
        let document = self.documents.get(uri)?;
        Some((document, document.analysis.as_ref()?))
    }

    /// What could be written at a byte.
    pub(crate) fn completions(&self, analysis: &Analysis, at: usize) -> Vec<crate::complete::Completion> {
        analysis.completions(at, &|p| self.read(p), &self.cache)
    }

    // ------------------------------------------------------------ files

    /// The name of a file as the editor knows it.
    pub(crate) fn uri(&self, path: &Path) -> Option<Uri> {
        let open = self.documents.iter().find(|(_, d)| d.path == path).map(|(uri, _)| uri.clone());
        open.or_else(|| Uri::from_file_path(path).ok())
    }

    /// Whether a file shows a text of the library: it is not the user's, and has no mistakes.
    pub(crate) fn is_library(&self, path: &Path) -> bool {
        path.starts_with(&self.library)
    }

    /// The file that holds a text. A text of the library is written to one first.
    pub(crate) fn file(&self, analysis: &Analysis, source: SourceId) -> io::Result<PathBuf> {
        match analysis.origin(source) {
            Origin::File(path) => Ok(path),
            Origin::Library(name) => self.library_file(&name),
        }
    }

    fn library_file(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.library.join(name);
        let module = name.trim_end_matches(".stm").replace('/', ".");
        let text = library::module(&module).unwrap_or_default();
        if std::fs::read_to_string(&path).is_ok_and(|there| there == text) {
            return Ok(path);
        }
        std::fs::create_dir_all(path.parent().unwrap_or(&self.library))?;
        let fresh = path.with_extension(format!("{}.new", std::process::id()));
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, &path)?;
        Ok(path)
    }

    // ------------------------------------------------------------ names in several files

    /// The analyses that know a file: of open files, and of those beside it that import it.
    fn knowing(&self, path: &Path) -> Vec<Analysis> {
        let mut files: Vec<PathBuf> = self.documents.values().map(|d| d.path.clone()).collect();
        let beside = path.parent().map(std::fs::read_dir);
        for entry in beside.into_iter().flatten().flatten().flatten() {
            let file = entry.path();
            if file.extension().is_some_and(|e| e == "stm") && !files.contains(&file) {
                files.push(file);
            }
        }
        files.sort();
        let origin = Origin::File(path.to_path_buf());
        let analysed = files.iter().filter_map(|file| {
            let text = self.read(file).ok()?;
            Some(self.analyse(file, &text))
        });
        analysed.filter(|a| a.sources.iter().any(|(id, _)| a.origin(id) == origin)).collect()
    }

    /// The places in all files where what is named at a byte is named.
    pub(crate) fn references(&self, analysis: &Analysis, at: usize) -> Vec<(PathBuf, String, Span)> {
        let mut found = vec![];
        for (other, source, start) in self.in_others(analysis, at) {
            for span in other.references(source, start) {
                if let Ok(path) = self.file(&other, span.source) {
                    let text = other.sources.source(span.source).text.to_string();
                    let same = |(p, _, s): &(PathBuf, String, Span)| {
                        *p == path && (s.start, s.end) == (span.start, span.end)
                    };
                    if !found.iter().any(same) {
                        found.push((path, text, span));
                    }
                }
            }
        }
        found.sort_by(|a, b| (&a.0, a.2.start).cmp(&(&b.0, b.2.start)));
        found
    }

    /// The name at a byte, if it can be renamed; else why not.
    pub(crate) fn renamable(&self, analysis: &Analysis, at: usize) -> Result<Span, String> {
        if self.is_library(&analysis.path) {
            return Err("this text belongs to the library".into());
        }
        analysis.renamable(analysis.main, at)
    }

    /// The edits in all files that give what is named at a byte another name.
    pub(crate) fn rename(&self, analysis: &Analysis, at: usize, name: &str) -> Result<Vec<FileEdit>, String> {
        self.renamable(analysis, at)?;
        let mut edits: Vec<FileEdit> = vec![];
        for (other, source, start) in self.in_others(analysis, at) {
            for edit in other.rename(source, start, name, &|p| self.read(p), &self.cache)? {
                let path = self.file(&other, edit.span.source).map_err(|e| e.to_string())?;
                let (start, end) = (edit.span.start as usize, edit.span.end as usize);
                if !edits.iter().any(|e| e.path == path && e.start == start) {
                    let text = other.sources.source(edit.span.source).text.to_string();
                    edits.push(FileEdit { path, text, start, end, new: edit.text });
                }
            }
        }
        edits.sort_by(|a, b| (&a.path, a.start).cmp(&(&b.path, b.start)));
        Ok(edits)
    }

    /// Every analysis that knows the declaration of what is named at a byte, and the declaration's place in it.
    fn in_others(&self, analysis: &Analysis, at: usize) -> Vec<(Analysis, SourceId, usize)> {
        let Some((id, _)) = analysis.symbols.at(analysis.main, at) else { return vec![] };
        let declared = analysis.symbols.symbol(id).span;
        let origin = analysis.origin(declared.source);
        let path = match &origin {
            Origin::File(path) => path.clone(),
            Origin::Library(_) => analysis.path.clone(),
        };
        let place = |a: &Analysis| a.sources.iter().map(|(id, _)| id).find(|id| a.origin(*id) == origin);
        let all = self.knowing(&path).into_iter();
        all.filter_map(|a| place(&a).map(|source| (a, source, declared.start as usize))).collect()
    }
}
