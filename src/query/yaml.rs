//! YAML as a tree in which every scalar keeps its exact text and every node its place.
//! No value is interpreted here, so `1.10` stays `1.10`, `no` stays `no`, and a quoted `"007"` is text.
//! Anchors, aliases and tags are refused: a report has no use for them.

use serde_saphyr::granit_parser::Event;
use serde_saphyr::granit_parser::Marker;
use serde_saphyr::granit_parser::Parser;
use serde_saphyr::granit_parser::ScalarStyle;

use crate::query::fault::Fault;

/// Front matter is flat; deeper than this is a mistake.
const DEPTH_MAX: usize = 8;

/// A node and the byte offset at which it begins.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: usize,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// `plain` is false for quoted and block text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In the order of the file; no key twice.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// An absent value: nothing at all, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, plain } => *plain && matches!(text.as_str(), "" | "~" | "null"),
            Kind::List(_) | Kind::Map(_) => false,
        }
    }

    /// The exact text of a scalar; `what` names the thing in the message.
    pub(crate) fn text(&self, what: &str) -> Result<&str, Fault> {
        match &self.kind {
            Kind::Scalar { text, .. } if !self.is_null() => Ok(text),
            _ => Err(self.fault(format!("{what} must be text"))),
        }
    }

    pub(crate) fn boolean(&self, what: &str) -> Result<bool, Fault> {
        match &self.kind {
            Kind::Scalar { text, plain: true } if text == "true" => Ok(true),
            Kind::Scalar { text, plain: true } if text == "false" => Ok(false),
            _ => Err(self.fault(format!("{what} must be true or false"))),
        }
    }

    pub(crate) fn map(&self, what: &str) -> Result<&[(Node, Node)], Fault> {
        match &self.kind {
            Kind::Map(pairs) => Ok(pairs),
            _ => Err(self.fault(format!("{what} must be a mapping of names to values"))),
        }
    }

    pub(crate) fn fault(&self, message: impl Into<String>) -> Fault {
        Fault::new(self.at, message)
    }
}

/// Reads one document. Offsets count from the start of `text`.
pub(crate) fn parse(text: &str) -> Result<Node, Fault> {
    let mut builder = Builder {
        open: Vec::new(),
        root: None,
    };
    for next in Parser::new_from_str(text) {
        let (event, span) = next
            .map_err(|error| Fault::new(offset(text, *error.marker()), format!("YAML: {}", error.info())))?;
        builder.take(event, offset(text, span.start))?;
    }
    Ok(builder.root.unwrap_or(Node {
        at: 0,
        kind: Kind::Scalar {
            text: String::new(),
            plain: true,
        },
    }))
}

/// The parser knows bytes for most places, characters for all.
fn offset(text: &str, marker: Marker) -> usize {
    marker.byte_offset().unwrap_or_else(|| {
        text.char_indices()
            .nth(marker.index())
            .map_or(text.len(), |(at, _)| at)
    })
}

struct Builder {
    /// Lists and mappings that have begun and not ended.
    open: Vec<Open>,
    root: Option<Node>,
}

struct Open {
    node: Node,
    /// A key whose value has not come yet.
    key: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: usize) -> Result<(), Fault> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                let kind = Kind::Scalar {
                    text: text.into_owned(),
                    plain: style == ScalarStyle::Plain,
                };
                self.add(Node { at, kind })
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                self.begin(at, Kind::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_extras(at, anchor, tag.is_some())?;
                self.begin(at, Kind::Map(Vec::new()))
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => self.add(open.node),
                None => Ok(()),
            },
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                Err(Fault::new(at, "YAML aliases are not supported here"))
            }
            Event::DocumentStart(..) if self.root.is_some() => {
                Err(Fault::new(at, "only one YAML document may stand here"))
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, at: usize, kind: Kind) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(Fault::new(
                at,
                format!("nested more than {DEPTH_MAX} levels deep"),
            ));
        }
        self.open.push(Open {
            node: Node { at, kind },
            key: None,
        });
        Ok(())
    }

    fn add(&mut self, node: Node) -> Result<(), Fault> {
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut parent.node.kind, parent.key.take()) {
            (Kind::List(items), _) => items.push(node),
            (Kind::Map(pairs), Some(key)) => pairs.push((key, node)),
            (Kind::Map(pairs), None) => {
                let key = node.text("a key")?;
                if pairs.iter().any(|(other, _)| other.text("").ok() == Some(key)) {
                    return Err(node.fault(format!("`{key}` is there twice")));
                }
                parent.key = Some(node);
            }
            (Kind::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

fn refuse_extras(at: usize, anchor: usize, has_tag: bool) -> Result<(), Fault> {
    if anchor != 0 || has_tag {
        return Err(Fault::new(at, "YAML anchors and tags are not supported here"));
    }
    Ok(())
}
