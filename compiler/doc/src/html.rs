//! Documentation as pages for a browser: a folder that needs no server and no network.
use crate::code::{Look, Names, Part, Target, parts};
use crate::library::Library;
use crate::markdown;
use crate::module::{Entry, Module};
use maud::{DOCTYPE, Markup, html};

/// The files of the folder: names and contents. It begins at `index.html`.
pub fn pages(library: &Library) -> Vec<(String, String)> {
    let mut files = vec![("index.html".to_string(), index(library).into_string())];
    files.extend(library.modules.iter().map(|m| (page_name(&m.name), module_page(library, m).into_string())));
    files.push(("style.css".into(), include_str!("../assets/style.css").into()));
    files.push(("search.js".into(), include_str!("../assets/search.js").into()));
    files.push(("names.js".into(), names_script(library)));
    files
}

/// `std.nn.html`; of a file's path what a URL and a file name can both have.
fn page_name(module: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    format!("{}.html", module.trim_start_matches(['.', '/']).chars().map(letter).collect::<String>())
}

/// The part of its page where an entry stands; keys of two blocks may have one name.
fn anchor(entry: &Entry) -> String {
    match entry.kind.strip_prefix("key of ") {
        Some(block) => format!("{block}.{}", entry.name),
        None => entry.name.clone(),
    }
}

fn href(module: &str, anchor: &str) -> String {
    format!("{}#{anchor}", page_name(module))
}

/// What the search looks through.
fn names_script(library: &Library) -> String {
    let names: Vec<_> = library
        .modules
        .iter()
        .flat_map(|m| m.entries.iter().map(move |e| (m, e)))
        .map(|(m, e)| {
            [e.name.as_str(), e.kind, &m.name, &href(&m.name, &anchor(e)), &e.summary()].map(str::to_string)
        })
        .collect();
    format!("const NAMES = {};\n", serde_json::to_string(&names).expect("names are text"))
}

fn frame(library: &Library, current: Option<&Module>, content: &Markup) -> Markup {
    let title = current.map_or("stmc library".to_string(), |m| format!("{} - stmc library", m.name));
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="style.css";
                script src="names.js" defer {}
                script src="search.js" defer {}
            }
            body {
                header {
                    a.home href="index.html" { "stmc library" }
                    div.search role="search" {
                        input #search type="search" placeholder="Search: press /" autocomplete="off"
                            aria-label="Search for a name" aria-controls="results";
                        ol #results hidden {}
                    }
                }
                div.columns {
                    nav aria-label="Modules" {
                        ul { @for module in &library.modules { (nav_module(module, current)) } }
                    }
                    main { (content) }
                }
            }
        }
    }
}

/// A module in the list at the side; of the one that is shown, its entries too.
fn nav_module(module: &Module, current: Option<&Module>) -> Markup {
    let is_current = current.is_some_and(|c| c.name == module.name);
    html! {
        li {
            a href=(page_name(&module.name)) aria-current=[is_current.then_some("page")] { (module.name) }
            @if is_current {
                ul { @for entry in &module.entries { li { a href={ "#" (anchor(entry)) } { (entry.name) } } } }
            }
        }
    }
}

fn index(library: &Library) -> Markup {
    let content = html! {
        h1 { "The library" }
        p {
            "Layers, losses, metrics, optimizers and schedules, written in the language itself. "
            "Each name leads to its signature, its formula and where that is from."
        }
        @for module in &library.modules {
            @let names = Names::of(module, library);
            section.module {
                h2 { a href=(page_name(&module.name)) { (module.name) } }
                div.doc { (markdown::html(&module.doc, &names, &href)) }
                p.names {
                    @for entry in &module.entries {
                        a href=(href(&module.name, &anchor(entry))) title=(entry.summary()) { (entry.name) }
                        " "
                    }
                }
            }
        }
    };
    frame(library, None, &content)
}

fn module_page(library: &Library, module: &Module) -> Markup {
    let names = Names::of(module, library);
    let content = html! {
        h1 { (module.name) }
        div.doc { (markdown::html(&module.doc, &names, &href)) }
        @for entry in &module.entries { (entry_section(module, entry, &names)) }
    };
    frame(library, Some(module), &content)
}

/// A short declaration is shown whole; of a longer one the head, and the rest when it is asked for.
fn entry_section(module: &Module, entry: &Entry, names: &Names) -> Markup {
    const SHORT: usize = 5;
    let anchor = anchor(entry);
    let source = entry.source.as_deref();
    let short = source.filter(|s| s.lines().count() <= SHORT);
    html! {
        section.entry id=(anchor) {
            h2 { a href={ "#" (anchor) } { (entry.name) } " " span.kind { (entry.kind) } }
            pre { code { (code(short.unwrap_or(&entry.signature), entry, names)) } }
            @if !entry.doc.is_empty() { div.doc { (markdown::html(&entry.doc, names, &href)) } }
            @if module.name.starts_with("std.") { p.import { code { "use " (module.name) "." (entry.name) } } }
            @if let Some(source) = source.filter(|_| short.is_none()) {
                details {
                    summary { "Source, line " (entry.line) }
                    pre { code { (code(source, entry, names)) } }
                }
            }
        }
    }
}

fn code(text: &str, entry: &Entry, names: &Names) -> Markup {
    html! { @for part in parts(text, &entry.parameters, names) { (piece(&part)) } }
}

fn piece(part: &Part) -> Markup {
    let class = match &part.look {
        Look::Plain => return html! { (part.text) },
        Look::Link(Target { module, entry }) => return html! { a href=(href(module, entry)) { (part.text) } },
        Look::Comment => "comment",
        Look::Keyword => "keyword",
        Look::Number => "number",
        Look::Text => "text",
    };
    html! { span class=(class) { (part.text) } }
}
