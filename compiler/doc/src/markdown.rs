//! Documentation as HTML. It is Markdown, but for tags: `<p, y>` is a scalar product.
use crate::code::Names;
use maud::{Markup, PreEscaped, html};
use pulldown_cmark::{Event, Parser, html::push_html};

/// The text, with names in backquotes that lead to what they name.
pub(crate) fn html(text: &str, names: &Names, href: &dyn Fn(&str, &str) -> String) -> Markup {
    let events = Parser::new(text).map(|event| match event {
        Event::Html(tag) | Event::InlineHtml(tag) => Event::Text(tag),
        Event::Code(code) => Event::InlineHtml(inline_code(&code, names, href).into_string().into()),
        other => other,
    });
    let mut out = String::new();
    push_html(&mut out, events);
    PreEscaped(out)
}

fn inline_code(code: &str, names: &Names, href: &dyn Fn(&str, &str) -> String) -> Markup {
    match names.target(code) {
        Some(target) => html! { a href=(href(&target.module, &target.entry)) { code { (code) } } },
        None => html! { code { (code) } },
    }
}
