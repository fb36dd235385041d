//! Definitions, references, and new names for what is declared.
use crate::Origin;
use crate::analysis::{Analysis, Reader};
use crate::cache::Cache;
use crate::symbols::{Kind, SymbolId, Use, Written};
use stmc_base::{Edit, Severity, SourceId, Span};
use stmc_syntax::words::RESERVED;

/// Names that the library's defaults use: they mean the axes of the file that imports it.
const CUSTOMARY: &[&str] = &["batch", "time", "channel", "space"];

impl Analysis {
    /// Where the name at a byte is declared.
    pub fn definition(&self, source: SourceId, at: usize) -> Option<Span> {
        let (id, _) = self.symbols.at(source, at)?;
        Some(self.symbols.symbol(self.symbols.target(id)).span)
    }

    /// Every place where what is named at a byte is named.
    pub fn references(&self, source: SourceId, at: usize) -> Vec<Span> {
        let Some((id, _)) = self.symbols.at(source, at) else { return vec![] };
        self.symbols.places(id).into_iter().map(|u| u.span).collect()
    }

    /// The name at a byte, if it can be renamed; else why not.
    pub fn renamable(&self, source: SourceId, at: usize) -> Result<Span, String> {
        let (id, span) = self.symbols.at(source, at).ok_or("there is no name of yours here")?;
        let symbol = self.symbols.symbol(id);
        if matches!(symbol.kind, Kind::Module(_)) {
            return Err(format!("`{}` is a file", symbol.name));
        }
        if matches!(self.origin(symbol.span.source), Origin::Library(_)) {
            return Err(format!(
                "`{0}` belongs to the library; `use … as …` gives it another name here",
                symbol.name
            ));
        }
        let axis = matches!(symbol.kind, Kind::Axis | Kind::Axes) && symbol.scope.is_none();
        if axis && CUSTOMARY.contains(&&*symbol.name) {
            return Err(format!("`{}` is the name by which the library knows this axis", symbol.name));
        }
        Ok(span)
    }

    /// The edits that give what is named at a byte another name everywhere; else why there are none. The program with the
    /// new name is checked before anything is changed.
    pub fn rename(
        &self,
        source: SourceId,
        at: usize,
        name: &str,
        read: Reader<'_>,
        cache: &Cache,
    ) -> Result<Vec<Edit>, String> {
        self.renamable(source, at)?;
        if !is_name(name) {
            return Err(format!("`{name}` is no name: letters, digits and `_`, and no reserved word"));
        }
        let (id, _) = self.symbols.at(source, at).ok_or("there is no name here")?;
        let mut edits = self.renaming(id, name);
        let Err(why) = self.try_out(&edits, name, read, cache) else { return Ok(edits) };
        // A field that names no variable of the source has the variable's name.
        let field = self.symbols.symbol(self.symbols.target(id));
        if field.kind == Kind::Field {
            let declared = edits.iter_mut().filter(|e| e.span == field.span);
            declared.for_each(|e| e.text = format!("{name} = \"{}\"", field.name));
            if self.try_out(&edits, name, read, cache).is_ok() {
                return Ok(edits);
            }
        }
        Err(why)
    }

    fn renaming(&self, id: SymbolId, name: &str) -> Vec<Edit> {
        let places = self.symbols.places(id);
        let old = &self.symbols.symbol(id).name;
        let both = |span: Span| places.iter().filter(|p| p.span == span).count() > 1;
        let text = |place: &Use| match place.written {
            Written::Plain => name.to_string(),
            _ if both(place.span) => name.to_string(),
            Written::ShortKey => format!("{name}: {old}"),
            Written::ShortValue => format!("{old}: {name}"),
        };
        let mut edits: Vec<Edit> = places.iter().map(|p| Edit { span: p.span, text: text(p) }).collect();
        edits.dedup();
        edits
    }

    /// Whether the program says the same with the edits made.
    fn try_out(&self, edits: &[Edit], name: &str, read: Reader<'_>, cache: &Cache) -> Result<(), String> {
        let main = edited(self.text(), edits, self.main);
        let changed = |path: &std::path::Path| {
            let of = |id: &SourceId| self.origin(*id) == Origin::File(path.to_path_buf());
            match self.sources.iter().map(|(id, _)| id).find(of) {
                Some(id) => Ok(edited(&self.sources.source(id).text, edits, id)),
                None => read(path),
            }
        };
        let after = Analysis::of(&self.path, &main, &changed, cache);
        let mut before: Vec<_> = self.diagnostics.iter().map(|d| d.code).collect();
        // A warning may count samples, and who is in which part goes by the names of axes.
        for found in after.diagnostics.iter().filter(|d| d.severity() == Severity::Error) {
            match before.iter().position(|code| *code == found.code) {
                Some(known) => {
                    before.swap_remove(known);
                }
                None => return Err(format!("with the name `{name}`: {}", found.message)),
            }
        }
        Ok(())
    }
}

/// A text with the edits that lie in it made; they are in order.
pub(crate) fn edited(text: &str, edits: &[Edit], source: SourceId) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for edit in edits.iter().filter(|e| e.span.source == source) {
        out.push_str(&text[done..edit.span.start as usize]);
        out.push_str(&edit.text);
        done = edit.span.end as usize;
    }
    out + &text[done..]
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first)
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !RESERVED.contains(&name)
}
