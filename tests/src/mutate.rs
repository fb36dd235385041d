//! Programs with mistakes: small changes of a text, as slips, half-done edits and wrong habits make them. A function of
//! a seed alone.
use stmc_syntax::tokens::{Kind, Token, tokens};

/// Random numbers: SplitMix64.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len())])
    }
}

/// A text to change and where chance stands.
struct Change<'t, 'r> {
    text: &'t str,
    tokens: Vec<Token<'t>>,
    random: &'r mut Random,
}

/// One way to change a text. `None`: there is nothing to change in this way.
type Mutation = fn(&mut Change) -> Option<String>;

/// What can happen to a program, most of it to its tokens.
const MUTATIONS: &[Mutation] = &[
    drop_token,
    double_token,
    swap_neighbours,
    swap_arguments,
    drop_argument,
    rename_word,
    rename_word,
    rename_everywhere,
    other_number,
    other_sign,
    insert_token,
    insert_foreign,
    drop_line,
    double_line,
    move_line,
    cut_off,
    change_character,
    wrap,
];

/// What people write out of habit, or by accident.
const FOREIGN: &[&str] = &[
    "**",
    "//",
    "#",
    "'",
    "\"",
    "lambda",
    "self",
    "True",
    "None",
    "%",
    "==",
    "|>",
    "..",
    "'",
    "é",
    "→",
    "\u{feff}",
    "import",
    "return",
    "!",
    "&&",
    ";",
    "\\",
    "\t",
    "\r\n",
    "0x1f",
    "1.",
    "10 epochs",
    "2001-13",
    "2001-02",
    "80%",
    "[:, 0]",
    "f32?",
    "batch",
    "over: batch",
    "if true",
    "else",
    "training",
    "step",
    "{}",
    "()",
    "[]",
    "(",
    "}",
    "]",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "-1",
    "7",
    "0.5",
    "1e30",
    "1_000_000",
    "99999999999999999999",
    "9223372036854775807",
];

const SIGNS: &[&str] = &[
    "+", "-", "*", "/", "^", "==", "<", "=", "=>", "->", "~", "|>", "..", ",", ":", ".", "(", ")", "[", "]",
    "{", "}",
];

/// The text with one to three mistakes.
pub fn mutate(text: &str, random: &mut Random) -> String {
    let mut text = text.to_string();
    for _ in 0..[1, 1, 1, 2, 3][random.below(5)] {
        let mutation = *random.one(MUTATIONS).expect("there are mutations");
        let tokens = tokens(&text);
        let changed = mutation(&mut Change { text: &text, tokens, random });
        text = changed.unwrap_or(text);
    }
    text
}

impl<'t> Change<'t, '_> {
    /// Some token for which this holds.
    fn some(&mut self, holds: impl Fn(&Token) -> bool) -> Option<Token<'t>> {
        let those: Vec<Token> = self.tokens.iter().filter(|t| holds(t)).copied().collect();
        self.random.one(&those).copied()
    }

    fn solid(&mut self) -> Option<Token<'t>> {
        self.some(is_solid)
    }

    fn word(&mut self) -> Option<Token<'t>> {
        self.some(|t| t.kind == Kind::Word)
    }

    fn with(&self, start: usize, end: usize, new: &str) -> Option<String> {
        Some([&self.text[..start], new, &self.text[end..]].concat())
    }

    fn instead(&self, token: Token, new: &str) -> Option<String> {
        self.with(token.start, token.end(), new)
    }

    /// Two pieces change places; the first ends before the second begins.
    fn swapped(&self, first: (usize, usize), second: (usize, usize)) -> Option<String> {
        let piece = |(start, end): (usize, usize)| &self.text[start..end];
        let middle = &self.text[first.1..second.0];
        let (head, tail) = (&self.text[..first.0], &self.text[second.1..]);
        Some([head, piece(second), middle, piece(first), tail].concat())
    }

    /// The arguments or entries of some bracket: pieces between its commas.
    fn arguments(&mut self) -> Option<Vec<(usize, usize)>> {
        let open = self.some(|t| t.opens())?;
        let (mut depth, mut start, mut pieces) = (0, open.end(), vec![]);
        for token in self.tokens.iter().filter(|t| t.start >= open.end()) {
            if depth == 0 && (token.is_sign(",") || token.closes()) {
                pieces.push((start, token.start));
                start = token.end();
            }
            match token {
                t if t.closes() && depth == 0 => return Some(pieces),
                t if t.opens() => depth += 1,
                t if t.closes() => depth -= 1,
                _ => {}
            }
        }
        None
    }

    fn lines(&self) -> Vec<&'t str> {
        self.text.split_inclusive('\n').collect()
    }
}

fn is_solid(token: &Token) -> bool {
    !token.is_trivia() && !matches!(token.kind, Kind::Newline | Kind::Doc)
}

fn drop_token(c: &mut Change) -> Option<String> {
    let token = c.solid()?;
    c.instead(token, "")
}

fn double_token(c: &mut Change) -> Option<String> {
    let token = c.solid()?;
    c.with(token.end(), token.end(), &format!(" {}", token.text))
}

fn swap_neighbours(c: &mut Change) -> Option<String> {
    let solid: Vec<Token> = c.tokens.iter().filter(|t| is_solid(t)).copied().collect();
    let at = c.random.below(solid.len().checked_sub(1).filter(|n| *n > 0)?);
    let piece = |t: Token| (t.start, t.end());
    c.swapped(piece(solid[at]), piece(solid[at + 1]))
}

fn swap_arguments(c: &mut Change) -> Option<String> {
    let pieces = c.arguments().filter(|p| p.len() > 1)?;
    let at = c.random.below(pieces.len() - 1);
    c.swapped(pieces[at], pieces[at + 1])
}

fn drop_argument(c: &mut Change) -> Option<String> {
    let pieces = c.arguments()?;
    let (start, end) = *c.random.one(&pieces)?;
    c.with(start, end, "")
}

/// A name, axis, key or keyword becomes another one of the file.
fn rename_word(c: &mut Change) -> Option<String> {
    let (token, other) = (c.word()?, c.word()?);
    c.instead(token, other.text)
}

fn rename_everywhere(c: &mut Change) -> Option<String> {
    let (word, other) = (c.word()?, c.word()?);
    let renamed =
        |t: &Token<'_>| if t.text == word.text { other.text.to_string() } else { t.text.to_string() };
    Some(c.tokens.iter().map(renamed).collect())
}

fn other_number(c: &mut Change) -> Option<String> {
    let token = c.some(|t| t.kind == Kind::Number)?;
    let number = c.random.one(NUMBERS)?;
    c.instead(token, number)
}

fn other_sign(c: &mut Change) -> Option<String> {
    let token = c.some(|t| t.kind == Kind::Sign)?;
    let sign = c.random.one(SIGNS)?;
    c.instead(token, sign)
}

fn insert_token(c: &mut Change) -> Option<String> {
    let (token, other) = (c.solid()?, c.solid()?);
    c.with(token.start, token.start, &format!("{} ", other.text))
}

fn insert_foreign(c: &mut Change) -> Option<String> {
    let token = c.solid()?;
    let word = c.random.one(FOREIGN)?;
    c.with(token.start, token.start, &format!("{word} "))
}

fn drop_line(c: &mut Change) -> Option<String> {
    let mut lines = c.lines();
    lines.remove(c.random.below(lines.len().max(1)).min(lines.len().checked_sub(1)?));
    Some(lines.concat())
}

fn double_line(c: &mut Change) -> Option<String> {
    let mut lines = c.lines();
    let line = *c.random.one(&lines)?;
    lines.insert(c.random.below(lines.len()), line);
    Some(lines.concat())
}

fn move_line(c: &mut Change) -> Option<String> {
    let mut lines = c.lines();
    let line = lines.remove(c.random.below(lines.len().max(1)).min(lines.len().checked_sub(1)?));
    lines.insert(c.random.below(lines.len() + 1), line);
    Some(lines.concat())
}

fn cut_off(c: &mut Change) -> Option<String> {
    let token = c.solid()?;
    Some(c.text[..token.end()].to_string())
}

fn change_character(c: &mut Change) -> Option<String> {
    const CHARACTERS: &[&str] = &["", "", "x", "_", " ", "\n", "0", "é", "\"", "'", "\u{0}", "𝄞", "\u{301}"];
    let places: Vec<(usize, char)> = c.text.char_indices().collect();
    let (at, character) = *c.random.one(&places)?;
    let new = c.random.one(CHARACTERS)?;
    c.with(at, at + character.len_utf8(), new)
}

/// Something is put in brackets, or made part of something.
fn wrap(c: &mut Change) -> Option<String> {
    const AROUND: &[(&str, &str)] = &[
        ("(", ")"),
        ("[", "]"),
        ("{ ", " }"),
        ("", "'"),
        ("-", ""),
        ("not ", ""),
        ("", "[time: 0]"),
        ("", ".shape"),
        ("", "(2)"),
        ("mean(", ")"),
        ("scan along time: 2 { yield ", " }"),
        ("if training then ", " else 0"),
        ("[for i in 0 .. 2 => ", "]"),
    ];
    let token = c.some(|t| matches!(t.kind, Kind::Word | Kind::Number))?;
    let (before, after) = c.random.one(AROUND)?;
    c.instead(token, &format!("{before}{}{after}", token.text))
}
