//! The kernel: a cube for each row.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

use super::Parts;
use super::totals::{Totals, at_least_floor, exponential};

/// The loss of each row and, in `gradient`, its weighted gradient for the student's logits.
///
/// ```text
/// value    = f_s · KL(p‖q) + f_h · (log Σ eˢ − s_y)
/// gradient = w · (f_s/τ · (q − p) + f_h · (softmax(s) − onehot(y)))
/// ```
///
/// `gradient` may be the memory of `student`: what a unit writes, no other reads.
#[cube(launch)]
pub(super) fn row_pass<N: Size>(
    student: &Tensor<Vector<f32, N>>,
    teacher: &Tensor<Vector<f32, N>>,
    targets: &Tensor<i32>,
    weights: &Tensor<f32>,
    gradient: &mut Tensor<Vector<f32, N>>,
    values: &mut Tensor<f32>,
    rows: usize,
    loads: usize,
    inverse_temperature: f32,
    soft_factor: f32,
    hard_factor: f32,
    #[comptime] parts: Parts,
    #[comptime] units: usize,
    #[comptime] planes: bool,
) {
    let row = CUBE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * loads;
    let weight = weights[row];
    let end = select(weight == 0.0f32, 0, loads);
    let mut scratch = Shared::<[f32]>::new_slice(units);

    let mut totals = Totals::new();
    let mut at = UNIT_POS as usize;
    while at < end {
        let of_student = student[start + at];
        let of_teacher = if comptime!(parts.soft) {
            teacher[start + at]
        } else {
            of_student
        };
        totals.add::<N>(of_student, of_teacher, inverse_temperature, parts);
        at += units;
    }
    totals.reduce(inverse_temperature, &mut scratch, parts, planes);

    let mut target = 0usize;
    if comptime!(parts.hard) {
        target = targets[row] as usize;
    }
    if UNIT_POS == 0 {
        let mut value = 0.0f32;
        if comptime!(parts.soft) {
            let cross = totals.cross / totals.teacher;
            value += soft_factor * (cross + totals.student.ln() - totals.teacher.ln());
        }
        if comptime!(parts.hard) {
            let of_target =
                student[start + target / N::value()].extract_dynamic(target % N::value());
            let shifted = at_least_floor(of_target - totals.student_max);
            value += hard_factor * (totals.untempered.ln() - shifted);
        }
        values[row] = select(weight == 0.0f32, 0.0f32, value);
    }

    if comptime!(parts.gradient) {
        // In the memory of the student, nothing may be written before the target was read.
        sync_cube();
        let of_q = Vector::new(weight * soft_factor * inverse_temperature / totals.student);
        let of_p = Vector::new(weight * soft_factor * inverse_temperature / totals.teacher);
        let of_hard = Vector::new(weight * hard_factor / totals.untempered);
        let mut at = UNIT_POS as usize;
        while at < end {
            let shifted = student[start + at] - Vector::new(totals.student_max);
            let mut sum = Vector::new(0.0f32);
            if comptime!(parts.soft) {
                let temperature = Vector::new(inverse_temperature);
                let teacher = teacher[start + at] - Vector::new(totals.teacher_max);
                let q = exponential::<N>(shifted * temperature);
                let p = exponential::<N>(teacher * temperature);
                sum = q * of_q - p * of_p;
            }
            if comptime!(parts.hard) {
                sum += exponential::<N>(shifted) * of_hard;
                if at == target / N::value() {
                    let lane = target % N::value();
                    let value = sum.extract_dynamic(lane);
                    sum.insert_dynamic(lane, value - weight * hard_factor);
                }
            }
            gradient[start + at] = sum;
            at += units;
        }
        while at < loads {
            gradient[start + at] = Vector::new(0.0f32);
            at += units;
        }
    }
}
