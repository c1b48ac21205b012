//! Thrift messages as trees of values, by the numbers of their fields.
//!
//! A server of a dozen calls needs a few fields of a few dozen structures; generated code has them all. Fields that a
//! client sends and nobody asks for stay in the tree. The encoding is that of the library `thrift` (`TBinaryProtocol`,
//! strict). Source: Apache Thrift, "Thrift Binary protocol encoding".

use std::collections::BTreeMap;

use thrift::protocol::{
    TBinaryInputProtocol, TBinaryOutputProtocol, TFieldIdentifier, TInputProtocol, TListIdentifier,
    TMapIdentifier, TMessageIdentifier, TMessageType, TOutputProtocol, TStructIdentifier, TType,
};
use thrift::{ApplicationError, ApplicationErrorKind, TConfiguration};

/// Structures and containers within each other, at most.
const DEPTH_MAX: usize = 32;

/// Values of a message, at most: a value takes more memory than its byte on the wire.
const VALUES_MAX: usize = 100_000;

/// A value of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Bool(bool),
    I8(i8),
    I16(i16),
    I32(i32),
    I64(i64),
    Double(f64),
    /// Texts are bytes too.
    Bytes(Vec<u8>),
    Struct(Struct),
    List(TType, Vec<Value>),
    /// Entries of texts; other maps are not used by the calls that there are.
    Map(TType, Vec<(String, Value)>),
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i32> for Value {
    fn from(value: i32) -> Self {
        Self::I32(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::I64(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Bytes(value.as_bytes().to_vec())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Bytes(value.into_bytes())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<Struct> for Value {
    fn from(value: Struct) -> Self {
        Self::Struct(value)
    }
}

impl From<Vec<Struct>> for Value {
    fn from(values: Vec<Struct>) -> Self {
        Self::List(TType::Struct, values.into_iter().map(Self::Struct).collect())
    }
}

impl Value {
    fn thrift_type(&self) -> TType {
        match self {
            Self::Bool(_) => TType::Bool,
            Self::I8(_) => TType::I08,
            Self::I16(_) => TType::I16,
            Self::I32(_) => TType::I32,
            Self::I64(_) => TType::I64,
            Self::Double(_) => TType::Double,
            Self::Bytes(_) => TType::String,
            Self::Struct(_) => TType::Struct,
            Self::List(..) => TType::List,
            Self::Map(..) => TType::Map,
        }
    }

    /// Returns the text that it is, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// Returns the structure that it is, if it is one.
    pub fn as_struct(&self) -> Option<&Struct> {
        match self {
            Self::Struct(fields) => Some(fields),
            _ => None,
        }
    }
}

/// A structure: its fields by their numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Struct(BTreeMap<i16, Value>);

impl Struct {
    /// Sets a field.
    pub fn with(mut self, field: i16, value: impl Into<Value>) -> Self {
        self.0.insert(field, value.into());
        self
    }

    /// Sets a field if there is a value for it.
    pub fn with_some(self, field: i16, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }

    pub fn get(&self, field: i16) -> Option<&Value> {
        self.0.get(&field)
    }

    /// Returns a field that is a text.
    pub fn text(&self, field: i16) -> Option<&str> {
        self.get(field)?.as_text()
    }

    /// Returns a field that is a whole number, of any width.
    pub fn number(&self, field: i16) -> Option<i64> {
        match self.get(field)? {
            Value::I8(value) => Some(i64::from(*value)),
            Value::I16(value) => Some(i64::from(*value)),
            Value::I32(value) => Some(i64::from(*value)),
            Value::I64(value) => Some(*value),
            _ => None,
        }
    }

    /// Says if a field is set and true.
    pub fn flag(&self, field: i16) -> bool {
        self.get(field) == Some(&Value::Bool(true))
    }

    /// Returns a field that is a structure.
    pub fn fields(&self, field: i16) -> Option<&Self> {
        self.get(field)?.as_struct()
    }

    /// Returns the items of a field that is a list; none where it is not set.
    pub fn items(&self, field: i16) -> &[Value] {
        match self.get(field) {
            Some(Value::List(_, items)) => items,
            _ => &[],
        }
    }

    /// Returns the entries of a field that maps texts to texts.
    pub fn texts(&self, field: i16) -> impl Iterator<Item = (&str, &str)> {
        let entries: &[(String, Value)] = match self.get(field) {
            Some(Value::Map(_, entries)) => entries,
            _ => &[],
        };
        entries
            .iter()
            .filter_map(|(key, value)| Some((key.as_str(), value.as_text()?)))
    }
}

/// Says what is wrong with a message.
pub fn explain(error: &thrift::Error) -> String {
    match error {
        thrift::Error::Protocol(error) => error.message.clone(),
        thrift::Error::Transport(error) => error.message.clone(),
        thrift::Error::Application(error) => error.message.clone(),
        thrift::Error::User(error) => error.to_string(),
    }
}

/// A call that a client makes.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    pub name: String,
    sequence_number: i32,
    /// The only argument of the call.
    pub request: Struct,
}

impl Call {
    /// Reads the call of a request's body.
    ///
    /// # Errors
    /// The library's, for what is no message, or promises more than there is.
    pub fn read(body: &[u8]) -> thrift::Result<Self> {
        let limits = TConfiguration::builder()
            .max_message_size(Some(body.len()))
            .max_frame_size(None)
            .max_string_size(Some(body.len()))
            .max_container_size(Some(body.len()))
            .build()?;
        let mut protocol = TBinaryInputProtocol::with_config(body, true, limits);
        let message = protocol.read_message_begin()?;
        let mut reader = Reader {
            protocol: &mut protocol,
            left: VALUES_MAX,
        };
        let mut arguments = reader.read_struct(0)?;
        let request = match arguments.0.remove(&1) {
            Some(Value::Struct(request)) => request,
            _ => Struct::default(),
        };
        Ok(Self {
            name: message.name,
            sequence_number: message.sequence_number,
            request,
        })
    }

    /// Writes what the call returns.
    ///
    /// # Errors
    /// The library's, when memory cannot be had.
    pub fn reply(&self, response: Struct) -> thrift::Result<Vec<u8>> {
        self.write(TMessageType::Reply, |protocol| {
            write_struct(protocol, &Struct::default().with(0, response))
        })
    }

    /// Writes that there is no such call.
    ///
    /// # Errors
    /// As [`Self::reply`].
    pub fn unknown(&self) -> thrift::Result<Vec<u8>> {
        let error = ApplicationError::new(
            ApplicationErrorKind::UnknownMethod,
            format!("the call `{}` is not supported", self.name),
        );
        self.write(TMessageType::Exception, |protocol| {
            thrift::Error::write_application_error_to_out_protocol(&error, protocol)
        })
    }

    fn write(
        &self,
        message_type: TMessageType,
        write: impl FnOnce(&mut dyn TOutputProtocol) -> thrift::Result<()>,
    ) -> thrift::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut protocol = TBinaryOutputProtocol::new(&mut bytes, true);
        let message = TMessageIdentifier::new(self.name.clone(), message_type, self.sequence_number);
        protocol.write_message_begin(&message)?;
        write(&mut protocol)?;
        protocol.write_message_end()?;
        Ok(bytes)
    }
}

struct Reader<'a> {
    protocol: &'a mut dyn TInputProtocol,
    /// Values that may still come.
    left: usize,
}

impl Reader<'_> {
    fn read_struct(&mut self, depth: usize) -> thrift::Result<Struct> {
        let mut fields = BTreeMap::new();
        self.protocol.read_struct_begin()?;
        loop {
            let field = self.protocol.read_field_begin()?;
            if field.field_type == TType::Stop {
                break;
            }
            let value = self.read_value(field.field_type, depth + 1)?;
            self.protocol.read_field_end()?;
            if let Some(id) = field.id {
                fields.insert(id, value);
            }
        }
        self.protocol.read_struct_end()?;
        Ok(Struct(fields))
    }

    fn read_value(&mut self, thrift_type: TType, depth: usize) -> thrift::Result<Value> {
        self.left = self
            .left
            .checked_sub(1)
            .filter(|_| depth <= DEPTH_MAX)
            .ok_or_else(|| invalid("the message has too many values, or they are too deep"))?;
        let protocol = &mut *self.protocol;
        Ok(match thrift_type {
            TType::Bool => Value::Bool(protocol.read_bool()?),
            TType::I08 => Value::I8(protocol.read_i8()?),
            TType::I16 => Value::I16(protocol.read_i16()?),
            TType::I32 => Value::I32(protocol.read_i32()?),
            TType::I64 => Value::I64(protocol.read_i64()?),
            TType::Double => Value::Double(protocol.read_double()?),
            TType::String | TType::Utf7 => Value::Bytes(protocol.read_bytes()?),
            TType::Struct => Value::Struct(self.read_struct(depth)?),
            TType::List => {
                let list = protocol.read_list_begin()?;
                let items = (0..list.size).map(|_| self.read_value(list.element_type, depth + 1));
                let items = items.collect::<thrift::Result<_>>()?;
                self.protocol.read_list_end()?;
                Value::List(list.element_type, items)
            }
            TType::Map => self.read_map(depth)?,
            other => return Err(invalid(&format!("a value of type {other:?} is not expected"))),
        })
    }

    fn read_map(&mut self, depth: usize) -> thrift::Result<Value> {
        let map = self.protocol.read_map_begin()?;
        let key_type = map.key_type.unwrap_or(TType::String);
        let value_type = map.value_type.unwrap_or(TType::String);
        let mut entries = Vec::new();
        for _ in 0..map.size {
            let key = self.read_value(key_type, depth + 1)?;
            let value = self.read_value(value_type, depth + 1)?;
            let key = key
                .as_text()
                .ok_or_else(|| invalid("the key of a map is no text"))?;
            entries.push((key.to_owned(), value));
        }
        self.protocol.read_map_end()?;
        Ok(Value::Map(value_type, entries))
    }
}

fn write_struct(protocol: &mut dyn TOutputProtocol, fields: &Struct) -> thrift::Result<()> {
    protocol.write_struct_begin(&TStructIdentifier::new(""))?;
    for (id, value) in &fields.0 {
        protocol.write_field_begin(&TFieldIdentifier::new("", value.thrift_type(), *id))?;
        write_value(protocol, value)?;
        protocol.write_field_end()?;
    }
    protocol.write_field_stop()?;
    protocol.write_struct_end()
}

fn write_value(protocol: &mut dyn TOutputProtocol, value: &Value) -> thrift::Result<()> {
    match value {
        Value::Bool(value) => protocol.write_bool(*value),
        Value::I8(value) => protocol.write_i8(*value),
        Value::I16(value) => protocol.write_i16(*value),
        Value::I32(value) => protocol.write_i32(*value),
        Value::I64(value) => protocol.write_i64(*value),
        Value::Double(value) => protocol.write_double(*value),
        Value::Bytes(bytes) => protocol.write_bytes(bytes),
        Value::Struct(fields) => write_struct(protocol, fields),
        Value::List(item, items) => {
            protocol.write_list_begin(&TListIdentifier::new(*item, size(items.len())?))?;
            items.iter().try_for_each(|item| write_value(protocol, item))?;
            protocol.write_list_end()
        }
        Value::Map(value_type, entries) => {
            let map = TMapIdentifier::new(TType::String, *value_type, size(entries.len())?);
            protocol.write_map_begin(&map)?;
            for (key, value) in entries {
                protocol.write_string(key)?;
                write_value(protocol, value)?;
            }
            protocol.write_map_end()
        }
    }
}

fn size(items: usize) -> thrift::Result<i32> {
    i32::try_from(items).map_err(|_| invalid("a list has too many items"))
}

fn invalid(message: &str) -> thrift::Error {
    thrift::Error::Protocol(thrift::ProtocolError::new(
        thrift::ProtocolErrorKind::InvalidData,
        message,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use test_case::test_case;

    fn call(fields: Struct) -> Vec<u8> {
        let call = Call {
            name: "OpenSession".to_owned(),
            sequence_number: 7,
            request: Struct::default(),
        };
        call.write(TMessageType::Call, |protocol| {
            write_struct(protocol, &Struct::default().with(1, fields))
        })
        .expect("bytes")
    }

    fn all() -> Struct {
        Struct::default()
            .with(1, true)
            .with(2, 42_i32)
            .with(3, -1_i64)
            .with(4, "text")
            .with(5, Value::Map(TType::String, vec![("k".to_owned(), "v".into())]))
            .with(6, vec![Struct::default().with(1, Value::Double(0.5))])
            .with(1281, Struct::default().with(1, Value::I16(9)))
    }

    #[test]
    fn what_is_written_is_read() {
        let read = Call::read(&call(all())).expect("a call");
        assert_eq!((read.name.as_str(), read.sequence_number), ("OpenSession", 7));
        assert_eq!(read.request, all());
    }

    #[test]
    fn a_message_that_is_cut_off_is_refused() {
        let whole = call(all());
        for length in 0..whole.len() {
            assert!(Call::read(&whole[..length]).is_err(), "{length} bytes");
        }
    }

    #[test_case(&[0x80, 1, 0, 1, 0x7f, 0xff, 0xff, 0xff]; "a long name")]
    #[test_case(b"GET / HTTP/1.1"; "no message")]
    #[test_case(&[0x80, 1, 0, 1, 0, 0, 0, 1, b'x', 0, 0, 0, 1, 12, 0, 1, 15, 0, 1, 12, 0x7f, 0xff, 0xff, 0xff]; "a long list")]
    #[test_case(&[0x80, 1, 0, 1, 0, 0, 0, 1, b'x', 0, 0, 0, 1, 12, 0, 1, 11, 0, 1, 0xff, 0xff, 0xff, 0xff]; "a text of negative length")]
    fn a_hostile_message_is_refused(bytes: &[u8]) {
        assert!(Call::read(bytes).is_err());
    }

    #[test]
    fn structures_that_are_too_deep_are_refused() {
        let mut fields = Struct::default();
        for _ in 0..40 {
            fields = Struct::default().with(1, fields);
        }
        assert!(Call::read(&call(fields)).is_err());
    }
}
