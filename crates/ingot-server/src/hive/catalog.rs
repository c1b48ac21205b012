//! The calls that list what there is.
//!
//! Names are patterns; one that is not given stands for all. Source: Hive, `TCLIService.thrift`.

use crate::listings::{self, Listing, Names};
use crate::thrift::{Struct, Value};

/// Returns the query of a call that lists; `None` for other calls.
pub(super) fn listing(call: &str, request: &Struct) -> Option<Listing> {
    let names = |field| {
        let given = request.text(field);
        let given = given.filter(|given| !given.is_empty() && *given != "*");
        given.map_or(Names::All, Names::Like)
    };
    // These are names, and no patterns.
    let named = |field| {
        let given = request.text(field).filter(|given| !given.is_empty());
        given.map_or(Names::All, Names::One)
    };
    Some(match call {
        "GetCatalogs" => listings::catalogs(),
        "GetSchemas" => listings::schemas(names(2), names(3)),
        "GetTables" => {
            let kinds: Vec<&str> = request.items(5).iter().filter_map(Value::as_text).collect();
            listings::tables(names(2), names(3), names(4), &kinds)
        }
        "GetColumns" => listings::columns(names(2), names(3), names(4), names(5)),
        "GetFunctions" => listings::functions(names(2), names(3), names(4)),
        "GetTableTypes" => listings::table_types(),
        "GetTypeInfo" => listings::types(),
        "GetPrimaryKeys" => listings::primary_keys(named(2), named(3), named(4)),
        "GetCrossReference" => {
            listings::foreign_keys([named(2), named(3), named(4)], [named(5), named(6), named(7)])
        }
        _ => return None,
    })
}
