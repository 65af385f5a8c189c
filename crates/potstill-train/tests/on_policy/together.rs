//! Text that student and teacher write together.

use std::cell::RefCell;
use std::rc::Rc;

use burn::module::Module;
use burn::tensor::activation::log_softmax;
use potstill_core::{
    CausalLm, Generate, GenerateOptions, LossTerm, Objective, ObjectiveInput, Rollout, Sampling,
    TokenBatch, TokenRow,
};
use potstill_data::{Loader, LoaderOptions};
use potstill_losses::{HardTarget, SequenceReverseKl, SequenceReverseKlConfig};
use potstill_models::{Architecture, Guidance, LanguageModel, ModelConfig, write_together};
use potstill_teachers::ModelTeacher;
use potstill_testkit::{plain_device, values};
use potstill_train::{Event, Flow, Mixture, Rollouts, StudentShare, Trainer, TrainerConfig};

use crate::{continues_exactly, observed};

const VOCAB: usize = 11;
const STOP: u32 = 0;
const GUIDANCES: [Guidance; 2] = [
    Guidance::Mixed { alpha: 0.2 },
    Guidance::Speculative { top_k: 3 },
];

fn model(width: usize, seed: u64) -> LanguageModel {
    let config = ModelConfig {
        // Large enough that what follows is not the same everywhere.
        initializer_range: 0.4,
        ..ModelConfig::new(Architecture::Llama, VOCAB, width, 1, 2)
    };
    LanguageModel::init(&config, seed, &plain_device())
}

fn teacher() -> LanguageModel {
    model(16, 1)
}

fn prompts() -> Vec<Vec<u32>> {
    (1..7)
        .flat_map(|a| (1..5).map(move |b| vec![a, a + b]))
        .collect()
}

fn options(seed: u64) -> GenerateOptions {
    GenerateOptions {
        sampling: Sampling::temperature(1.0),
        stop_tokens: vec![STOP],
        seed,
        ..GenerateOptions::greedy(6)
    }
}

fn source(guidance: Guidance, written: &Rc<RefCell<Vec<Rollout>>>) -> Rollouts<LanguageModel> {
    // Prompts of two tokens, and what the data have behind them.
    let rows: Vec<_> = prompts()
        .into_iter()
        .map(|prompt| {
            let tokens = [prompt.as_slice(), &[prompt[1], prompt[0], STOP]].concat();
            TokenRow::document(&tokens, &[0.0, 0.0, 1.0, 1.0, 1.0])
        })
        .collect();
    let loader = Loader::new(rows, LoaderOptions::shuffled(8, 3)).unwrap();
    let (teacher, written) = (teacher(), Rc::clone(written));
    Rollouts::new(loader, options(7), 0, &plain_device())
        .unwrap()
        .written_by(move |student, prompts, options| {
            let rollouts = write_together(student, &teacher, guidance, prompts, options)?;
            written.borrow_mut().extend(rollouts.iter().cloned());
            Ok(rollouts)
        })
}

fn minillm() -> SequenceReverseKl {
    SequenceReverseKlConfig::minillm().init().unwrap()
}

fn trainer<O: Objective>(
    steps: usize,
    objective: O,
    source: Rollouts<LanguageModel>,
) -> Trainer<LanguageModel, O> {
    let config = TrainerConfig {
        learning_rate: 0.02,
        checkpoint_every: Some(5),
        ..TrainerConfig::steps(steps)
    };
    let teacher = ModelTeacher::new(&teacher());
    Trainer::new(config, model(8, 2), objective, teacher, source).unwrap()
}

/// `log` of what `model` gives each token that was written, `[rows]`.
fn scored(model: &LanguageModel, batch: &TokenBatch) -> Vec<f64> {
    let log_probs = log_softmax(model.row_logits(batch), 1);
    values(&log_probs.gather(1, batch.row_targets().unsqueeze_dim::<2>(1)))
}

fn batch(rollouts: &[Rollout]) -> TokenBatch {
    let rows: Vec<TokenRow> = rollouts.iter().map(Rollout::row).collect();
    TokenBatch::from_rows(&rows, 0, &plain_device())
}

#[test]
fn what_follows_a_token_counts_as_much_more_as_the_student_is_likelier_to_say_it() {
    for guidance in GUIDANCES {
        let written = Rc::default();
        let (send, terms) = std::sync::mpsc::channel();
        let mut run =
            trainer(1, minillm(), source(guidance, &written)).callback(move |event: &Event<'_>| {
                if let Event::Step { report, .. } = event {
                    let term = report.terms.iter().find(|term| term.name == "long_term");
                    send.send(term.unwrap().mean).unwrap();
                }
                Flow::Continue
            });
        run.run().unwrap();
        let rollouts = written.take();
        let mut log_p = scored(&teacher(), &batch(&rollouts)).into_iter();
        let (mut weighted, mut plain, mut rows) = (0.0, 0.0, 0.0);
        for rollout in &rollouts {
            // In the first step q is the policy, so that no ratio is clipped.
            let draws = rollout.draws.iter();
            let (rewards, weights): (Vec<f64>, Vec<f64>) = draws
                .map(|draw| {
                    let (policy, sampler) = (f64::from(draw.policy), f64::from(draw.sampler));
                    (log_p.next().unwrap() - policy, (policy - sampler).exp())
                })
                .unzip();
            for (place, weight) in weights.iter().enumerate() {
                let later = &rewards[place + 1..];
                let future = later.iter().sum::<f64>() / later.len().max(1) as f64;
                weighted -= weight * future;
                plain -= future;
                rows += 1.0;
            }
        }
        let found = terms.recv().unwrap();
        let (weighted, plain) = (weighted / rows, plain / rows);
        assert!(
            (found - weighted).abs() < 1e-4,
            "{guidance:?} {found} {weighted}"
        );
        assert!((found - plain).abs() > 1e-2, "{guidance:?} {found} {plain}");
    }
}

/// KL(q‖p) of tokens, in text that the student writes.
fn distance(student: &LanguageModel) -> f64 {
    let prompts: Vec<Vec<u32>> = std::iter::repeat_n(prompts(), 8).flatten().collect();
    let generations = student.generate(&prompts, &options(99)).unwrap();
    let rollouts = prompts.into_iter().zip(generations);
    let rollouts: Vec<Rollout> = rollouts.map(|(p, g)| Rollout::new(p, g)).collect();
    let batch = batch(&rollouts);
    let log = |model: &LanguageModel| values(&log_softmax(model.row_logits(&batch), 1));
    let (log_q, log_p) = (log(student), log(&teacher()));
    let terms = log_q.iter().zip(log_p).map(|(q, p)| q.exp() * (q - p));
    terms.sum::<f64>() / batch.rows.count() as f64
}

#[test]
fn a_student_learns_from_what_it_writes_with_its_teacher() {
    let untaught = distance(&model(8, 2));
    for guidance in GUIDANCES {
        let mut run = trainer(60, minillm(), source(guidance, &Rc::default()));
        run.run().unwrap();
        let left = distance(&run.student()) / untaught;
        assert!(left < 0.5, "{guidance:?}: {left} of {untaught}");
    }
}

#[test]
fn a_run_that_two_models_write_for_continues_bit_for_bit() {
    for (guidance, stop) in GUIDANCES.into_iter().zip([7, 13]) {
        let run = |stop| {
            let source = source(guidance, &Rc::default()).refreshed_every(3).unwrap();
            trainer(30, minillm(), source).callback(move |event: &Event<'_>| match event {
                Event::Step { step, .. } if Some(*step) == stop => Flow::Stop,
                _ => Flow::Continue,
            })
        };
        let read = |student: &LanguageModel| {
            let rows: Vec<TokenRow> = (1..9)
                .map(|a| TokenRow::document(&[a, 3, a + 1, 2], &[1.0; 4]))
                .collect();
            values(&student.row_logits(&TokenBatch::from_rows(&rows, 0, &plain_device())))
        };
        let log = continues_exactly(run, read, stop);
        assert!(observed(&log, "staleness").contains(&2.0));
    }
}

/// Rollouts and data, each with an objective of its own.
#[derive(Module, Debug)]
struct Turns {
    written: SequenceReverseKl,
    read: HardTarget,
}

impl Objective for Turns {
    fn terms(&self, input: ObjectiveInput<'_>, terms: &mut Vec<LossTerm>) {
        if input.batch.drawn.is_some() {
            self.written.terms(input, terms);
        } else {
            self.read.terms(input, terms);
        }
    }
}

#[test]
fn plain_text_and_rollouts_take_turns() {
    let objective = Turns {
        written: minillm(),
        read: HardTarget::new(),
    };
    let share = StudentShare::constant(0.5).unwrap();
    let source = source(GUIDANCES[0], &Rc::default())
        .mixed(Mixture::PerBatch(share))
        .unwrap();
    let (send, steps) = std::sync::mpsc::channel();
    let mut run = trainer(40, objective, source).callback(move |event: &Event<'_>| {
        if let Event::Step { report, .. } = event {
            let terms = report.terms.iter();
            let terms: Vec<_> = terms.map(|term| (term.name.clone(), term.mean)).collect();
            send.send(terms).unwrap();
        }
        Flow::Continue
    });
    run.run().unwrap();
    let steps: Vec<_> = steps.try_iter().collect();
    let of = |name: &str| -> Vec<f64> {
        let all = steps.iter().flatten().filter(|(term, _)| term == name);
        all.map(|(_, mean)| *mean).collect()
    };
    let (read, written) = (of("cross_entropy"), of("long_term"));
    assert_eq!(read.len() + written.len(), 40);
    assert!(written.len() > 10 && written.iter().all(|mean| mean.is_finite()));
    assert!(read[read.len() - 1] < 0.8 * read[0], "{read:?}");
}
