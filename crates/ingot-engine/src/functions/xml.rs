//! Functions of XML. Source: Spark SQL, "XML functions"; `StaxXmlParser`, `StaxXmlGenerator`, `XmlInferSchema`.
//!
//! Attributes are fields with `_` before their names, and the text of an element that has other fields is `_VALUE`.

mod element;
mod from_xml;
pub(crate) mod schema_of;
mod to_xml;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::record::options::Options;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [from_xml::functions(), schema_of::functions(), to_xml::functions()].concat()
}

/// What fields are called.
#[derive(Debug)]
struct Naming {
    attribute_prefix: String,
    value_tag: String,
    exclude_attributes: bool,
}

impl Naming {
    fn of(options: &Options) -> Self {
        Self {
            attribute_prefix: options.get("attributeprefix").unwrap_or("_").to_owned(),
            value_tag: options.get("valuetag").unwrap_or(VALUE).to_owned(),
            exclude_attributes: options.flag("excludeattribute", false),
        }
    }
}

/// The field of an element's own text.
pub(crate) const VALUE: &str = "_VALUE";
