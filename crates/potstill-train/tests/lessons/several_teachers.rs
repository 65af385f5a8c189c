//! Several teachers of one student, in the loop.

use potstill_losses::{Divergence, SoftTarget};
use potstill_teachers::{
    AverageSpace, BoxedTeacher, ModelTeacher, TeacherWeights, WeightedTeachers,
};
use potstill_train::Trainer;

use crate::{config, model, parameters, source, student};

fn teacher(seed: u64) -> BoxedTeacher {
    Box::new(ModelTeacher::new(&model(16, 3, seed)))
}

/// Twelve steps with the average of two teachers.
fn learned(weights: TeacherWeights) -> Vec<f32> {
    let teachers = vec![teacher(1), teacher(2)];
    let teacher = WeightedTeachers::new(teachers, AverageSpace::Probability, weights).unwrap();
    with(Box::new(teacher))
}

fn with(teacher: BoxedTeacher) -> Vec<f32> {
    let objective = SoftTarget::new(Divergence::ForwardKl);
    let trainer = Trainer::new(config(12), student(2), objective, teacher, source());
    let mut trainer = trainer.unwrap();
    trainer.run().unwrap();
    parameters(&trainer.student())
}

#[test]
fn a_student_of_two_teachers_is_the_student_of_neither() {
    let both = learned(TeacherWeights::equal(2));
    let each = [1, 2].map(|seed| with(teacher(seed)));
    let distance = |a: &[f32], b: &[f32]| -> f32 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f32>()
    };
    assert!(distance(&both, &each[0]) > 1e-6 && distance(&both, &each[1]) > 1e-6);
    // The average lies between them, and so does what is learned from it in a few steps.
    let apart = distance(&each[0], &each[1]);
    assert!(distance(&both, &each[0]) < apart && distance(&both, &each[1]) < apart);
}

#[test]
fn a_teacher_with_all_of_the_weight_teaches_alone() {
    let first_only = learned(TeacherWeights::Fixed {
        weights: vec![1.0, 0.0],
    });
    let alone = with(teacher(1));
    let largest = first_only
        .iter()
        .zip(&alone)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(largest < 1e-3, "{largest}");
}
