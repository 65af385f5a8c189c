//! Reading safetensors files and folders of them.
//!
//! Nothing is allocated by what a header claims before that was compared with the size of the file.

mod element;
mod file;
mod folder;
mod writer;

pub use element::WeightDtype;
pub(crate) use folder::{INDEX, SINGLE, SafetensorsFolder};
pub(crate) use writer::{TensorEntry, write_safetensors};

#[cfg(test)]
mod tests;
