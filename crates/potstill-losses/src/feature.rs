//! Distances between inner values of two models.
//!
//! All are differentiated by autodiff: what they compare is narrow beside a vocabulary.

use burn::prelude::*;

mod attention;
mod contrastive;
mod hidden;
mod information;
mod kernel_alignment;
mod relation;
mod relational;
mod similarity;

pub(crate) use attention::attention_kl_per_query;
pub use attention::{attention_kl, attention_mse, attention_transfer};
pub use contrastive::contrastive;
pub use hidden::{hidden_cosine, hidden_mse, hidden_normalized_mse};
pub use information::{VariationalInformation, VariationalInformationConfig};
pub use kernel_alignment::linear_cka;
pub use relation::self_relation_kl;
pub use relational::{rkd_angle, rkd_distance};
pub use similarity::similarity_preserving;

#[track_caller]
fn assert_same_shape<const D: usize>(student: &Tensor<D>, teacher: &Tensor<D>, what: &str) {
    assert_eq!(student.dims(), teacher.dims(), "{what} must have one shape");
}

#[cfg(test)]
mod tests;
