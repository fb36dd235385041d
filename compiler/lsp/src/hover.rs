//! What an editor shows of the place under the pointer: declaration, type or value, documentation.
use crate::Analysis;
use crate::symbols::{Kind, SymbolId};
use stmc_base::{SourceId, Span};
use stmc_model::{Fact, vocabulary};
use stmc_syntax::tokens::{Kind as TokenKind, tokens};

/// A layer that is used several times shows so many of its types.
const SHOWN: usize = 3;

/// Lines of a declaration that are shown.
const LINES: usize = 12;

/// Markdown on a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hover {
    /// The place.
    pub span: Span,
    /// Of these parts some are there: what is declared, what it is here, what its author says.
    pub markdown: String,
}

impl Analysis {
    /// What is known of a byte of a text. `None`: nothing.
    pub fn hover(&self, source: SourceId, at: usize) -> Option<Hover> {
        if let Some((id, span)) = self.symbols.at(source, at) {
            return Some(self.hover_symbol(id, span));
        }
        let text = self.sources.source(source).text.clone();
        let token = tokens(&text).into_iter().find(|t| t.start <= at && at < t.end())?;
        let span = token.span(source);
        match token.kind {
            TokenKind::Space | TokenKind::Newline | TokenKind::Comment | TokenKind::Doc => return None,
            TokenKind::Word => {
                if let Some(markdown) = self.hover_word(token.text, source, at) {
                    return Some(Hover { span, markdown });
                }
            }
            _ => {}
        }
        // An operator or a bracket: the expression around it.
        let (span, facts) = self.facts.around(source, at)?;
        let markdown = self.page(None, facts, None, &[]);
        (!markdown.is_empty()).then_some(Hover { span, markdown })
    }

    fn hover_symbol(&self, id: SymbolId, span: Span) -> Hover {
        let target = self.symbols.target(id);
        let symbol = self.symbols.symbol(target);
        let mut notes = vec![];
        let mut declared = Some(self.head(target));
        match symbol.kind {
            Kind::Module(_) => declared = Some(self.sources.source(symbol.span.source).name.clone()),
            Kind::Axis => declared = Some(format!("axis {}", symbol.name)),
            Kind::Setting | Kind::AxisSetting | Kind::FnSetting | Kind::Input => {
                notes.extend(self.owner(target).map(|o| format!("{} of `{o}`", symbol.kind.text())));
            }
            kind => notes.push(kind.text().to_string()),
        }
        let mut facts = self.facts.at(span);
        if facts.is_empty() {
            facts = self.facts.at(symbol.span);
        }
        Hover { span, markdown: self.page(declared.as_deref(), facts, symbol.doc.as_deref(), &notes) }
    }

    /// A word of the language.
    fn hover_word(&self, word: &str, source: SourceId, at: usize) -> Option<String> {
        let key = match self.block_at(source, at) {
            Some("train") => vocabulary::train().find(|k| k.0 == word),
            Some("tune") => vocabulary::tune().find(|k| k.0 == word),
            _ => None,
        };
        if let Some((_, doc)) = key {
            return Some((*doc).to_string());
        }
        if let Some(function) = vocabulary::function(word) {
            return Some(self.page(Some(&function.signature()), &[], Some(function.doc), &[]));
        }
        vocabulary::constant(word).map(str::to_string)
    }

    /// The declaration of the top level around a byte: `train`, `tune`. `None`: another one.
    fn block_at(&self, source: SourceId, at: usize) -> Option<&'static str> {
        use stmc_syntax::ast::ItemKind;
        let unit = self.resolved.units.iter().find(|u| u.file.span.source == source)?;
        let holds = |s: Span| (s.start as usize) <= at && at <= s.end as usize;
        unit.file.items.iter().find(|i| holds(i.span)).and_then(|i| match &i.kind {
            ItemKind::Train(_) => Some("train"),
            ItemKind::Tune(_) => Some("tune"),
            _ => None,
        })
    }

    /// The text of a declaration, without a body.
    pub(crate) fn head(&self, id: SymbolId) -> String {
        let symbol = self.symbols.symbol(id);
        let text = self.sources.snippet(symbol.head).trim_end();
        let text = text.trim_end_matches(['=', '{']).trim_end();
        let lines: Vec<&str> = text.lines().collect();
        let shown = match symbol.kind {
            Kind::Function | Kind::Layer | Kind::Model | Kind::Schedule | Kind::Optimizer => LINES,
            _ => 3,
        };
        let mut head: String = lines.iter().take(shown).map(|l| without_comment(l) + "\n").collect();
        if lines.len() > shown {
            head.push_str("…\n");
        }
        head.trim_end().to_string()
    }

    /// The declaration that a parameter belongs to.
    pub(crate) fn owner(&self, id: SymbolId) -> Option<&str> {
        self.symbols.iter().find_map(|(owner, symbol)| {
            let signature = self.symbols.signature(owner)?;
            let all = signature.settings.iter().chain(&signature.inputs);
            all.into_iter().any(|p| *p == id).then_some(&*symbol.name)
        })
    }

    fn page(&self, declared: Option<&str>, facts: &[Fact], doc: Option<&str>, notes: &[String]) -> String {
        let mut parts = vec![];
        let shown: Vec<&str> = facts.iter().take(SHOWN).map(|f| f.text.as_str()).collect();
        // A declaration says what its value says, or the value adds to it.
        let types: Vec<&str> = shown.into_iter().filter(|t| declared != Some(*t)).collect();
        let mut code: Vec<String> = declared.into_iter().map(str::to_string).collect();
        code.extend(
            types.iter().map(|t| if declared.is_some() { format!(": {t}") } else { (*t).to_string() }),
        );
        if facts.len() > SHOWN {
            code.push(format!("// and {} more", facts.len() - SHOWN));
        }
        if !code.is_empty() {
            parts.push(format!("```stm\n{}\n```", code.join("\n")));
        }
        if self.guessed && !types.is_empty() {
            parts.push("*The data are not there: extents that nobody declared are made up.*".into());
        }
        parts.extend(doc.map(str::to_string));
        if !notes.is_empty() {
            parts.push(format!("*{}*", notes.join(", ")));
        }
        parts.join("\n\n")
    }
}

fn without_comment(line: &str) -> String {
    let comment = tokens(line).into_iter().find(|t| t.kind == TokenKind::Comment).map(|t| t.start);
    line[..comment.unwrap_or(line.len())].trim_end().to_string()
}
