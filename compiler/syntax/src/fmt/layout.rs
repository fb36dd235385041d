//! Where each line begins, and the blanks in it.
//!
//! - In a bracket that ends its line, lines are a step further in than the line with the bracket (or the declaration
//!   whose body it is). In any other bracket they stand below what follows the bracket.
//! - A line that goes on with a statement is a step further in than the statement; an `else` stands below its `if`, and
//!   the inputs and the result of a declaration below its first parenthesis.
use super::STEP;
use super::gaps::gap;
use super::pieces::{Before, Piece, lines};
use crate::tokens::{Kind, Token};
use crate::words::{self, ITEMS};
use std::ops::Range;

/// A line, laid out.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    /// Which pieces.
    pub(super) range: Range<usize>,
    /// Blanks before each; those of the first are the indentation.
    pub(super) gaps: Vec<usize>,
    /// The number of the innermost bracket that is open where it begins; 0 is the file.
    pub(super) bracket: usize,
    /// It begins a statement, an entry or an argument there; it does not go on, close the bracket, or hold a comment alone.
    pub(super) begins: bool,
    /// An empty line stands before it.
    pub(super) empty_line_before: bool,
}

/// More blanks before some pieces, by the number of the piece.
pub(super) type Extra = std::collections::BTreeMap<usize, usize>;

/// Every line.
pub(super) fn layout(pieces: &[Piece], extra: &Extra) -> Vec<Placed> {
    let mut layout = Layout { pieces, extra, open: vec![Open::file()], brackets: 0, last: None };
    let all = lines(pieces);
    let is_code = |r: &Range<usize>| !pieces[r.start].is_comment();
    // A comment is indented like the code below it.
    let below = |i: usize| all[i..].iter().find(|r| is_code(r)).cloned();
    (0..all.len()).map(|i| layout.line(all[i].clone(), below(i))).collect()
}

/// A statement, an entry or an argument.
#[derive(Clone, Default)]
struct Statement<'t> {
    /// Its first word.
    word: &'t str,
    /// Where its first line begins.
    column: usize,
    /// Where the line begins that lines which go on are indented from: the first one, or the last `else`.
    base: usize,
    /// Its first parenthesis.
    parenthesis: Option<usize>,
    /// How many parentheses it has closed.
    closed: usize,
    /// The columns of the `if`s without an `else` so far.
    ifs: Vec<usize>,
}

impl<'t> Statement<'t> {
    fn new(word: &'t str, column: usize) -> Statement<'t> {
        Statement { word, column, base: column, ..Statement::default() }
    }
}

/// A bracket that is open.
struct Open<'t> {
    /// `(`, `[`, `{`; empty: the file.
    sign: &'t str,
    /// How many were opened before it, plus one.
    number: usize,
    /// Where a closing bracket at the beginning of a line stands.
    base: usize,
    /// Where lines in it begin.
    column: usize,
    /// `use a.{b, c}`
    of_names: bool,
    statement: Statement<'t>,
}

impl Open<'_> {
    fn file() -> Self {
        let (sign, statement) = ("", Statement::default());
        Open { sign, number: 0, base: 0, column: 0, of_names: false, statement }
    }

    /// Do statements or entries stand here? Otherwise arguments do.
    fn has_statements(&self) -> bool {
        matches!(self.sign, "" | "{")
    }
}

/// Declarations and statements with a body in braces.
const BODIES: &[&str] =
    &["fn", "layer", "model", "schedule", "optimizer", "train", "tune", "data", "sample", "split"];

/// Declarations with two pairs of parentheses.
const TWO_LISTS: &[&str] = &["layer", "schedule", "optimizer"];

/// Statements that a comma at the end of a line continues.
const LISTS: &[&str] = &["let", "axis", "augment", "sample"];

struct Layout<'p, 't> {
    pieces: &'p [Piece<'t>],
    extra: &'p Extra,
    open: Vec<Open<'t>>,
    brackets: usize,
    /// The last token that is no comment.
    last: Option<Token<'t>>,
}

impl<'t> Layout<'_, 't> {
    fn top(&mut self) -> &mut Open<'t> {
        self.open.last_mut().expect("the file is never closed")
    }

    fn line(&mut self, range: Range<usize>, below: Option<Range<usize>>) -> Placed {
        let first = self.pieces[range.start];
        let is_comment = first.is_comment();
        let goes_on = below.is_some_and(|below| self.goes_on(&self.pieces[below]));
        let closes = first.token.closes();
        let indent = self.indentation(&first, goes_on);
        let begins = !goes_on && !closes && !is_comment;
        if begins {
            self.top().statement = Statement::new(first.token.text, indent);
        }
        let bracket = self.top().number;
        let empty_line_before = self.takes_empty_line(&first);
        let mut gaps = vec![indent];
        let mut column = indent;
        for i in range.clone() {
            if i > range.start {
                let blanks = self.gap(range.start, i) + self.extra.get(&i).copied().unwrap_or(0);
                gaps.push(blanks);
                column += blanks;
            }
            self.piece(i, column, indent, range.end);
            column += self.pieces[i].width();
        }
        Placed { range, gaps, bracket, begins, empty_line_before }
    }

    fn takes_empty_line(&self, first: &Piece) -> bool {
        let opened = self.last.is_some_and(|last| last.opens());
        first.before == Before::EmptyLine && !first.token.closes() && !opened
    }

    fn indentation(&mut self, first: &Piece, goes_on: bool) -> usize {
        let is_comment = first.is_comment();
        let top = self.top();
        if first.token.closes() {
            return top.base;
        }
        if !goes_on {
            return top.column;
        }
        let statement = &mut top.statement;
        if !is_comment
            && matches!(first.text(), "then" | "else")
            && let Some(column) = statement.ifs.last()
        {
            statement.base = *column;
            return *column;
        }
        let is_head = top.sign.is_empty() || statement.word == "fn";
        match statement.parenthesis {
            Some(column) if is_head && matches!(first.text(), "(" | "->") => column,
            _ if is_head && first.is("{") => statement.column,
            _ => statement.base + STEP,
        }
    }

    /// Does this line belong to the statement or argument of the line before?
    fn goes_on(&self, line: &[Piece]) -> bool {
        let top = self.open.last().expect("the file is never closed");
        let (first, last) = (&line[0].token, self.last);
        let begins_anew = |last: Token| last.opens() || last.kind == Kind::Doc;
        if first.kind == Kind::Doc || first.closes() || last.is_none_or(begins_anew) {
            return false;
        }
        if !top.has_statements() {
            return !last.is_some_and(|last| last.is_sign(","));
        }
        // `{ let a = 1,` may lead to the first entry.
        let is_entry = line.get(1).is_some_and(|p| p.is(":"));
        let listed = LISTS.contains(&top.statement.word) && !is_entry;
        let unfinished =
            last.is_some_and(|last| words::awaits_more(last.text) || listed && last.is_sign(","));
        let spaced_sign =
            matches!(first.text, "+" | "-") && line.get(1).is_some_and(|p| p.before > Before::Joined);
        // Between declarations, only a declaration begins a line.
        let between = top.sign.is_empty() && !ITEMS.contains(&first.text);
        unfinished || between || spaced_sign || words::goes_on(first.text)
    }

    /// The blanks before a piece that does not begin its line.
    fn gap(&mut self, line: usize, i: usize) -> usize {
        let piece = &self.pieces[i];
        if piece.is_comment() {
            return super::COMMENT_GAP;
        }
        let top = self.top();
        let is_second_list = piece.is("(")
            && top.sign.is_empty()
            && top.statement.closed == 1
            && TWO_LISTS.contains(&top.statement.word);
        let of_names = top.of_names;
        if is_second_list { 1 } else { gap(&self.pieces[line..i], piece, of_names) }
    }

    /// Keeps count of what a piece opens, closes and begins.
    fn piece(&mut self, i: usize, column: usize, indent: usize, line_end: usize) {
        let token = self.pieces[i].token;
        if matches!(token.kind, Kind::Comment) {
            return;
        }
        if token.opens() {
            self.open_bracket(i, column, indent, line_end);
        } else if token.closes() {
            self.open.pop();
            self.top().statement.closed += usize::from(token.text == ")");
        } else if token.kind == Kind::Word {
            self.word(i, column);
        } else if token.is_sign(",") && !self.top().has_statements() {
            let column = self.top().column;
            self.top().statement = Statement::new("", column);
        }
        self.last = Some(token);
    }

    /// Which `if` an `else` belongs to. In `else if` the `if` stands for the one before it.
    fn word(&mut self, i: usize, column: usize) {
        let pieces = self.pieces;
        let ifs = &mut self.top().statement.ifs;
        match pieces[i].text() {
            "if" if i > 0 && pieces[i - 1].is("else") => {}
            "if" => ifs.push(column),
            "else" if !pieces.get(i + 1).is_some_and(|next| next.is("if")) => {
                ifs.pop();
            }
            _ => {}
        }
    }

    fn open_bracket(&mut self, i: usize, column: usize, indent: usize, line_end: usize) {
        let pieces = self.pieces;
        let sign = pieces[i].token.text;
        let of_names = i > 0 && pieces[i - 1].is(".") && sign == "{";
        let ends_line = pieces[i + 1..line_end].iter().all(Piece::is_comment);
        let top = self.top();
        if sign == "(" && top.statement.parenthesis.is_none() {
            top.statement.parenthesis = Some(column);
        }
        // The head of a declaration may take several lines; its body is indented from the first of them.
        let is_body = sign == "{" && top.has_statements() && BODIES.contains(&top.statement.word);
        let base = if is_body { top.statement.column } else { indent };
        let inside = match ends_line {
            true => base + STEP,
            false => column + if sign == "{" && !of_names { 2 } else { 1 },
        };
        self.brackets += 1;
        let word = pieces.get(i + 1).map_or("", |p| p.token.text);
        let statement = Statement::new(word, inside);
        self.open.push(Open { sign, number: self.brackets, base, column: inside, of_names, statement });
    }
}
