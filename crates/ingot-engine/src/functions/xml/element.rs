//! An element of XML as a value: see the parent module for what its fields are called.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::escape::{resolve_predefined_entity, unescape};
use quick_xml::events::{BytesStart, Event};

use super::Naming;
use crate::functions::record::Value;

/// Elements nested in elements, at most.
const DEPTH_MAX: usize = 500;

/// An element that is being read.
struct Open<'a> {
    name: String,
    fields: Vec<(String, Value<'a>)>,
    text: String,
    /// Where its content starts.
    start: usize,
}

/// Reads the root element of a text; `None` for what is not well formed.
pub(super) fn read<'a>(text: &'a str, naming: &Naming) -> Option<Value<'a>> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Open<'a>> = Vec::new();
    let mut root = None;
    loop {
        let before = usize::try_from(reader.buffer_position()).ok()?;
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if root.is_some() || open.len() >= DEPTH_MAX {
                    return None;
                }
                let content = usize::try_from(reader.buffer_position()).ok()?;
                open.push(opened(&start, content, naming)?);
            }
            Event::Empty(start) => {
                let element = opened(&start, before, naming)?;
                close(element, "", naming, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let element = open.pop()?;
                let written = text.get(element.start..before)?;
                close(element, written, naming, &mut open, &mut root)?;
            }
            Event::Text(content) => {
                let content = content.decode().ok()?;
                match open.last_mut() {
                    Some(element) => element.text.push_str(&content),
                    None if content.trim().is_empty() => {}
                    None => return None,
                }
            }
            Event::CData(content) => open.last_mut()?.text.push_str(&content.decode().ok()?),
            Event::GeneralRef(reference) => {
                let element = open.last_mut()?;
                match reference.resolve_char_ref().ok()? {
                    Some(character) => element.text.push(character),
                    None => {
                        let name = reference.decode().ok()?;
                        element.text.push_str(resolve_predefined_entity(&name)?);
                    }
                }
            }
            Event::Eof => return root.filter(|_| open.is_empty()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => {}
        }
    }
}

fn opened<'a>(start: &BytesStart<'_>, content: usize, naming: &Naming) -> Option<Open<'a>> {
    let local = |name: &[u8]| Some(std::str::from_utf8(name).ok()?.rsplit(':').next()?.to_owned());
    let mut fields = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.ok()?;
        let name = local(attribute.key.as_ref())?;
        let value = std::str::from_utf8(&attribute.value).ok()?;
        let value = unescape(value).ok()?.into_owned();
        if !naming.exclude_attributes && !attribute.key.as_ref().starts_with(b"xmlns") {
            fields.push((
                format!("{}{name}", naming.attribute_prefix),
                Value::Text(Cow::Owned(value)),
            ));
        }
    }
    Some(Open {
        name: local(start.name().as_ref())?,
        fields,
        text: String::new(),
        start: content,
    })
}

fn close<'a>(
    element: Open<'a>,
    written: &'a str,
    naming: &Naming,
    open: &mut [Open<'a>],
    root: &mut Option<Value<'a>>,
) -> Option<()> {
    let Open {
        name, fields, text, ..
    } = element;
    let text = text.trim();
    let value = if fields.is_empty() {
        Value::Text(Cow::Owned(text.to_owned()))
    } else {
        let mut grouped: Vec<(Cow<'a, str>, Value<'a>)> = Vec::new();
        for (name, value) in fields {
            add(&mut grouped, name, value);
        }
        if !text.is_empty() {
            grouped.push((
                Cow::Owned(naming.value_tag.clone()),
                Value::Text(Cow::Owned(text.to_owned())),
            ));
        }
        Value::Object(grouped, Cow::Borrowed(written))
    };
    match open.last_mut() {
        Some(parent) => parent.fields.push((name, value)),
        None if root.is_none() => *root = Some(value),
        None => return None,
    }
    Some(())
}

/// Adds a field; elements of one name are an array.
fn add<'a>(fields: &mut Vec<(Cow<'a, str>, Value<'a>)>, name: String, value: Value<'a>) {
    match fields.iter_mut().find(|(known, _)| *known == name) {
        None => fields.push((Cow::Owned(name), value)),
        Some((_, Value::Array(items, _))) => items.push(value),
        Some((_, known)) => {
            let first = std::mem::replace(known, Value::Null);
            *known = Value::Array(vec![first, value], Cow::Borrowed(""));
        }
    }
}
