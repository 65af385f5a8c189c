//! Objectives on hidden states, attention maps and relations, in the loop beside one on logits.

use std::cell::RefCell;
use std::rc::Rc;

use burn::module::Module;
use potstill_losses::{
    AttentionMatch, AttentionMatchConfig, Divergence, HiddenMatch, HiddenMatchConfig, Relation,
    RelationMatch, RelationMatchConfig, SoftTarget,
};
use potstill_models::LanguageModel;
use potstill_testkit::autodiff_device;
use potstill_train::{Event, Flow, Trainer, TrainerConfig, Watch};

use crate::{config, layers, parameters, source, student, teacher, watched};

type Features = (SoftTarget, HiddenMatch, AttentionMatch, RelationMatch);

fn objective() -> Features {
    assert_eq!(layers(&student(1)), 2);
    (
        SoftTarget::new(Divergence::ForwardKl),
        HiddenMatchConfig::new(vec![(0, 0), (1, 1), (2, 3)], 8, 16)
            .init(&autodiff_device())
            .unwrap(),
        AttentionMatchConfig::new(vec![(1, 2)]).init().unwrap(),
        RelationMatchConfig::new(Relation::LinearCka, vec![(2, 3)])
            .init()
            .unwrap(),
    )
}

fn trainer(config: TrainerConfig, objective: Features) -> Trainer<LanguageModel, Features> {
    let trainer = Trainer::new(config, student(2), objective, teacher(), source());
    // The teacher does not say what the rows say: the more of it a student has learned, the higher.
    trainer
        .unwrap()
        .evaluation(Watch::highest("cross_entropy"), |student| {
            Ok(watched(student))
        })
}

#[test]
fn projections_are_trained_and_all_terms_fall() {
    let start = objective();
    let mut trainer = trainer(config(30), start.clone());
    let losses = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&losses);
    trainer = trainer.callback(move |event: &Event<'_>| {
        if let Event::Step { report, .. } = event {
            let terms = report.terms.iter();
            sink.borrow_mut().push(
                terms
                    .map(|term| (term.name.clone(), term.mean))
                    .collect::<Vec<_>>(),
            );
        }
        Flow::Continue
    });
    trainer.run().unwrap();
    assert_ne!(parameters(&trainer.model().objective), parameters(&start));
    let losses = losses.borrow();
    for ((name, first), (_, last)) in losses[0].iter().zip(&losses[29]) {
        assert!(last < first, "{name} went from {first} to {last}");
    }
    assert_eq!(losses[0].len(), 4);
}

#[test]
fn projections_are_saved_with_the_run_and_continue_bit_for_bit() {
    let start = objective();
    let folder = tempfile::tempdir().unwrap();
    let [whole, cut] = ["whole", "cut"].map(|name| folder.path().join(name));
    let mut uninterrupted = trainer(config(10), start.clone()).start_in(&whole).unwrap();
    uninterrupted.run().unwrap();

    let mut first = trainer(config(10), start.clone()).start_in(&cut).unwrap();
    for _ in 0..5 {
        first.advance().unwrap();
    }
    drop(first);
    // Another draw of the projections: what counts is what was saved.
    let mut second = trainer(config(10), objective()).continue_in(&cut).unwrap();
    assert_eq!(second.finished_steps(), 4);
    let outcome = second.run().unwrap();
    assert_eq!(
        parameters(second.model()),
        parameters(uninterrupted.model())
    );

    // The best student is kept with the projections that it had. Which step that is depends on the
    // draw, so a third run is taken just as far.
    let best = outcome.best.unwrap().step;
    let saved = cut.join(format!("best/step-{best}/objective.bpk"));
    let objective = objective().try_load_file(&saved).unwrap();
    let mut as_far = trainer(config(10), start);
    for _ in 0..best {
        as_far.advance().unwrap();
    }
    assert_eq!(
        parameters(&objective),
        parameters(&as_far.model().objective)
    );
}
