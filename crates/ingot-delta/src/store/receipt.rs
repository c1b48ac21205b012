//! What a store knows about a file that it has put, so that the writer need not look.

use std::sync::{Arc, OnceLock};

use object_store::{ObjectMeta, PutOptions};

/// Goes with a put (`PutOptions::extensions`) and comes back filled in by a store that knows what a look at the file
/// would find; from others it comes back empty. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct PutReceipt(Arc<OnceLock<ObjectMeta>>);

impl PutReceipt {
    /// Sends a receipt along with a put.
    pub fn attach(options: &mut PutOptions) -> Self {
        let receipt = Self::default();
        options.extensions.insert(receipt.clone());
        receipt
    }

    /// Fills in the receipt that came with a put, if one did. The put is done and durable.
    pub fn fill_in(options: &PutOptions, meta: ObjectMeta) {
        if let Some(receipt) = options.extensions.get::<Self>() {
            // Filled in already by an earlier attempt of the same put, which put the same file.
            let _ = receipt.0.set(meta);
        }
    }

    /// Returns what the store said.
    pub fn meta(&self) -> Option<ObjectMeta> {
        self.0.get().cloned()
    }
}
