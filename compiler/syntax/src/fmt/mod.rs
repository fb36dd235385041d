//! The house style of `.stm` files. The author's line breaks and comments stay; blanks, indentation and columns are ours.
//!
//! - A line that is wider than `WIDTH` is broken: blocks are opened, else at the outermost bracket or operator that helps.
//!   Comments and strings are never broken.
//! - `=` and `:` of neighbouring lines of one kind stand in a column, and so do the comments at their ends (`align`).
//! - One empty line at most, none at the beginning or end of a bracket.
//!
//! The layout is a function of the tokens and where lines begin, never of the author's columns, and lines are only ever
//! broken. So a text that was formatted is formatted to itself. Only a `;` at a line's end is dropped; the tree is kept.
mod align;
mod gaps;
mod layout;
mod pieces;
mod wrap;

use crate::parse::parse;
use layout::Placed;
use pieces::Piece;
use stmc_base::{Diagnostic, SourceId};

/// Characters on a line.
const WIDTH: usize = 110;

/// Blanks for each level.
const STEP: usize = 4;

/// Blanks before a comment at the end of a line.
const COMMENT_GAP: usize = 2;

/// The text in house style; the diagnostics of a text that does not parse.
pub fn format(source: SourceId, text: &str) -> Result<String, Vec<Diagnostic>> {
    let parsed = parse(source, text);
    let Some(before) = parsed.file else { return Err(parsed.diagnostics) };
    let formatted = within(text, WIDTH);
    let after = parse(source, &formatted).file.expect("a formatted text parses");
    assert_eq!(crate::dump(&before), crate::dump(&after), "formatting keeps the tree");
    Ok(formatted)
}

/// A text that parses, in lines of this width.
fn within(text: &str, width: usize) -> String {
    let mut pieces = pieces::pieces(text);
    loop {
        pieces::tidy(&mut pieces);
        let placed = align::aligned(&pieces, width);
        if !wrap::broken(&mut pieces, &placed, width) {
            return write(&pieces, &placed);
        }
    }
}

fn write(pieces: &[Piece], placed: &[Placed]) -> String {
    let mut out = String::new();
    for line in placed {
        if line.empty_line_before && !out.is_empty() {
            out.push('\n');
        }
        for (piece, gap) in pieces[line.range.clone()].iter().zip(&line.gaps) {
            out.extend(std::iter::repeat_n(' ', *gap));
            out.push_str(piece.text());
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Narrow lines are broken at every place there is.
    #[test]
    fn wherever_a_line_is_broken_the_tree_is_kept() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for folder in ["tests/programs", "../../stdlib", "../../examples/nowcast"] {
            for entry in std::fs::read_dir(root.join(folder)).expect("the folder is there") {
                let path = entry.expect("an entry").path();
                if path.extension().is_none_or(|e| e != "stm") {
                    continue;
                }
                let text = std::fs::read_to_string(&path).expect("it is readable");
                for width in [10, 25, 40, 60, 80] {
                    survives(&path, &text, width);
                }
            }
        }
    }

    fn survives(path: &Path, text: &str, width: usize) {
        let tree = |text: &str| parse(SourceId(0), text).file.map(|file| crate::dump(&file));
        let narrow = within(text, width);
        let wrong = parse(SourceId(0), &narrow).diagnostics;
        assert!(wrong.is_empty(), "{} in {width} columns: {wrong:?}\n{narrow}", path.display());
        assert_eq!(tree(text), tree(&narrow), "{} in {width} columns", path.display());
        assert_eq!(narrow, within(&narrow, width), "{} in {width} columns, twice", path.display());
    }
}
