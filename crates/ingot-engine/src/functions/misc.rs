//! Functions of the session, of errors, of types, of secrets, and random ones.

mod aes;
mod encryption;
pub(crate) mod member;
mod null_if;
mod raise;
pub(crate) mod random;
mod session;
mod types;
mod user;

use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;

use super::function::Function;
pub(crate) use user::CurrentUser;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let functions = session::functions()
        .into_iter()
        .chain(raise::functions())
        .chain(types::functions())
        .chain(encryption::functions())
        .chain([null_if::function()]);
    functions.map(Function::udf).collect()
}
