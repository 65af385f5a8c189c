//! Students of one shape, from nothing or from their teacher.

use anyhow::Result;
use potstill::burn::tensor::Device;
use potstill::core::{TokenBatch, TokenRow};
use potstill::models::{
    DerivedStudent, Importance, KeptParts, LanguageModel, StudentShape, StudentSpec, derive_student,
};

/// Rows on which importance is measured.
const CALIBRATION: usize = 64;

/// Both ways of beginning.
pub(crate) struct Beginnings {
    shape: StudentShape,
    parts: KeptParts,
}

impl Beginnings {
    /// Of students of this shape, the parts that matter on `rows` chosen for those that are pruned.
    pub(crate) fn new(
        teacher: &LanguageModel,
        shape: StudentShape,
        rows: &[TokenRow],
    ) -> Result<Self> {
        let rows = &rows[..rows.len().min(CALIBRATION)];
        let batches: Vec<TokenBatch> = rows
            .chunks(16)
            .map(|rows| TokenBatch::from_rows(rows, 0, &Device::default()))
            .collect();
        let parts = Importance::measure(teacher, &batches)?.keep(&shape)?;
        Ok(Self { shape, parts })
    }

    /// A student with fresh weights.
    pub(crate) fn random(&self, teacher: &LanguageModel, seed: u64) -> Result<DerivedStudent> {
        let fresh = StudentSpec::Fresh(self.shape.config(teacher.config())?, seed);
        Ok(derive_student(
            teacher,
            &fresh,
            &Device::default().autodiff(),
        )?)
    }

    /// A student with the parts of its teacher that matter most.
    pub(crate) fn pruned(&self, teacher: &LanguageModel) -> Result<DerivedStudent> {
        let parts = StudentSpec::Parts(self.parts.clone());
        Ok(derive_student(
            teacher,
            &parts,
            &Device::default().autodiff(),
        )?)
    }
}
