//! Courses of several runs: hints before logits, one generation after another.

use potstill_losses::{Divergence, HardTarget, HiddenMatchConfig, SoftTarget};
use potstill_models::LanguageModel;
use potstill_teachers::{
    AverageSpace, BoxedTeacher, ModelTeacher, TeacherWeights, WeightedTeachers,
};
use potstill_testkit::plain_device;
use potstill_train::{Error, Event, Flow, Trainer, Watch};
use std::path::Path;

use crate::{config, parameters, source, student, teacher, watched};

/// FitNets, stopped after `budget` steps of any stage together.
fn fit_net(folder: &Path, seed: u64, mut budget: usize) -> Result<LanguageModel, Error> {
    let mut stop = move |event: &Event<'_>| {
        budget -= usize::from(matches!(event, Event::Step { .. }));
        if budget == 0 {
            Flow::Stop
        } else {
            Flow::Continue
        }
    };
    plain_device().seed(5);
    let hints = HiddenMatchConfig::new(vec![(1, 2)], 8, 16);
    let hints = hints.init(&plain_device()).unwrap();
    let first = Trainer::new(config(6), student(seed), hints, teacher(), source())?
        .callback(move |event: &Event<'_>| stop(event))
        .finish_in(folder.join("hints"))?;
    let soft = SoftTarget::new(Divergence::ForwardKl);
    let second = Trainer::new(config(6), first.student(), soft, teacher(), source())?
        .finish_in(folder.join("logits"))?;
    Ok(second.student())
}

#[test]
fn hints_then_logits_go_on_after_a_stop_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
    let expected = parameters(&fit_net(&whole, 2, usize::MAX).unwrap());
    let error = fit_net(&cut, 2, 3).unwrap_err().to_string();
    assert!(error.contains("was stopped after 3 of 6 steps"), "{error}");
    assert!(
        !cut.join("logits").exists(),
        "the next stage must not begin"
    );
    let student = fit_net(&cut, 2, usize::MAX).unwrap();
    assert_eq!(parameters(&student), expected);
    // All of it once more: both stages are finished and stay as they are.
    let student = fit_net(&cut, 2, usize::MAX).unwrap();
    assert_eq!(parameters(&student), expected);
}

#[test]
fn a_stage_that_began_with_another_student_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fit_net(folder.path(), 2, usize::MAX).unwrap();
    std::fs::remove_dir_all(folder.path().join("hints")).unwrap();
    let error = fit_net(folder.path(), 3, usize::MAX).unwrap_err();
    let Error::StageChanged { path } = error else {
        panic!("{error}")
    };
    assert_eq!(path, folder.path().join("logits"));
}

/// Three generations, the last of which learns from the first two together.
fn born_again(folder: &Path) -> Vec<LanguageModel> {
    let mut generations: Vec<LanguageModel> = Vec::new();
    for generation in 1..=3 {
        let teachers = generations.iter().rev();
        let mut teachers: Vec<BoxedTeacher> = teachers
            .map(|model| Box::new(ModelTeacher::new(model)) as BoxedTeacher)
            .collect();
        let objective = (HardTarget::new(), SoftTarget::new(Divergence::ForwardKl));
        let teacher: BoxedTeacher = match teachers.len() {
            0 => Box::new(teacher()),
            1 => teachers.remove(0),
            several => {
                let weights = TeacherWeights::equal(several);
                let space = AverageSpace::Probability;
                Box::new(WeightedTeachers::new(teachers, space, weights).unwrap())
            }
        };
        let run = Trainer::new(config(6), student(generation), objective, teacher, source())
            .unwrap()
            .evaluation(Watch::lowest("cross_entropy"), |student| {
                Ok(watched(student))
            })
            .finish_in(folder.join(format!("gen-{generation}")))
            .unwrap();
        generations.push(run.best_student().unwrap().unwrap());
    }
    generations
}

#[test]
fn each_generation_learns_from_the_best_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let first = born_again(folder.path());
    let unlike = |a: usize, b: usize| parameters(&first[a]) != parameters(&first[b]);
    assert!(unlike(0, 1) && unlike(1, 2));
    // Interrupted after the first generation: what was there is read, the rest is made again.
    for generation in [2, 3] {
        std::fs::remove_dir_all(folder.path().join(format!("gen-{generation}"))).unwrap();
    }
    for (again, first) in born_again(folder.path()).iter().zip(&first) {
        assert_eq!(parameters(again), parameters(first));
    }
}
