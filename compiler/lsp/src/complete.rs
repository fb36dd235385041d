//! What could be written at the cursor.
use crate::analysis::{Analysis, Reader};
use crate::cache::Cache;
use crate::symbols::{Kind, SymbolId};
use std::collections::BTreeSet;
use stmc_base::{Edit, Span};
use stmc_model::{Binding, library, vocabulary};
use stmc_syntax::ast::{ItemKind, StaticType};
use stmc_syntax::tokens::{Kind as TokenKind, Token, tokens};
use stmc_syntax::words::{DATA_LINES, ITEMS, STATEMENTS};

/// Something that could be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Completion {
    /// The word.
    pub label: String,
    /// What it is.
    pub kind: Class,
    /// Its declaration or type.
    pub detail: Option<String>,
    /// Its documentation.
    pub doc: Option<String>,
    /// What is inserted, where it is more than the label.
    pub insert: Option<String>,
    /// An edit elsewhere: the `use` line of a library layer.
    pub also: Option<Edit>,
    /// The best come first.
    pub rank: u8,
}

/// What a completion is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A word of the grammar.
    Keyword,
    /// A key of `train` or `tune`.
    Key,
    /// An argument's name.
    Argument,
    /// An axis or several.
    Axis,
    /// What follows a point.
    Member,
    /// A type's name.
    Type,
    /// A file of the library.
    Module,
    /// A declaration, or a function of the language.
    Symbol(Kind),
}

/// Where the cursor stands.
struct Site<'t> {
    /// The tokens before the word that is being written, without blanks and comments.
    before: Vec<Token<'t>>,
    /// The word that is being written.
    word: Span,
    /// Open brackets, outermost first, as positions in `before`.
    open: Vec<usize>,
}

impl Analysis {
    /// What could be written at a byte of the main text.
    pub fn completions(&self, at: usize, read: Reader<'_>, cache: &Cache) -> Vec<Completion> {
        let text = self.text().clone();
        let all = tokens(&text);
        let Some(site) = Site::new(&all, at, self.main) else { return vec![] };
        let mut found = self.at_site(&site, &text, read, cache);
        let mut seen = BTreeSet::new();
        found.retain(|c| seen.insert(c.label.clone()));
        found
    }

    fn at_site(&self, site: &Site<'_>, text: &str, read: Reader<'_>, cache: &Cache) -> Vec<Completion> {
        if let Some(path) = site.import() {
            return self.importable(&path);
        }
        if site.follows(".") {
            return self.members(site, text, read, cache);
        }
        let block = site.block();
        if site.begins_line() {
            match block {
                "" => return keywords(ITEMS),
                "data" => return keywords(DATA_LINES),
                "train" => return keys(vocabulary::train(), site),
                "tune" => return keys(vocabulary::tune(), site),
                _ => {}
            }
        }
        if site.follows(":") && site.is_typed() {
            return types();
        }
        if site.wants_axis() {
            return self.axes(site);
        }
        let mut found = vec![];
        if site.begins_argument() {
            found.extend(self.arguments(site));
        }
        if site.bracket() == "[" {
            found.extend(self.axes(site));
        }
        found.extend(self.names(site));
        if site.begins_line() {
            found.extend(keywords(STATEMENTS));
        }
        found.extend(keywords(&[
            "if", "then", "else", "for", "in", "scan", "along", "true", "false", "and", "or", "not",
        ]));
        found
    }

    // ------------------------------------------------------------ imports

    /// After `use std.`, or in the braces after a module.
    fn importable(&self, path: &str) -> Vec<Completion> {
        if let Some(text) = library::module(path) {
            let unit = stmc_syntax::parse(self.main, text).file;
            let items = unit.map_or(vec![], |f| f.items);
            let of = |item: &stmc_syntax::ast::Item| {
                let (name, kind) = exported(&item.kind)?;
                let mut c = Completion::new(name, Class::Symbol(kind), 0);
                c.doc = item.doc.clone();
                Some(c)
            };
            return items.iter().filter_map(of).collect();
        }
        let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
        let mut next = BTreeSet::new();
        for module in library::modules() {
            if let Some(rest) = module.strip_prefix(&prefix) {
                next.extend(rest.split('.').next());
            }
        }
        next.into_iter().map(|n| Completion::new(n, Class::Module, 0)).collect()
    }

    // ------------------------------------------------------------ members

    /// After a point: the text is looked at as if the point were not there.
    fn members(&self, site: &Site<'_>, text: &str, read: Reader<'_>, cache: &Cache) -> Vec<Completion> {
        let point = site.before.last().expect("it follows a point").start;
        let end = (site.word.end as usize).max(point + 1);
        let blanked = format!("{}{}{}", &text[..point], " ".repeat(end - point), &text[end..]);
        let whole = Analysis::of(&self.path, &blanked, read, cache);
        let mut found = vec![];
        if let Some(Token { text: name, .. }) = site.before.iter().rev().nth(1)
            && let Some(Binding::Module(unit)) = whole.resolved.units[0].names.get(*name)
        {
            let file = &whole.resolved.units[*unit].file;
            found.extend(file.items.iter().filter_map(|i| {
                let (name, kind) = exported(&i.kind)?;
                Some(Completion::new(name, Class::Symbol(kind), 0))
            }));
        }
        for fact in whole.facts.ending(self.main, point).unwrap_or_default() {
            for member in &fact.members {
                let mut c = Completion::new(member, Class::Member, 0);
                c.detail = Some(fact.text.clone());
                found.push(c);
            }
        }
        if found.is_empty() && site.block() == "train" {
            let metrics = whole.symbols.iter().filter(|(_, s)| s.kind == Kind::Metric);
            found.extend(metrics.map(|(_, s)| Completion::new(&s.name, Class::Member, 0)));
            found.push(Completion::new("loss", Class::Member, 0));
        }
        found
    }

    // ------------------------------------------------------------ axes and arguments

    fn axes(&self, site: &Site<'_>) -> Vec<Completion> {
        let axis = |name: &str, detail: &str| {
            let mut c = Completion::new(name, Class::Axis, 1);
            c.detail = Some(detail.to_string());
            c
        };
        let local = self.symbols.visible(self.main, site.word.start as usize);
        let local = local.filter(|(_, s)| matches!(s.kind, Kind::Axis | Kind::Axes | Kind::AxisSetting));
        let mut found: Vec<Completion> = local.map(|(_, s)| axis(&s.name, "own axis")).collect();
        found.extend(self.resolved.axes().map(|name| axis(name, "axis")));
        let aliases = self.symbols.iter().filter(|(_, s)| s.kind == Kind::Axes && s.scope.is_none());
        found.extend(aliases.map(|(id, s)| axis(&s.name, &self.head(id))));
        found
    }

    /// The names of the arguments of the call around the cursor.
    fn arguments(&self, site: &Site<'_>) -> Vec<Completion> {
        let Some(callee) = site.callee() else { return vec![] };
        let argument = |name: &str, detail: Option<String>, doc: Option<String>| {
            let mut c = Completion::new(name, Class::Argument, 0);
            (c.insert, c.detail, c.doc) = (Some(format!("{name}: ")), detail, doc);
            c
        };
        if let Some((id, _)) = self.symbols.at(self.main, callee.start) {
            let id = self.called(self.symbols.target(id), site);
            let signature = self.symbols.signature(id).cloned().unwrap_or_default();
            let parameters =
                if signature.settings.is_empty() { signature.inputs } else { signature.settings };
            let of = |p: &SymbolId| {
                let symbol = self.symbols.symbol(*p);
                argument(&symbol.name, Some(self.head(*p)), symbol.doc.clone())
            };
            return parameters.iter().map(of).collect();
        }
        // Where the statement does not parse yet, the name alone must do.
        if let Some(function) = vocabulary::function(callee.text) {
            let of = |p: &vocabulary::Parameter| argument(p.name, None, None);
            return function.parameters.iter().map(of).collect();
        }
        let named = self.symbols.iter().find(|(id, s)| {
            &*s.name == callee.text && s.scope.is_none() && self.symbols.signature(*id).is_some()
        });
        let settings = named.and_then(|(id, _)| self.symbols.signature(id)).map(|s| s.settings.clone());
        let of = |p: &SymbolId| argument(&self.symbols.symbol(*p).name, Some(self.head(*p)), None);
        settings.unwrap_or_default().iter().map(of).collect()
    }

    /// The declaration behind a sub-layer: its value begins with the layer's name.
    fn called(&self, id: SymbolId, site: &Site<'_>) -> SymbolId {
        let symbol = self.symbols.symbol(id);
        if symbol.kind != Kind::SubLayer {
            return id;
        }
        let places = self.symbols.iter().filter(|(i, _)| self.symbols.signature(*i).is_some());
        let inside = |(i, _): &(SymbolId, &crate::symbols::Symbol)| {
            self.symbols.places(*i).iter().any(|u| {
                u.span.source == site.word.source
                    && symbol.head.start <= u.span.start
                    && u.span.end <= symbol.head.end
            })
        };
        places.into_iter().find(inside).map_or(id, |(i, _)| i)
    }

    // ------------------------------------------------------------ names

    fn names(&self, site: &Site<'_>) -> Vec<Completion> {
        let mut found = vec![];
        let mut symbol = |id: SymbolId, name: &str, rank: u8| {
            let target = self.symbols.target(id);
            let s = self.symbols.symbol(target);
            let mut c = Completion::new(name, Class::Symbol(s.kind), rank);
            (c.detail, c.doc) = (Some(self.detail(target)), s.doc.clone());
            found.push(c);
        };
        for (id, s) in self.symbols.visible(self.main, site.word.start as usize) {
            symbol(id, &s.name, 2);
        }
        for (name, binding) in &self.resolved.units[0].names {
            let id = match binding {
                Binding::Item(at) => self.symbols.item(*at),
                Binding::Module(_) => None,
            };
            if let Some(id) = id {
                symbol(id, name, 3);
            }
        }
        if site.block() == "train" {
            let parts = self.symbols.iter().filter(|(_, s)| matches!(s.kind, Kind::Part | Kind::Output));
            parts.for_each(|(id, s)| symbol(id, &s.name, 1));
        }
        for function in vocabulary::functions() {
            let mut c = Completion::new(function.name, Class::Symbol(Kind::Function), 4);
            (c.detail, c.doc) = (Some(function.signature()), Some(function.doc.to_string()));
            found.push(c);
        }
        for (name, doc) in vocabulary::CONSTANTS {
            let mut c = Completion::new(name, Class::Symbol(Kind::Value), 5);
            c.doc = Some((*doc).to_string());
            found.push(c);
        }
        found.extend(self.library());
        found
    }

    /// The type where it is known, else the declaration.
    fn detail(&self, id: SymbolId) -> String {
        let symbol = self.symbols.symbol(id);
        match self.facts.at(symbol.span) {
            [fact, ..] => fact.text.clone(),
            [] => self.head(id),
        }
    }

    /// What the library declares and this file does not import; choosing it adds the `use` line.
    fn library(&self) -> Vec<Completion> {
        let mut found = vec![];
        for module in library::modules() {
            let text = library::module(module).expect("modules are there");
            for (name, word) in declared_in(text) {
                if self.resolved.units[0].names.contains_key(name) {
                    continue;
                }
                let mut c = Completion::new(name, Class::Symbol(kind_of(word)), 6);
                c.detail = Some(format!("use {module}.{name}"));
                c.also = Some(self.import(module, name));
                found.push(c);
            }
        }
        found
    }

    /// The edit that imports a name of the library: a line after the last `use`, else after the file's documentation.
    pub(crate) fn import(&self, module: &str, name: &str) -> Edit {
        let text = self.text();
        let items = &self.resolved.units[0].file.items;
        let last = items.iter().filter(|i| matches!(i.kind, ItemKind::Use(_))).map(|i| i.span.end).max();
        let at = match last {
            Some(end) => text[end as usize..].find('\n').map_or(text.len(), |n| end as usize + n + 1),
            None => {
                let docs = text.lines().take_while(|l| l.starts_with("//!"));
                docs.map(|l| l.len() + 1).sum::<usize>().min(text.len())
            }
        };
        Edit { span: Span::new(self.main, at, at), text: format!("use {module}.{name}\n") }
    }
}

impl Completion {
    fn new(label: &str, kind: Class, rank: u8) -> Completion {
        let (detail, doc, insert, also) = Default::default();
        Completion { label: label.to_string(), kind, detail, doc, insert, also, rank }
    }
}

impl<'t> Site<'t> {
    /// `None`: the cursor stands in a comment or a string.
    fn new(all: &[Token<'t>], at: usize, main: stmc_base::SourceId) -> Option<Site<'t>> {
        let mut word = Span::new(main, at, at);
        let mut before = vec![];
        for token in all.iter().take_while(|t| t.start < at) {
            let inside = token.end() > at || token.end() == at && token.kind != TokenKind::Newline;
            match token.kind {
                TokenKind::Comment | TokenKind::Doc if inside => return None,
                TokenKind::Text | TokenKind::OpenText
                    if token.end() > at || token.kind == TokenKind::OpenText =>
                {
                    return None;
                }
                TokenKind::Number if inside => return None,
                TokenKind::Word if inside => word = token.span(main),
                _ if token.is_trivia() || token.kind == TokenKind::Doc => {}
                _ => before.push(*token),
            }
        }
        let mut open = vec![];
        for (i, token) in before.iter().enumerate() {
            if token.opens() {
                open.push(i);
            } else if token.closes() {
                open.pop();
            }
        }
        Some(Site { before, word, open })
    }

    fn previous(&self) -> &'t str {
        self.before.last().map_or("", |t| t.text)
    }

    fn follows(&self, text: &str) -> bool {
        self.previous() == text
    }

    fn bracket(&self) -> &'t str {
        self.open.last().map_or("", |i| self.before[*i].text)
    }

    /// The first word of the declaration or statement whose brace is the innermost one. Empty: none is open.
    fn block(&self) -> &'t str {
        let brace = self.open.iter().rev().find(|i| self.before[**i].text == "{");
        brace.map_or("", |i| self.head_before(*i))
    }

    /// The first word of the statement around a token.
    fn head_before(&self, i: usize) -> &'t str {
        let mut depth = 0usize;
        let mut head = "";
        for token in self.before[..i].iter().rev() {
            if token.closes() {
                depth += 1;
            } else if token.opens() {
                if depth == 0 {
                    break;
                }
                depth -= 1;
            } else if depth == 0 && token.kind == TokenKind::Newline {
                // A brace on a line of its own belongs to the line before.
                if !head.is_empty() && head != "->" {
                    break;
                }
            } else if depth == 0 {
                head = token.text;
            }
        }
        head
    }

    fn begins_line(&self) -> bool {
        let brace = matches!(self.bracket(), "" | "{");
        brace
            && self
                .before
                .last()
                .is_none_or(|t| t.kind == TokenKind::Newline || t.is_sign("{") || t.is_sign(","))
    }

    /// The tokens of the line on which the cursor stands, up to it.
    fn line(&self) -> &[Token<'t>] {
        let start = self.before.iter().rposition(|t| t.kind == TokenKind::Newline).map_or(0, |i| i + 1);
        &self.before[start..]
    }

    /// The path of a `use` line before the cursor. `None`: it is no such line.
    fn import(&self) -> Option<String> {
        let at = self.before.iter().rposition(|t| t.text == "use" && t.kind == TokenKind::Word)?;
        let since = &self.before[at + 1..];
        let path = since.iter().take_while(|t| t.kind == TokenKind::Word && t.text != "as" || t.is_sign("."));
        let path: Vec<Token<'_>> = path.copied().collect();
        let goes_on = match since.get(path.len()) {
            None => true,
            Some(token) => token.is_sign("{") && !since.iter().any(|t| t.is_sign("}") || t.text == "as"),
        };
        let words = path.iter().filter(|t| t.kind == TokenKind::Word).map(|t| t.text);
        goes_on.then(|| words.collect::<Vec<_>>().join("."))
    }

    /// A colon of a parameter, a hyper or a `let`, not one of an argument.
    fn is_typed(&self) -> bool {
        let line = self.line();
        matches!(
            (line.first().map(|t| t.text), self.bracket()),
            (Some("hyper"), "") | (Some("fn" | "layer" | "model" | "schedule" | "optimizer"), "(")
        )
    }

    /// After `over:`, `along`, `axis:` and the like only an axis can stand.
    fn wants_axis(&self) -> bool {
        let labels = ["over", "along", "axis", "features", "keep"];
        let before = self.before.len().checked_sub(2).map(|i| self.before[i].text);
        self.follows("along") || self.follows(":") && before.is_some_and(|t| labels.contains(&t))
    }

    fn begins_argument(&self) -> bool {
        self.bracket() == "(" && (self.follows("(") || self.follows(",") || self.on_new_line_in_parentheses())
    }

    fn on_new_line_in_parentheses(&self) -> bool {
        self.before.last().is_some_and(|t| t.kind == TokenKind::Newline)
    }

    /// The name before the innermost parenthesis.
    fn callee(&self) -> Option<Token<'t>> {
        let open = *self.open.last()?;
        let callee = self.before.get(open.checked_sub(1)?)?;
        (callee.kind == TokenKind::Word).then_some(*callee)
    }
}

fn keywords(words: &[&str]) -> Vec<Completion> {
    words.iter().map(|w| Completion::new(w, Class::Keyword, 7)).collect()
}

/// The keys that the block does not have yet.
fn keys(all: impl Iterator<Item = &'static vocabulary::Key>, site: &Site<'_>) -> Vec<Completion> {
    let brace = site.open.last().copied().unwrap_or(0);
    let given =
        |key: &str| site.before[brace..].windows(2).any(|pair| pair[0].text == key && pair[1].is_sign("="));
    let free = all.filter(|(key, _)| !given(key));
    free.map(|(key, doc)| {
        let mut c = Completion::new(key, Class::Key, 0);
        (c.insert, c.doc) = (Some(format!("{key} = ")), Some((*doc).to_string()));
        c
    })
    .collect()
}

fn types() -> Vec<Completion> {
    let statics = StaticType::ALL.iter().map(|t| t.text());
    let dtypes = stmc_syntax::ast::DType::ALL.iter().map(|t| t.text());
    statics.chain(dtypes).map(|t| Completion::new(t, Class::Type, 0)).collect()
}

/// The name that a module's item can be imported by.
fn exported(item: &ItemKind) -> Option<(&str, Kind)> {
    match item {
        ItemKind::Fn(f) => Some((&f.name.text, Kind::Function)),
        ItemKind::Layer(l) => Some((&l.name.text, Kind::Layer)),
        ItemKind::Model(m) => Some((&m.name.text, Kind::Model)),
        ItemKind::Schedule(s) => Some((&s.name.text, Kind::Schedule)),
        ItemKind::Optimizer(o) => Some((&o.name.text, Kind::Optimizer)),
        ItemKind::Hyper(h) => Some((&h.name.text, Kind::Hyper)),
        _ => None,
    }
}

/// Declarations of a library text: each begins a line.
fn declared_in(text: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    text.lines().filter_map(|line| {
        let (word, rest) = line.split_once(' ')?;
        let name = rest.split('(').next()?;
        matches!(word, "fn" | "layer" | "schedule" | "optimizer").then_some((name, word))
    })
}

fn kind_of(word: &str) -> Kind {
    match word {
        "fn" => Kind::Function,
        "layer" => Kind::Layer,
        "schedule" => Kind::Schedule,
        _ => Kind::Optimizer,
    }
}
