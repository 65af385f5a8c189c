//! What an optimizer step changes.

use burn::prelude::*;

/// A student and the objective that it learns by, as one module.
///
/// An objective may own parameters (the projections of hidden-state losses); they are trained,
/// counted and saved with the student, under the paths `student.*` and `objective.*`.
#[derive(Module, Debug)]
pub struct Distiller<S, O> {
    /// The model that learns.
    pub student: S,
    /// What it minimises.
    pub objective: O,
}
