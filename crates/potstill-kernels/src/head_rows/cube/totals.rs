//! What one pass over a row collects, relative to the largest logits that were seen so far.
//!
//! ```text
//! a = max((s − max s)/τ, floor)    b = max((t − max t)/τ, floor)
//! student = Σ eᵃ    teacher = Σ eᵇ    cross = Σ eᵇ (b − a)    floored = Σ eᵇ over a = floor
//! KL(p‖q) = cross / teacher + log student − log teacher
//! ```
//!
//! When the largest student logit rises by r, each a that is not at the floor falls by r/τ. When the
//! teacher's rises by r, each b falls by r/τ and its exponential by the factor e^(−r/τ).

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::Parts;
use crate::cube::{cube_max, cube_sum, sum_of_lanes};

/// Smaller than any logit, and finite: not every shading language has an infinity.
const NOTHING: f32 = -1e30;

/// Log-probabilities this far below the likeliest token count as this.
const FLOOR: f32 = crate::log_space::FLOOR as f32;

/// What a unit, or all of them, found in a row.
#[derive(CubeType)]
pub(super) struct Totals {
    pub(super) student_max: f32,
    pub(super) teacher_max: f32,
    pub(super) student: f32,
    pub(super) teacher: f32,
    pub(super) cross: f32,
    floored: f32,
    /// `Σ e^(s − max s)`, whatever the temperature.
    pub(super) untempered: f32,
}

#[cube]
impl Totals {
    pub(super) fn new() -> Self {
        Totals {
            student_max: NOTHING,
            teacher_max: NOTHING,
            student: 0.0f32,
            teacher: 0.0f32,
            cross: 0.0f32,
            floored: 0.0f32,
            untempered: 0.0f32,
        }
    }

    /// Adds tokens.
    pub(super) fn add<N: Size>(
        &mut self,
        student: Vector<f32, N>,
        teacher: Vector<f32, N>,
        inverse_temperature: f32,
        #[comptime] parts: Parts,
    ) {
        let student_max = largest_of_lanes::<N>(student);
        if student_max > self.student_max {
            self.raise_student(student_max, inverse_temperature, parts);
        }
        let shifted = student - Vector::new(self.student_max);
        if comptime!(parts.hard && (parts.tempered || !parts.soft)) {
            self.untempered += sum_of_lanes::<N>(exponential::<N>(shifted));
        }
        if comptime!(parts.soft) {
            let teacher_max = largest_of_lanes::<N>(teacher);
            if teacher_max > self.teacher_max {
                self.raise_teacher(teacher_max, inverse_temperature);
            }
            let floor = Vector::new(FLOOR);
            let a = shifted * Vector::new(inverse_temperature);
            let at_floor = a.less_than(&floor);
            let a = select_many(at_floor, floor, a);
            let b = teacher - Vector::new(self.teacher_max);
            let b = lanes_at_least_floor::<N>(b * Vector::new(inverse_temperature));
            let p = b.exp();
            self.student += sum_of_lanes::<N>(a.exp());
            self.teacher += sum_of_lanes::<N>(p);
            self.cross += sum_of_lanes::<N>(p * (b - a));
            self.floored += sum_of_lanes::<N>(select_many(at_floor, p, Vector::new(0.0f32)));
        }
    }

    fn raise_student(&mut self, to: f32, inverse_temperature: f32, #[comptime] parts: Parts) {
        let rise = to - self.student_max;
        if comptime!(parts.soft) {
            let of_a = rise * inverse_temperature;
            self.student *= (-of_a).exp();
            // While nothing was seen, every a is at the floor.
            let moved = select(
                self.student_max > NOTHING,
                of_a * (self.teacher - self.floored),
                0.0f32,
            );
            self.cross += moved;
        }
        if comptime!(parts.hard && (parts.tempered || !parts.soft)) {
            self.untempered *= (-rise).exp();
        }
        self.student_max = to;
    }

    fn raise_teacher(&mut self, to: f32, inverse_temperature: f32) {
        let rise = (to - self.teacher_max) * inverse_temperature;
        let scale = (-rise).exp();
        self.cross = (self.cross - rise * self.teacher) * scale;
        self.teacher *= scale;
        self.floored *= scale;
        self.teacher_max = to;
    }

    /// The same of all units together.
    pub(super) fn reduce(
        &mut self,
        inverse_temperature: f32,
        scratch: &mut Shared<[f32]>,
        #[comptime] parts: Parts,
        #[comptime] planes: bool,
    ) {
        let student_max = cube_max(self.student_max, scratch, planes);
        self.raise_student(student_max, inverse_temperature, parts);
        if comptime!(parts.soft) {
            let teacher_max = cube_max(self.teacher_max, scratch, planes);
            self.raise_teacher(teacher_max, inverse_temperature);
            self.student = cube_sum(self.student, scratch, planes);
            self.teacher = cube_sum(self.teacher, scratch, planes);
            self.cross = cube_sum(self.cross, scratch, planes);
        }
        if comptime!(parts.hard && (parts.tempered || !parts.soft)) {
            self.untempered = cube_sum(self.untempered, scratch, planes);
        } else {
            self.untempered = self.student;
        }
    }
}

/// `e^x` for logits below the largest one.
#[cube]
pub(super) fn exponential<N: Size>(shifted: Vector<f32, N>) -> Vector<f32, N> {
    lanes_at_least_floor::<N>(shifted).exp()
}

/// NaN stays NaN, so that a diverged model shows.
#[cube]
pub(super) fn at_least_floor(value: f32) -> f32 {
    select(value < FLOOR, FLOOR, value)
}

#[cube]
fn lanes_at_least_floor<N: Size>(values: Vector<f32, N>) -> Vector<f32, N> {
    let floor = Vector::new(FLOOR);
    select_many(values.less_than(&floor), floor, values)
}

#[cube]
fn largest_of_lanes<N: Size>(values: Vector<f32, N>) -> f32 {
    let mut largest = values.extract(0usize);
    #[unroll]
    for lane in 1..N::value() {
        largest = largest.max(values.extract(lane));
    }
    largest
}
