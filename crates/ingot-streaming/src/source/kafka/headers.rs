//! The headers of a record, as librdkafka has them.
//!
//! `rdkafka` gives a header's key as `&str` and panics at one that is not UTF-8; Kafka does not promise that keys
//! are. They are read here without that step, and bytes that are no text become U+FFFD, as in Spark.

use std::borrow::Cow;
use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings::{rd_kafka_header_get_all, rd_kafka_message_headers};
use rdkafka::message::BorrowedMessage;
use rdkafka::types::RDKafkaRespErr;

/// One header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    pub key: Cow<'a, str>,
    pub value: Option<&'a [u8]>,
}

/// Returns the headers of `record` in their order; none for a record without.
#[expect(
    unsafe_code,
    reason = "librdkafka's own calls, the only ones that do not panic at a key that is no text"
)]
pub fn headers<'a>(record: &'a BorrowedMessage<'_>) -> Vec<Header<'a>> {
    let mut list = ptr::null_mut();
    // SAFETY: the record's pointer is valid while the record is borrowed, and `list` is written before it is read.
    let answer = unsafe { rd_kafka_message_headers(record.ptr(), &mut list) };
    if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null() {
        return Vec::new();
    }
    let mut headers = Vec::new();
    loop {
        let (mut key, mut value, mut length) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `list` belongs to the record, which is borrowed; an index past the end is answered with an error.
        let answer =
            unsafe { rd_kafka_header_get_all(list, headers.len(), &mut key, &mut value, &mut length) };
        if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return headers;
        }
        // SAFETY: librdkafka ends keys with a zero byte, and keeps key and value for as long as the record.
        let (key, value) = unsafe {
            let value = (!value.is_null()).then(|| match length {
                0 => &[],
                _ => std::slice::from_raw_parts(value.cast::<u8>(), length),
            });
            (CStr::from_ptr(key), value)
        };
        headers.push(Header {
            key: key.to_string_lossy(),
            value,
        });
    }
}
