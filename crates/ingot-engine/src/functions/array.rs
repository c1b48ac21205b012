//! Functions of arrays. Source: Spark SQL, "Array functions".

mod combine;
mod element;
mod extremes;
mod insert;
mod join;
mod make;
mod remove;
mod search;
mod sets;
mod shape;
mod shuffle;
mod size;
mod sort;
mod zip;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

pub(crate) use self::element::item as item_of_collection;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [
        combine::functions(),
        element::functions(),
        extremes::functions(),
        insert::functions(),
        join::functions(),
        make::functions(),
        remove::functions(),
        search::functions(),
        sets::functions(),
        shape::functions(),
        shuffle::functions(),
        size::functions(),
        sort::functions(),
        zip::functions(),
    ]
    .concat()
}
