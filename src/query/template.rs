//! The template syntax of a report's SQL as a tree: values, optional blocks, conditions.
//! Names are not looked up here.

use crate::query::fault::Fault;
use crate::query::lexer::Piece;
use crate::query::lexer::Token;
use crate::query::lexer::TokenKind;
use crate::query::lexer::tokens;
use crate::query::tag::Condition;
use crate::query::tag::Tag;
use crate::query::tag::ValueTag;

/// Nobody nests deeper; a limit keeps the stack safe.
const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node<'a> {
    Text(&'a str),
    Value(ValueTag<'a>),
    Literal(Vec<Piece<'a>>),
    /// `[[ … ]]` with a `{{ }}` inside.
    Block(Vec<Node<'a>>),
    If {
        condition: Condition<'a>,
        then: Vec<Node<'a>>,
        otherwise: Vec<Node<'a>>,
    },
}

/// The filters that stand anywhere in these nodes.
pub(crate) fn names<'a>(nodes: &[Node<'a>]) -> Vec<&'a str> {
    let of_pieces = |pieces: &[Piece<'a>]| -> Vec<&'a str> {
        let names = pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(value) => Some(value.name),
        });
        names.collect()
    };
    let names = nodes.iter().flat_map(|node| match node {
        Node::Text(_) => Vec::new(),
        Node::Value(value) => vec![value.name],
        Node::Literal(pieces) => of_pieces(pieces),
        Node::Block(inner) => names(inner),
        Node::If {
            condition,
            then,
            otherwise,
        } => [vec![condition.name], names(then), names(otherwise)].concat(),
    });
    names.collect()
}

/// Parses SQL that has no `;` any more.
pub(crate) fn parse(sql: &str) -> Result<Vec<Node<'_>>, Fault> {
    let tokens = tokens(sql)?;
    let roles = roles(&tokens)?;
    let mut parser = Parser {
        tokens: &tokens,
        roles: &roles,
        next: 0,
    };
    let (nodes, stop) = parser.nodes(0)?;
    match stop {
        Stop::End | Stop::Close => Ok(nodes),
        Stop::Else(at) => Err(Fault::new(at, "`{{#else}}` without `{{#if}}`")),
        Stop::Endif(at) => Err(Fault::new(at, "`{{#endif}}` without `{{#if}}`")),
    }
}

/// The one statement of a text: without the `;` at its end and what follows it.
pub(crate) fn statement(sql: &str) -> Result<&str, Fault> {
    let mut end = sql.len();
    for token in tokens(sql)?.iter().rev() {
        match token.kind {
            TokenKind::Semicolon => end = token.at,
            TokenKind::Comment(_) => {}
            TokenKind::Code(code) if code.trim().is_empty() => {}
            _ => return Ok(sql.get(..end).unwrap_or("").trim_end()),
        }
    }
    Err(Fault::new(0, "there is no SQL"))
}

/// Whether the text uses any template syntax.
pub(crate) fn first_tag(sql: &str) -> Result<Option<usize>, Fault> {
    let tokens = tokens(sql)?;
    let tag = tokens
        .iter()
        .find(|token| matches!(token.kind, TokenKind::Tag(_) | TokenKind::Literal(_)));
    Ok(tag.map(|token| token.at))
}

/// What a bracket does. A block opens and closes with two brackets; the second one is skipped.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    None,
    BlockOpen,
    BlockClose,
}

/// Finds the `[[` and `]]` that make optional blocks; all other brackets are SQL's own.
fn roles(tokens: &[Token<'_>]) -> Result<Vec<Role>, Fault> {
    let pairs = bracket_pairs(tokens)?;
    let mut roles = vec![Role::None; tokens.len()];
    let mut tags_before = vec![0_usize; tokens.len()];
    let mut tags = 0;
    for (count, token) in tags_before.iter_mut().zip(tokens) {
        *count = tags;
        tags += usize::from(matches!(token.kind, TokenKind::Tag(_) | TokenKind::Literal(_)));
    }
    let mut open = 0;
    while open + 1 < tokens.len() {
        if let (Some(close), Some(inner_close)) = (pairs[open], pairs[open + 1])
            && tokens[open + 1].at == tokens[open].at + 1
            && close == inner_close + 1
            && tokens[close].at == tokens[inner_close].at + 1
            && tags_before[close] > tags_before[open]
        {
            roles[open] = Role::BlockOpen;
            roles[inner_close] = Role::BlockClose;
            open += 1;
        }
        open += 1;
    }
    Ok(roles)
}

/// For each `[` the token of its `]`. Pairs do not reach out of the branch of a condition.
fn bracket_pairs(tokens: &[Token<'_>]) -> Result<Vec<Option<usize>>, Fault> {
    let mut pairs = vec![None; tokens.len()];
    // `None` stands for the start of a branch.
    let mut open: Vec<Option<usize>> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        match &token.kind {
            TokenKind::Open => open.push(Some(index)),
            TokenKind::Close => match open.pop() {
                Some(Some(start)) => pairs[start] = Some(index),
                Some(None) => {
                    let message = "a condition must end with `{{#endif}}` before this bracket closes";
                    return Err(Fault::new(token.at, message));
                }
                None => return Err(unpaired(tokens, index)),
            },
            TokenKind::Tag(Tag::If(_)) => open.push(None),
            TokenKind::Tag(Tag::Else | Tag::Endif) => {
                let in_branch = open.iter().rev().map_while(|entry| *entry);
                if let Some(start) = in_branch.last() {
                    return Err(unpaired(tokens, start));
                }
                if matches!(token.kind, TokenKind::Tag(Tag::Endif)) {
                    open.pop();
                }
            }
            _ => {}
        }
    }
    match open.iter().flatten().next() {
        Some(start) => Err(unpaired(tokens, *start)),
        None => Ok(pairs),
    }
}

fn unpaired(tokens: &[Token<'_>], index: usize) -> Fault {
    let doubled = tokens
        .get(index + 1)
        .is_some_and(|next| next.kind == tokens[index].kind && next.at == tokens[index].at + 1);
    let message = match (&tokens[index].kind, doubled) {
        (TokenKind::Open, true) => "`[[` without `]]`",
        (TokenKind::Open, false) => "`[` without `]`",
        (_, true) => "`]]` without `[[`",
        (_, false) => "`]` without `[`",
    };
    Fault::new(tokens[index].at, message)
}

/// Why a run of nodes came to its end.
enum Stop {
    End,
    Else(usize),
    Endif(usize),
    Close,
}

struct Parser<'t, 'a> {
    tokens: &'t [Token<'a>],
    roles: &'t [Role],
    next: usize,
}

impl<'a> Parser<'_, 'a> {
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node<'a>>, Stop), Fault> {
        let mut nodes = Vec::new();
        while let (Some(token), Some(role)) = (self.tokens.get(self.next), self.roles.get(self.next)) {
            if depth > DEPTH_MAX {
                let message = format!("blocks and conditions nested more than {DEPTH_MAX} deep");
                return Err(Fault::new(token.at, message));
            }
            self.next += 1;
            match &token.kind {
                TokenKind::Code(text) | TokenKind::Comment(text) => nodes.push(Node::Text(text)),
                TokenKind::Literal(pieces) => nodes.push(Node::Literal(pieces.clone())),
                TokenKind::Semicolon => {
                    let message = "a report is one statement; `;` may only stand at its end";
                    return Err(Fault::new(token.at, message));
                }
                TokenKind::Open if *role == Role::BlockOpen => nodes.push(self.block(depth)?),
                TokenKind::Close if *role == Role::BlockClose => {
                    self.next += 1;
                    return Ok((nodes, Stop::Close));
                }
                TokenKind::Open => nodes.push(Node::Text("[")),
                TokenKind::Close => nodes.push(Node::Text("]")),
                TokenKind::Tag(Tag::Value(value)) => nodes.push(Node::Value(value.clone())),
                TokenKind::Tag(Tag::If(condition)) => nodes.push(self.condition(condition, depth)?),
                TokenKind::Tag(Tag::Else) => return Ok((nodes, Stop::Else(token.at))),
                TokenKind::Tag(Tag::Endif) => return Ok((nodes, Stop::Endif(token.at))),
            }
        }
        Ok((nodes, Stop::End))
    }

    fn block(&mut self, depth: usize) -> Result<Node<'a>, Fault> {
        self.next += 1;
        let (nodes, stop) = self.nodes(depth + 1)?;
        match stop {
            Stop::Close | Stop::End => Ok(Node::Block(nodes)),
            Stop::Else(at) => Err(Fault::new(at, "`{{#else}}` without `{{#if}}`")),
            Stop::Endif(at) => Err(Fault::new(at, "`{{#endif}}` without `{{#if}}`")),
        }
    }

    fn condition(&mut self, condition: &Condition<'a>, depth: usize) -> Result<Node<'a>, Fault> {
        let (then, mut stop) = self.nodes(depth + 1)?;
        let mut otherwise = Vec::new();
        if let Stop::Else(_) = stop {
            (otherwise, stop) = self.nodes(depth + 1)?;
        }
        match stop {
            Stop::Endif(_) => Ok(Node::If {
                condition: condition.clone(),
                then,
                otherwise,
            }),
            Stop::Else(at) => Err(Fault::new(at, "a second `{{#else}}`")),
            Stop::End | Stop::Close => Err(Fault::new(condition.at, "`{{#if}}` without `{{#endif}}`")),
        }
    }
}
