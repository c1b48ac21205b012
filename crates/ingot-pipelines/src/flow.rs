//! How datasets are filled, one file for each way.

pub mod cdc;
mod history;
pub mod streaming;
pub mod view;
