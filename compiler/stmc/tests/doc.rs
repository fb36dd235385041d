//! `stmc doc`: what a person looks up.
mod common;

use common::{errors, fails, folder, repository, stmc, succeeds, text};

#[test]
fn names_are_looked_up() {
    assert!(succeeds(&["doc"]).contains("std.nn "));
    assert!(succeeds(&["doc", "std.loss"]).contains("fn mse(p, y, weight = 1)"));
    assert!(succeeds(&["doc", "adam"]).contains("use std.optim.Adam"));
    let output = stmc(&["doc", "Cnov"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(errors(&output).contains("did you mean `Conv`?"), "{}", errors(&output));
}

#[test]
fn a_file_is_documented_like_the_library() {
    let file = text(&repository("examples/nowcast/nowcast.stm"));
    let said = succeeds(&["doc", &file]);
    assert!(
        said.contains("layer Change() (frame: [row, col])") && said.contains("Works on 2x2 patches"),
        "{said}"
    );
    let pages = folder("pages").join("html");
    assert!(succeeds(&["doc", &file, "--html", &text(&pages)]).contains("index.html"));
    let page = std::fs::read_to_string(pages.join("std.nn.html")).expect("each module has a page");
    assert!(page.contains("id=\"Conv\""));
    assert!(fails(&["doc", "nowhere.stm"]).contains("nowhere.stm: there is no such file"));
}
