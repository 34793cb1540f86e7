//! Cuts the SQL of a report into the pieces that the template syntax must tell apart.
//! It knows where SQL's literals, quoted identifiers and comments end, and nothing else of SQL.

use crate::query::fault::Fault;
use crate::query::tag::Tag;
use crate::query::tag::ValueTag;
use crate::query::tag::parse_tag;

/// Words that make the literal after them a constant, where no expression may stand.
const TYPED_LITERALS: [&str; 6] = ["date", "time", "timestamp", "timestamptz", "datetime", "interval"];

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token<'a> {
    pub(crate) at: usize,
    pub(crate) kind: TokenKind<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum TokenKind<'a> {
    /// SQL to be passed on as it is.
    Code(&'a str),
    /// Without the line break that ends it.
    Comment(&'a str),
    Semicolon,
    /// `[`
    Open,
    /// `]`
    Close,
    Tag(Tag<'a>),
    /// A string literal with values in it.
    Literal(Vec<Piece<'a>>),
}

/// A part of a string literal.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Piece<'a> {
    /// As written, quotes still doubled.
    Text(&'a str),
    Value(ValueTag<'a>),
}

/// The pieces in order; together they are the whole text.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Token<'_>>, Fault> {
    let mut lexer = Lexer {
        sql,
        at: 0,
        code_start: 0,
        tokens: Vec::new(),
    };
    while let Some(next) = lexer.rest().chars().next() {
        lexer.step(next)?;
    }
    lexer.end_code();
    Ok(lexer.tokens)
}

/// The length of the comment that the text begins with; none if it does not end.
/// A block comment may hold others, the line break after a line comment is not part of it.
pub(crate) fn comment_length(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').unwrap_or(text.len()));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let mut depth = 0_usize;
    let mut length = 0;
    while let Some(tail) = text.get(length..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            length += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            length += 2;
            if depth == 0 {
                return Some(length);
            }
        } else {
            length += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    None
}

/// Whether a character may belong to a word of SQL.
pub(crate) fn is_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '_' | '$') || !character.is_ascii()
}

/// Whether two characters that only a value brings together would begin a comment, make one literal of two, or have a word
/// say how the literal behind it is to be read.
pub(crate) fn joins(last: char, first: char) -> bool {
    match first {
        '-' | '"' | '`' | '$' => last == first,
        '\'' => last == first || is_word(last),
        '*' => last == '/',
        '/' => last == '*',
        _ => false,
    }
}

struct Lexer<'a> {
    sql: &'a str,
    at: usize,
    /// Where the code began that has not become a token yet.
    code_start: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Lexer<'a> {
    fn step(&mut self, next: char) -> Result<(), Fault> {
        match next {
            '\'' => self.literal(),
            '"' | '`' => self.identifier(next),
            '$' => self.dollar(),
            '-' | '/' => {
                match comment_length(self.rest()) {
                    Some(length) => self.comment(length),
                    None if self.rest().starts_with("/*") => {
                        return Err(self.fault("a comment begins here and does not end"));
                    }
                    None => self.at += 1,
                }
                Ok(())
            }
            '{' if self.rest().starts_with("{{") => self.tag(),
            '[' => self.mark(TokenKind::Open),
            ']' => self.mark(TokenKind::Close),
            ';' => self.mark(TokenKind::Semicolon),
            _ => {
                self.at += next.len_utf8();
                Ok(())
            }
        }
    }

    fn rest(&self) -> &'a str {
        self.sql.get(self.at..).unwrap_or("")
    }

    fn before(&self) -> &'a str {
        self.sql.get(..self.at).unwrap_or("")
    }

    fn fault(&self, message: &str) -> Fault {
        Fault::new(self.at, message)
    }

    fn end_code(&mut self) {
        if let Some(code) = self.sql.get(self.code_start..self.at)
            && !code.is_empty()
        {
            self.tokens.push(Token {
                at: self.code_start,
                kind: TokenKind::Code(code),
            });
        }
    }

    /// Adds a token that covers the next `length` bytes.
    fn push(&mut self, kind: TokenKind<'a>, length: usize) {
        self.end_code();
        self.tokens.push(Token { at: self.at, kind });
        self.at += length;
        self.code_start = self.at;
    }

    fn mark(&mut self, kind: TokenKind<'a>) -> Result<(), Fault> {
        self.push(kind, 1);
        Ok(())
    }

    fn comment(&mut self, length: usize) {
        let text = self.rest().get(..length).unwrap_or("");
        self.push(TokenKind::Comment(text), length);
    }

    fn tag(&mut self) -> Result<(), Fault> {
        let inside = self.rest().get(2..).unwrap_or("");
        let length = tag_length(inside).ok_or_else(|| self.fault("`{{` without `}}`"))?;
        let tag = parse_tag(inside.get(..length).unwrap_or(""), self.at)?;
        self.push(TokenKind::Tag(tag), length + 4);
        Ok(())
    }

    fn identifier(&mut self, quote: char) -> Result<(), Fault> {
        let inside = self.rest().get(1..).unwrap_or("");
        let length = inside
            .find(quote)
            .ok_or_else(|| self.fault("a quoted identifier begins here and does not end"))?;
        if let Some(tag_at) = inside.get(..length).and_then(|text| text.find("{{")) {
            let message = "a value cannot stand inside a quoted identifier";
            return Err(Fault::new(self.at + 1 + tag_at, message));
        }
        self.at += length + 2;
        Ok(())
    }

    /// A dollar quote, a placeholder (which is ours alone to write), or part of a word.
    fn dollar(&mut self) -> Result<(), Fault> {
        let inside = self.rest().get(1..).unwrap_or("");
        let end = inside
            .find(|character: char| character == '$' || !is_word(character))
            .unwrap_or(inside.len());
        let (label, after) = inside.split_at(end);
        if self.before().ends_with(is_word) {
            self.at += 1;
        } else if after.starts_with('$') && !label.starts_with(|first: char| first.is_ascii_digit()) {
            let delimiter = format!("${label}$");
            let body = after.get(1..).unwrap_or("");
            let length = body
                .find(&delimiter)
                .ok_or_else(|| self.fault("a dollar-quoted text begins here and does not end"))?;
            if body.get(..length).is_some_and(|text| text.contains("{{")) {
                return Err(
                    self.fault("a value cannot stand inside a dollar-quoted text; use a plain literal '…'")
                );
            }
            self.at += length + 2 * delimiter.len();
        } else if label.is_empty() {
            self.at += 1;
        } else {
            return Err(self.fault("`$` placeholders are reserved; write {{ name }} for a filter's value"));
        }
        Ok(())
    }

    fn literal(&mut self) -> Result<(), Fault> {
        let before = self.before();
        let prefix = before
            .rfind(|character: char| !is_word(character))
            .map_or(before, |at| before.get(at..).unwrap_or(""))
            .trim_start_matches(|character: char| !is_word(character));
        let inside = self.rest().get(1..).unwrap_or("");
        let length = literal_length(inside, prefix.eq_ignore_ascii_case("e"))
            .ok_or_else(|| self.fault("a string literal begins here and does not end"))?;
        let content = inside.get(..length).unwrap_or("");
        if !content.contains("{{") {
            self.at += length + 2;
            return Ok(());
        }
        self.refuse_special_literal(prefix)?;
        let pieces = pieces(content, self.at + 1)?;
        self.push(TokenKind::Literal(pieces), length + 2);
        Ok(())
    }

    /// A literal with values becomes an expression, which cannot take the place of every literal.
    fn refuse_special_literal(&self, prefix: &str) -> Result<(), Fault> {
        let before = self.before();
        let lower = before.to_lowercase();
        if !prefix.is_empty() || lower.ends_with("u&") {
            return Err(
                self.fault("a value cannot stand in a literal with a prefix; use a plain literal '…'")
            );
        }
        let word = lower
            .trim_end()
            .rsplit(|character: char| !is_word(character))
            .next()
            .unwrap_or("");
        if TYPED_LITERALS.contains(&word) {
            return Err(self.fault(&format!(
                "a value cannot stand in `{word} '…'`; write cast('…' as {word})"
            )));
        }
        Ok(())
    }
}

/// The length up to the closing quote; two quotes are one inside, a backslash escapes if told so.
fn literal_length(inside: &str, backslashes: bool) -> Option<usize> {
    let mut characters = inside.char_indices().peekable();
    while let Some((at, character)) = characters.next() {
        if character == '\\' && backslashes {
            characters.next();
        } else if character == '\'' && characters.next_if(|(_, next)| *next == '\'').is_none() {
            return Some(at);
        }
    }
    None
}

/// The length up to `}}`, which does not count inside quotes.
fn tag_length(inside: &str) -> Option<usize> {
    let mut quote = None;
    for (at, character) in inside.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') => quote = Some(character),
            None if inside.get(at..).is_some_and(|tail| tail.starts_with("}}")) => return Some(at),
            None => {}
        }
    }
    None
}

fn pieces(content: &str, content_at: usize) -> Result<Vec<Piece<'_>>, Fault> {
    let mut pieces = Vec::new();
    let mut rest = content;
    while let Some((text, tail)) = rest.split_once("{{") {
        let at = content_at + content.len() - tail.len() - 2;
        if tail.trim_start().starts_with('#') {
            return Err(Fault::new(at, "a condition cannot stand inside a string literal"));
        }
        let Some((inside, after)) = tail.split_once("}}") else {
            let message = "`{{` without `}}`; for the characters themselves write '{' || '{'";
            return Err(Fault::new(at, message));
        };
        let Tag::Value(value) = parse_tag(inside, at)? else {
            return Err(Fault::new(at, "only a value can stand inside a string literal"));
        };
        if !text.is_empty() {
            pieces.push(Piece::Text(text));
        }
        pieces.push(Piece::Value(value));
        rest = after;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Ok(pieces)
}
