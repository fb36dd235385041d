//! The library as it is documented: what is found, what is printed, and pages whose links lead somewhere.
#![allow(clippy::unwrap_used)] // A test helper is test code; clippy knows only the tests themselves.
use std::collections::BTreeSet;
use stmc_base::diagnostic::Style;
use stmc_doc::{Found, Library, Module, entry, find, module, overview, pages};

/// What a name leads to, in a line.
fn found(library: &Library, name: &str) -> String {
    match find(library, name) {
        Found::Module(module) => format!("module {}", module.name),
        Found::Entries(entries) => {
            let names: Vec<_> =
                entries.iter().map(|(m, e)| format!("{} {}.{}", e.kind, m.name, e.name)).collect();
            names.join(", ")
        }
        Found::Nothing(Some(near)) => format!("did you mean {near}"),
        Found::Nothing(None) => "nothing".into(),
    }
}

#[test]
fn names_are_found() {
    let library = Library::standard();
    for (name, expected) in [
        ("std.nn", "module std.nn"),
        ("nn", "module std.nn"),
        ("Conv", "layer std.nn.Conv"),
        ("conv", "layer std.nn.Conv"),
        ("std.nn.Conv", "layer std.nn.Conv"),
        ("linear", "schedule std.schedule.linear"),
        ("Linear", "layer std.nn.Linear"),
        ("windows", "function built-in.windows"),
        ("epochs", "key of train built-in.epochs"),
        ("seed", "key of train built-in.seed, key of tune built-in.seed"),
        ("std.nn.Cnov", "did you mean Conv"),
        ("std.losss", "did you mean std.loss"),
        ("Adm", "did you mean Adam"),
        ("xyzzy", "nothing"),
    ] {
        assert_eq!(found(&library, name), expected, "{name}");
    }
}

#[test]
fn an_entry_says_all() {
    let library = Library::standard();
    let Found::Entries(entries) = find(&library, "rmse") else { panic!("it is there") };
    let text = entry(entries[0].0, entries[0].1, Style::Plain);
    for part in ["fn rmse(p, y, weight = 1, keep: axes = ())\n", "use std.metric.rmse", "let e = (p - y) ^ 2"]
    {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let listed = module(library.module("std.nn").unwrap(), Style::Plain);
    assert!(listed.contains("layer Linear(out: int") && listed.contains("    y = W x + b"), "{listed}");
    assert!(
        overview(&library, Style::Plain).lines().any(|l| l.starts_with("std.nn ") && l.contains("Layers"))
    );
    assert!(entry(entries[0].0, entries[0].1, Style::Colour).starts_with("\x1b[1mfn rmse"));
}

#[test]
fn every_entry_says_what_it_is() {
    for module in &Library::standard().modules {
        for entry in &module.entries {
            assert!(!entry.doc.is_empty(), "{}: `{}` has no documentation", module.name, entry.name);
        }
    }
}

/// What stands between two texts, each time.
fn between<'t>(text: &'t str, before: &str, after: &str) -> Vec<&'t str> {
    text.split(before).skip(1).map(|rest| rest.split(after).next().unwrap()).collect()
}

/// `index.html`, `std.nn.html#Conv`: all places that a link may lead to.
fn places(pages: &[(String, String)]) -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for (name, text) in pages {
        places.insert(name.clone());
        places.extend(between(text, " id=\"", "\"").iter().map(|id| format!("{name}#{id}")));
    }
    places
}

const FILE: &str =
    "//! A <b>file</b>: `Conv`, *as* drawn.\nuse std.nn.{Conv as C, Linear}\nuse std.loss.mse\n
/// <p, y> & \"quotes\".
fn f(x, Linear) = mse(x, Linear) + sum(x)
layer Net() (x) {
    conv = C(3)   // <script>
    x |> conv |> Linear(2)
}
";

#[test]
fn every_link_leads_somewhere() {
    let mut library = Library::standard();
    library.modules.push(Module::read("../models/my file.stm", FILE).unwrap());
    let pages = pages(&library);
    let places = places(&pages);
    for (name, text) in pages.iter().filter(|(name, _)| name.ends_with(".html")) {
        for attribute in [" href=\"", " src=\""] {
            for link in between(text, attribute, "\"") {
                let place = if link.starts_with('#') { format!("{name}{link}") } else { link.to_string() };
                assert!(places.contains(&place), "{name}: {link}");
            }
        }
        assert!(!text.contains("http"), "{name} needs no network");
    }
    for address in between(&pages.iter().find(|(name, _)| name == "names.js").unwrap().1, "\",\"std.", "\",")
    {
        assert!(places.contains(&format!("std.{address}")) || !address.contains('#'), "{address}");
    }
}

#[test]
fn a_page_is_made_of_what_the_file_says() {
    let mut library = Library::standard();
    library.modules.push(Module::read("my file.stm", FILE).unwrap());
    let pages = pages(&library);
    let (_, page) = pages.iter().find(|(name, _)| name == "my-file.stm.html").unwrap();
    for part in [
        // Tags in documentation and comments are text.
        "A &lt;b&gt;file&lt;/b&gt;: ",
        "<em>as</em>",
        "&lt;p, y&gt; &amp; \"quotes\".",
        "<span class=\"comment\">// &lt;script&gt;</span>",
        // An alias leads to what it stands for; a parameter hides what it is named as.
        "<a href=\"std.nn.html#Conv\">C</a>(<span class=\"number\">3</span>)",
        "f(x, Linear) = <a href=\"std.loss.html#mse\">mse</a>(x, Linear)",
        "<a href=\"built-in.html#sum\">sum</a>",
        "|&gt; <a href=\"std.nn.html#Linear\">Linear</a>",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
}

#[test]
fn tags_are_closed_in_order() {
    const VOID: &[&str] = &["meta", "link", "input", "br", "hr"];
    for (name, text) in pages(&Library::standard()).iter().filter(|(name, _)| name.ends_with(".html")) {
        let mut open = vec![];
        for tag in between(text, "<", ">") {
            let word = tag.split([' ', '/']).find(|w| !w.is_empty()).unwrap();
            match tag {
                _ if VOID.contains(&word) || word == "!DOCTYPE" => {}
                _ if tag.starts_with('/') => assert_eq!(open.pop(), Some(word), "{name}: {tag}"),
                _ => open.push(word),
            }
        }
        assert!(open.is_empty(), "{name}: {open:?}");
    }
}
