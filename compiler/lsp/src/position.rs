//! Places as the protocol counts them: lines, and units of the agreed encoding within a line.
use gen_lsp_types::{Position, PositionEncodingKind, Range};

/// How columns are counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// Half words: what the protocol supposes.
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// The best that a client offers.
    pub fn best(offered: &[PositionEncodingKind]) -> Encoding {
        match offered {
            _ if offered.contains(&PositionEncodingKind::UTF8) => Encoding::Utf8,
            _ if offered.contains(&PositionEncodingKind::UTF32) => Encoding::Utf32,
            _ => Encoding::Utf16,
        }
    }

    /// As the protocol names it.
    pub fn kind(self) -> PositionEncodingKind {
        match self {
            Encoding::Utf8 => PositionEncodingKind::UTF8,
            Encoding::Utf16 => PositionEncodingKind::UTF16,
            Encoding::Utf32 => PositionEncodingKind::UTF32,
        }
    }

    fn width(self, c: char) -> usize {
        match self {
            Encoding::Utf8 => c.len_utf8(),
            Encoding::Utf16 => c.len_utf16(),
            Encoding::Utf32 => 1,
        }
    }

    /// The place of a byte.
    pub fn position(self, text: &str, at: usize) -> Position {
        let before = &text[..at.min(text.len())];
        let start = before.rfind('\n').map_or(0, |n| n + 1);
        let line = before.bytes().filter(|b| *b == b'\n').count();
        let character: usize = before[start..].chars().map(|c| self.width(c)).sum();
        Position::new(line as u32, character as u32)
    }

    /// The places of two bytes.
    pub fn range(self, text: &str, start: usize, end: usize) -> Range {
        Range::new(self.position(text, start), self.position(text, end))
    }

    /// The byte of a place; one beyond the end of its line is that end.
    pub fn offset(self, text: &str, position: Position) -> usize {
        let mut start = 0;
        for _ in 0..position.line {
            match text[start..].find('\n') {
                Some(n) => start += n + 1,
                None => return text.len(),
            }
        }
        let line = text[start..].split('\n').next().unwrap_or("");
        let mut column = 0;
        for (i, c) in line.char_indices() {
            if column >= position.character as usize {
                return start + i;
            }
            column += self.width(c);
        }
        start + line.len()
    }
}
