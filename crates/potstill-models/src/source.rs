//! Where weights come from: named tensors, read one at a time.

use std::path::Path;

use crate::Error;

/// A collection of named tensors under Hugging Face names.
///
/// A format with names of its own (GGUF) maps them, so that loading is written once.
pub(crate) trait TensorSource {
    /// Every tensor there is, in no particular order.
    fn names(&self) -> Vec<String>;

    /// Shape of a tensor, row-major; `None` where there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// Reads one tensor, row-major, as f32.
    ///
    /// # Errors
    ///
    /// When there is no such tensor, its type cannot be read, or the file cannot.
    fn read(&self, name: &str) -> Result<Vec<f32>, Error>;

    /// The file or folder, for messages.
    fn origin(&self) -> &Path;
}
