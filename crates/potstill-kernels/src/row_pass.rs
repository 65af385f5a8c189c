//! One pass over a row of logits: its loss, and in the place of the student's logits their gradient.
//!
//! This is the part of a loss through a head that is not a matrix product. A row stays in the cache of
//! the core that works on it; each exponential is computed once where the divergence allows it.

mod adaptive;
mod hard;
mod logarithm;
mod members;
mod named;
mod passes;
mod soft;
mod softmax;
mod tail;

use crate::{Blend, SparseDivergence};

pub(crate) use named::Named;
use soft::Row;
pub(crate) use tail::Tail;

/// A row of the student and what it is compared with.
#[derive(Debug)]
pub(crate) struct StudentRow<'a> {
    /// Products of hidden state and head; become the gradient, or are used up.
    pub(crate) logits: &'a mut [f32],
    /// What the head does to them.
    pub(crate) tail: Tail<'a>,
    /// Multiplies the gradient, which is not computed without.
    pub(crate) factor: Option<f32>,
}

/// Memory that a thread reuses from row to row.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    hard: Vec<f32>,
    capped: Vec<f32>,
    teacher: Vec<f32>,
}

/// The teacher's side of a row.
#[derive(Debug)]
pub(crate) enum TeacherRow<'a> {
    /// The loss asks for no teacher.
    Unused,
    /// Products of hidden state and head; used up.
    Products(&'a mut [f32], Tail<'a>),
    /// Logits that stay as they are.
    Logits(&'a [f32]),
}

/// The loss of a row that is compared with logits, a target, or both.
///
/// # Panics
///
/// Panics if the blend asks for a teacher or a target that is not there.
#[inline(always)]
pub(crate) fn blended_row(
    blend: &Blend,
    student: StudentRow<'_>,
    teacher: TeacherRow<'_>,
    target: Option<usize>,
    scratch: &mut Scratch,
) -> f64 {
    let StudentRow {
        logits,
        tail,
        factor,
    } = student;
    tail.apply(logits);
    keep_capped(&mut scratch.capped, logits, tail, factor);
    let of_part = |part: f64| factor.map(|factor| factor * part as f32);
    let mut value = 0.0;
    if let Some(hard) = blend.hard {
        let target = target.expect("cross-entropy needs targets");
        let factor = of_part(hard.factor);
        let out = if blend.soft.is_some() {
            scratch.hard.clear();
            scratch.hard.extend_from_slice(logits);
            scratch.hard.as_mut_slice()
        } else {
            &mut *logits
        };
        value += hard.factor * hard::cross_entropy(hard.cross_entropy, out, target, factor);
    }
    if let Some(soft) = blend.soft {
        let teacher = match teacher {
            TeacherRow::Products(products, tail) => {
                tail.apply(products);
                products
            }
            TeacherRow::Logits(logits) => {
                scratch.teacher.clear();
                scratch.teacher.extend_from_slice(logits);
                scratch.teacher.as_mut_slice()
            }
            TeacherRow::Unused => panic!("a divergence needs a teacher"),
        };
        let inverse_temperature = soft.temperature.recip();
        let row = Row {
            student: &mut *logits,
            teacher,
            factor: of_part(soft.factor * inverse_temperature),
        };
        value += soft.factor * row.of_logits(soft.divergence, inverse_temperature as f32);
        if blend.hard.is_some() && factor.is_some() {
            passes::combine(
                logits,
                &scratch.hard,
                #[inline(always)]
                |soft, hard| soft + hard,
            );
        }
    }
    if factor.is_some() {
        tail.differentiate(logits, &scratch.capped);
    }
    value
}

/// The loss of a row that is compared with a few tokens.
#[inline(always)]
pub(crate) fn sparse_row(
    divergence: SparseDivergence,
    student: StudentRow<'_>,
    named: Named<'_>,
    scratch: &mut Scratch,
) -> f64 {
    let StudentRow {
        logits,
        tail,
        factor,
    } = student;
    tail.apply(logits);
    keep_capped(&mut scratch.capped, logits, tail, factor);
    let value = named::sparse(divergence, logits, named, factor);
    if factor.is_some() {
        tail.differentiate(logits, &scratch.capped);
    }
    value
}

/// Keeps the logits, if the derivative of a softcap will need them.
#[inline(always)]
fn keep_capped(capped: &mut Vec<f32>, logits: &[f32], tail: Tail<'_>, factor: Option<f32>) {
    capped.clear();
    if tail.softcap.is_some() && factor.is_some() {
        capped.extend_from_slice(logits);
    }
}
