//! Nothing: this crate only pins the features of shared dependencies, see its manifest.
