//! What a client sent for the filters: text by name, typed by nothing but the way it was written.
//! Reserved names are kept apart, and a key that came in the address not at all.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::Serialize;
use serde::de::DeserializeSeed;
use serde::de::IgnoredAny;
use serde::de::MapAccess;
use serde::de::Visitor;
use serde_json::value::RawValue;

use crate::error::Error;
use crate::error::Result;
use crate::query::scalar::shown;
use crate::query::values::VALUES_MAX;

/// Under this name old clients send their key.
const KEY: &str = "_utoken";

/// More than anybody has use for, and few enough to be held.
const OPTIONS_MAX: usize = 1_000;

/// Values by filter name, as the client wrote them. A name that is there without texts has no value.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct RawValues {
    given: BTreeMap<String, Given>,
    /// By reserved name; the last of several counts.
    reserved: BTreeMap<String, String>,
    /// How many values there are; a name without one counts as one.
    #[serde(skip)]
    count: usize,
    /// How many reserved names were given.
    #[serde(skip)]
    options: usize,
}

/// What was given for one name.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) enum Given {
    /// In the order in which they were sent; empty texts are kept.
    Texts(Vec<String>),
    /// JSON that is no value, described for a message. An error only if the name is a filter's.
    Unusable(&'static str),
}

impl RawValues {
    /// Reads `a=1&ids[]=2&ids[]=3`, the part of an address after `?`.
    pub(crate) fn from_query_string(query: &str) -> Result<Self> {
        let mut values = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, text) = pair.split_once('=').unwrap_or((pair, ""));
            values.add(&decode(name)?, Given::Texts(vec![decode(text)?]))?;
        }
        Ok(values)
    }

    /// Reads a body of the type `application/x-www-form-urlencoded`; it wins over what is there.
    pub(crate) fn merge_form(&mut self, body: &[u8]) -> Result<()> {
        let body = std::str::from_utf8(body).map_err(|_| Error::invalid("the body is not valid UTF-8"))?;
        self.replace_with(Self::from_query_string(body.trim_end())?);
        Ok(())
    }

    /// Reads a JSON object; it wins over what is there. An empty body says nothing.
    pub(crate) fn merge_json(&mut self, body: &[u8]) -> Result<()> {
        if body.trim_ascii().is_empty() {
            return Ok(());
        }
        let mut values = Self::default();
        let mut refused = None;
        let mut reader = serde_json::Deserializer::from_slice(body);
        let fields = Fields {
            values: &mut values,
            refused: &mut refused,
        };
        let read = fields.deserialize(&mut reader).and_then(|()| reader.end());
        if let Some(refused) = refused {
            return Err(refused);
        }
        read.map_err(|error| {
            Error::invalid(format!(
                "the body must be a JSON object of filter values: {error}"
            ))
        })?;
        self.replace_with(values);
        Ok(())
    }

    /// What was given for a name; `None` if it was not mentioned.
    pub(crate) fn get(&self, name: &str) -> Option<&Given> {
        self.given.get(name)
    }

    /// All that was given for filters, or what could be filters.
    pub(crate) fn given(&self) -> &BTreeMap<String, Given> {
        &self.given
    }

    /// Says what was given for a name.
    pub(crate) fn set(&mut self, name: &str, texts: Vec<String>) {
        self.given.insert(name.to_owned(), Given::Texts(texts));
    }

    /// Whether anything was given for a name that no filter can bear.
    pub(crate) fn has_options(&self) -> bool {
        !self.reserved.is_empty()
    }

    /// What was given for a name that no filter can bear.
    pub(crate) fn reserved(&self, name: &str) -> Option<&str> {
        self.reserved.get(name).map(String::as_str)
    }

    fn add(&mut self, name: &str, given: Given) -> Result<()> {
        let name = without_index(name);
        if name == KEY {
            return Ok(());
        }
        if is_reserved(name) {
            self.options += 1;
            if self.options > OPTIONS_MAX {
                let message = format!("the request has more than {OPTIONS_MAX} options that begin with `_`");
                return Err(Error::invalid(message));
            }
            if let Given::Texts(texts) = given
                && let Some(text) = texts.into_iter().next_back()
            {
                self.reserved.insert(name.to_owned(), text);
            }
            return Ok(());
        }
        self.count += match &given {
            Given::Texts(texts) => texts.len().max(1),
            Given::Unusable(_) => 1,
        };
        check_count(self.count)?;
        match (self.given.get_mut(name), given) {
            (Some(Given::Texts(texts)), Given::Texts(more)) => texts.extend(more),
            (_, given) => {
                self.given.insert(name.to_owned(), given);
            }
        }
        Ok(())
    }

    fn replace_with(&mut self, other: Self) {
        self.given.extend(other.given);
        self.reserved.extend(other.reserved);
        self.count += other.count;
        self.options += other.options;
    }
}

/// Names that no filter can bear.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with('_') || name == "job_id"
}

/// Values of names that no filter has count as well: all of them are held.
fn check_count(count: usize) -> Result<()> {
    match count {
        0..=VALUES_MAX => Ok(()),
        _ => Err(Error::invalid(format!(
            "the request has too many values: at most {VALUES_MAX} are allowed"
        ))),
    }
}

/// `ids[]` and `ids[0]` both mean `ids`.
fn without_index(name: &str) -> &str {
    match name.strip_suffix(']').and_then(|name| name.rsplit_once('[')) {
        Some((name, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => name,
    }
}

/// Undoes `%41` and `+`. Messages quote the escape alone, since the text may be a secret.
fn decode(text: &str) -> Result<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (escape, tail) = tail.split_at_checked(2).ok_or_else(broken_escape)?;
                let digits = std::str::from_utf8(escape).map_err(|_| broken_escape())?;
                if !escape.iter().all(u8::is_ascii_hexdigit) {
                    return Err(broken_escape());
                }
                bytes.push(u8::from_str_radix(digits, 16).map_err(|_| broken_escape())?);
                rest = tail;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).map_err(|_| Error::invalid("a filter value in the request is not valid UTF-8"))
}

fn broken_escape() -> Error {
    Error::invalid("`%` in a filter value must be followed by two hexadecimal digits; `%` itself is `%25`")
}

fn json_given(name: &str, json: &str) -> Result<Given> {
    if json.starts_with('[') {
        // Counted before any is held: these take no room.
        let items: Vec<IgnoredAny> = serde_json::from_str(json).map_err(|error| unreadable(name, &error))?;
        check_count(items.len())?;
        let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|error| unreadable(name, &error))?;
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match json_text(name, item.get())? {
                Some(text) => texts.push(text),
                None => return Ok(Given::Unusable(unusable(item.get()))),
            }
        }
        return Ok(Given::Texts(texts));
    }
    if json == "null" {
        return Ok(Given::Texts(Vec::new()));
    }
    Ok(match json_text(name, json)? {
        Some(text) => Given::Texts(vec![text]),
        None => Given::Unusable(unusable(json)),
    })
}

/// The text of a string, a number with its digits as written, `true` or `false`.
fn json_text(name: &str, json: &str) -> Result<Option<String>> {
    match json.as_bytes().first() {
        Some(b'"') => serde_json::from_str(json)
            .map(Some)
            .map_err(|error| unreadable(name, &error)),
        Some(b'{' | b'[' | b'n') | None => Ok(None),
        Some(_) => Ok(Some(json.to_owned())),
    }
}

fn unusable(json: &str) -> &'static str {
    match json.as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "a list in a list",
        _ => "a null in a list",
    }
}

fn unreadable(name: &str, error: &serde_json::Error) -> Error {
    Error::invalid(format!("{} in the body cannot be read: {error}", shown(name)))
}

/// The fields of an object, each with its exact text, repeated names too; added one by one, so that they are counted
/// before there are more.
struct Fields<'v> {
    values: &'v mut RawValues,
    /// Why no more of them were read.
    refused: &'v mut Option<Error>,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> std::result::Result<(), A::Error> {
        while let Some((name, json)) = access.next_entry::<String, &RawValue>()? {
            let added = json_given(&name, json.get()).and_then(|given| self.values.add(&name, given));
            if let Err(error) = added {
                *self.refused = Some(error);
                return Err(serde::de::Error::custom("refused"));
            }
        }
        Ok(())
    }
}
