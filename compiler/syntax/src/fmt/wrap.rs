//! Lines that are too wide are broken: blocks are opened, else the line is filled up to the outermost place that helps.
use super::STEP;
use super::align::{code, code_width};
use super::gaps::ends_value;
use super::layout::Placed;
use super::pieces::{Before, Piece, is_block, is_body, open_block, partners};
use crate::tokens::Kind;
use std::ops::Range;

/// A first part that is shorter than this is only cut off if the rest then fits.
const LEAST: usize = 40;

/// Breaks every line that is too wide, once. False: there is none that can be broken.
pub(super) fn broken(pieces: &mut [Piece], placed: &[Placed], width: usize) -> bool {
    let partners = partners(pieces);
    let mut any = false;
    for line in placed {
        if code_width(pieces, line) <= width {
            continue;
        }
        let range = code(pieces, line);
        any |= open_blocks(pieces, range.clone(), &partners) || break_line(pieces, line, range, width);
    }
    any
}

/// Opens the outermost blocks that begin and end on the line.
fn open_blocks(pieces: &mut [Piece], line: Range<usize>, partners: &[Option<usize>]) -> bool {
    let mut any = false;
    let mut i = line.start;
    while i < line.end {
        match partners[i].filter(|close| (i + 1..line.end).contains(close)) {
            Some(close) if is_block(pieces, i, close) || is_body(pieces, i) => {
                open_block(pieces, i, close, partners);
                any = true;
                i = close;
            }
            _ => i += 1,
        }
    }
    any
}

/// A place where a line may be broken.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// The piece that the new line begins with.
    piece: usize,
    /// How many brackets of the line it is in.
    depth: i32,
    bond: Bond,
    /// Where the first part ends.
    end: usize,
    /// Where the piece begins.
    column: usize,
    /// Where it will begin on the new line.
    indent: usize,
}

fn break_line(pieces: &mut [Piece], line: &Placed, range: Range<usize>, width: usize) -> bool {
    let full = code_width(pieces, line);
    let fits = |p: &&Place| p.end <= width && p.indent < p.column;
    let rest_fits = |p: &Place| p.indent + full - p.column <= width;
    let places = places(pieces, line, range);
    // What stands after `=` begins a new line only if that is enough.
    let helps = |p: &&Place| fits(p) && (rest_fits(p) || p.bond != Bond::Value);
    let good = |p: &&Place| helps(p) && (rest_fits(p) || p.end >= line.gaps[0] + LEAST);
    // Of equally good places the last one.
    let best =
        |places: Vec<&Place>| places.into_iter().rev().min_by_key(|p| (p.depth, p.bond)).map(|p| p.piece);
    let place =
        best(places.iter().filter(good).collect()).or_else(|| best(places.iter().filter(helps).collect()));
    if let Some(piece) = place {
        pieces[piece].before = Before::Line;
        join_arguments(pieces, piece);
    }
    place.is_some()
}

/// Where a line was broken between arguments, those after it are put together, to be broken anew. What is said of one
/// keeps its line.
fn join_arguments(pieces: &mut [Piece], broken: usize) {
    let mut depth = 0;
    let open = (0..broken).rev().find(|i| {
        depth += pieces[*i].nesting();
        depth > 0
    });
    let hangs = |open: usize| !pieces[open + 1].begins_line() && !pieces[open].is("{");
    if !pieces[broken - 1].is(",") || !open.is_some_and(hangs) {
        return;
    }
    let mut depth = pieces[broken].nesting();
    for i in broken + 1..pieces.len() {
        let is_argument = depth == 0 && pieces[i - 1].is(",") && pieces[i].is_code();
        if is_argument && pieces[i].before == Before::Line {
            pieces[i].before = Before::Blanks;
        }
        depth += pieces[i].nesting();
        if depth < 0 {
            return;
        }
    }
}

/// What holds the pieces on both sides of a place together: the loosest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Bond {
    /// After `;`.
    Statement,
    /// Before the inputs of a layer.
    Inputs,
    /// Before the result of a declaration.
    Result,
    /// After `,`.
    Comma,
    /// After `=`, `=>` or `~`.
    Value,
    /// Before `(w, g)`.
    Names,
    Else,
    Then,
    Pipe,
    Or,
    And,
    Comparison,
    Sum,
    Product,
}

/// What holds `i` and the piece before it together. `None`: no line may begin at `i`.
fn bond(pieces: &[Piece], i: usize, gap: usize, in_head: bool) -> Option<Bond> {
    let (previous, next) = (&pieces[i - 1], &pieces[i]);
    Some(match (previous.text(), next.text()) {
        (";", _) => Bond::Statement,
        (")", "(") if in_head && gap > 0 && is_closed(pieces, i) => Bond::Names,
        (")", "(") if in_head && gap > 0 => Bond::Inputs,
        (")", "->") if in_head => Bond::Result,
        // `for i, h in …`
        (",", _) if i >= 3 && pieces[i - 3].is("for") => return None,
        (",", _) => Bond::Comma,
        // A list or a record is broken inside.
        ("=" | "=>" | "~", "[" | "{") => return None,
        ("=" | "=>" | "~", _) => Bond::Value,
        (_, "else") => Bond::Else,
        (_, "then") => Bond::Then,
        (_, "|>") => Bond::Pipe,
        (_, "or") => Bond::Or,
        (_, "and") => Bond::And,
        (_, "==" | "!=" | "<" | "<=" | ">" | ">=") => Bond::Comparison,
        (_, "+" | "-") if ends_value(&previous.token) => Bond::Sum,
        (_, "*" | "/") => Bond::Product,
        _ => return None,
    })
}

/// A bracket that the line opens.
struct Inner {
    /// Where lines in it begin.
    column: usize,
    /// The grammar allows no line break in it.
    is_closed: bool,
}

fn places(pieces: &[Piece], line: &Placed, range: Range<usize>) -> Vec<Place> {
    let mut places = vec![];
    let mut open: Vec<Inner> = vec![];
    let mut depth = 0i32;
    let mut column = 0;
    for i in range.clone() {
        let end = column;
        let gap = line.gaps[i - range.start];
        column += gap;
        let piece = &pieces[i];
        let in_head = line.bracket == 0 && open.is_empty();
        let may_break = i > range.start && open.iter().all(|o| !o.is_closed);
        if may_break && let Some(bond) = bond(pieces, i, gap, in_head) {
            let inside = open.last().map(|o| o.column);
            let indent = match inside {
                Some(column) if bond <= Bond::Comma => column,
                Some(column) => column + STEP,
                None => line.gaps[0] + STEP,
            };
            places.push(Place { piece: i, depth, bond, end, column, indent });
        }
        depth += piece.nesting();
        if piece.token.opens() {
            open.push(Inner { column: column + 1, is_closed: is_closed(pieces, i) });
        } else if piece.token.closes() {
            open.pop();
        }
        column += piece.width();
    }
    places
}

/// `taps(row, col)`, `(w, g)`: names that stand together.
fn is_closed(pieces: &[Piece], open: usize) -> bool {
    let inside = pieces[open + 1..].iter().take_while(|p| !p.is(")"));
    let of_names = inside.clone().all(|p| p.is(",") || p.token.kind == Kind::Word);
    let previous = open.checked_sub(1).map(|i| &pieces[i]);
    of_names && pieces[open].is("(") && previous.is_some_and(|p| p.is("taps") || p.is("tap") || p.is(")"))
}
