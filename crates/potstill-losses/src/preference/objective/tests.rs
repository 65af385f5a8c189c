//! Preferences of tiny models, beside the formula written out on the host.

use potstill_core::{CausalLm, StudentView, Tapped, Taps, TeacherSignal, TokenRow};
use potstill_testkit::{TinyLm, Tolerance, assert_close, autodiff_device, plain_device, values};

use super::*;

const VOCAB: usize = 11;

/// Tokens and weights of the chosen and the rejected answer of each pair.
type PairOfDocuments = [(&'static [u32], &'static [f32]); 2];

const PAIRS: [PairOfDocuments; 2] = [
    [
        (&[1, 2, 3, 4], &[0.0, 0.0, 0.25, 0.25]),
        (&[1, 2, 5, 6], &[0.0, 0.0, 0.25, 0.25]),
    ],
    [
        (&[7, 8], &[0.0, 0.5]),
        (&[7, 9, 10, 2], &[0.0, 0.5, 0.5, 0.5]),
    ],
];

fn row(pairs: &[PairOfDocuments]) -> TokenRow {
    let mut row = TokenRow::default();
    for (tokens, weights) in pairs.iter().flatten() {
        row.push_document(tokens, weights);
    }
    row
}

fn batch(rows: &[TokenRow]) -> TokenBatch {
    TokenBatch::from_rows(rows, 0, &plain_device())
}

fn apart() -> TokenBatch {
    batch(&[row(&PAIRS[..1]), row(&PAIRS[1..])])
}

fn student() -> TinyLm {
    TinyLm::new(VOCAB, 6, 2, 2, &autodiff_device())
}

fn reference() -> TinyLm {
    TinyLm::new(VOCAB, 8, 3, 1, &plain_device())
}

fn prediction(model: &TinyLm, batch: &TokenBatch) -> Prediction {
    let hidden = model.encode(batch, &Taps::default()).hidden;
    Prediction::Deferred {
        hidden: batch.rows.select(hidden),
        head: model.head(),
    }
}

fn terms(
    objective: &Preference,
    student: &TinyLm,
    teacher: Prediction,
    batch: &TokenBatch,
) -> Vec<LossTerm> {
    let view = StudentView {
        hidden: batch
            .rows
            .select(student.encode(batch, &Taps::default()).hidden),
        head: student.head(),
        tapped: Tapped::default(),
    };
    let signal = TeacherSignal {
        prediction: teacher,
        tapped: Tapped::default(),
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: &signal,
        batch,
    };
    objective.terms(input, &mut terms);
    terms
}

fn sums(terms: &[LossTerm]) -> Vec<f64> {
    terms.iter().map(|term| values(&term.sum)[0]).collect()
}

/// Log-probability of what counts of each answer, chosen and rejected in turns.
fn answers(model: &TinyLm) -> Vec<f64> {
    let documents = PAIRS.iter().flatten();
    let log_prob = |(tokens, weights): &(&[u32], &[f32])| {
        let batch = batch(&[TokenRow::document(tokens, weights)]);
        let log_probs = values(&log_softmax(model.row_logits(&batch), 1));
        let targets = values(&batch.row_targets().float());
        let rows = log_probs.chunks(VOCAB).zip(targets);
        rows.map(|(row, target)| row[target as usize]).sum::<f64>()
    };
    documents.map(log_prob).collect()
}

/// `β·h` and `β·(log q_w − log r_w)` of each pair.
fn expected(beta: f64) -> [[f64; 2]; 2] {
    let (q, r) = (answers(&student()), answers(&reference()));
    [0, 2].map(|pair| {
        let chosen = q[pair] - r[pair];
        [beta * (chosen - (q[pair + 1] - r[pair + 1])), beta * chosen]
    })
}

/// The second pair has weight 2, the first 1.
fn weighted(values: [f64; 2]) -> f64 {
    values[0] + 2.0 * values[1]
}

#[test]
fn values_are_those_of_the_formula() {
    let near = Tolerance {
        absolute: 1e-4,
        relative: 1e-5,
    };
    let pairs = expected(0.3);
    let observed = [
        weighted(pairs.map(|[margin, _]| margin)),
        weighted(pairs.map(|[_, chosen]| chosen)),
        weighted(pairs.map(|[margin, _]| f64::from(u8::from(margin > 0.0)))),
    ];
    let log_sigmoid = |x: f64| -(-x).exp().ln_1p();
    let dpo = |[h, _]: [f64; 2]| -0.9 * log_sigmoid(h) - 0.1 * log_sigmoid(-h);
    let ipo = |[h, _]: [f64; 2]| (h / 0.3 - 1.0 / 0.6).powi(2);
    for (loss, value) in [
        (
            PreferenceLoss::Dpo { smoothing: 0.1 },
            weighted(pairs.map(dpo)),
        ),
        (PreferenceLoss::Ipo, weighted(pairs.map(ipo))),
    ] {
        let config = PreferenceConfig::new().with_loss(loss).with_beta(0.3);
        let teacher = prediction(&reference(), &apart());
        let terms = terms(&config.init().unwrap(), &student(), teacher, &apart());
        let names: Vec<_> = terms.iter().map(|term| term.name.as_ref()).collect();
        let [margin, chosen, accuracy] = ["reward_margin", "chosen_reward", "preference_accuracy"];
        assert_eq!(names, [loss.name(), margin, chosen, accuracy]);
        assert_close(&sums(&terms)[..1], &[value], near);
        assert_close(&sums(&terms)[1..], &observed, near);
        assert!(terms[1..].iter().all(|term| term.weight == 0.0));
    }
}

#[test]
fn a_student_that_is_its_reference_starts_at_ln_2() {
    let objective = PreferenceConfig::new().init().unwrap();
    let model = reference();
    let terms = terms(&objective, &model, prediction(&model, &apart()), &apart());
    let expected = [3.0 * 2f64.ln(), 0.0, 0.0, 0.0];
    assert_close(&sums(&terms), &expected, Tolerance::absolute(1e-5));
}

#[test]
fn pairs_may_share_a_row_and_micro_batches_add_up() {
    let objective = PreferenceConfig::new().with_beta(0.3).init().unwrap();
    let sums_of = |batch: &TokenBatch| {
        let teacher = prediction(&reference(), batch);
        sums(&terms(&objective, &student(), teacher, batch))
    };
    let whole = sums_of(&apart());
    let together = sums_of(&batch(&[row(&PAIRS)]));
    assert_close(&together, &whole, Tolerance::absolute(1e-4));
    let halves = [0, 1].map(|pair| sums_of(&batch(&[row(&PAIRS[pair..=pair])])));
    let added: Vec<f64> = halves[0]
        .iter()
        .zip(&halves[1])
        .map(|(a, b)| a + b)
        .collect();
    assert_close(&added, &whole, Tolerance::absolute(1e-4));
}

#[test]
fn a_dense_reference_says_the_same_as_a_deferred_one() {
    let objective = PreferenceConfig::new().init().unwrap();
    let dense = Prediction::Dense(reference().row_logits(&apart()));
    let deferred = prediction(&reference(), &apart());
    let of = |teacher| sums(&terms(&objective, &student(), teacher, &apart()));
    assert_close(&of(dense), &of(deferred), Tolerance::absolute(1e-4));
}

#[test]
fn the_gradient_is_that_of_the_loss_written_out() {
    let objective = PreferenceConfig::new().with_beta(0.5).init().unwrap();
    let (batch, student) = (apart(), student());
    let teacher = prediction(&reference(), &batch);
    let term = terms(&objective, &student, teacher.clone(), &batch).remove(0);
    let gradients = term.sum.backward();
    let fused = student.head().weight.grad(&gradients).unwrap();

    let pairs = Pairs::of(&batch);
    let targets = batch.row_targets();
    let log_q = log_softmax(student.row_logits(&batch), 1)
        .gather(1, targets.clone().unsqueeze_dim::<2>(1))
        .squeeze_dim::<1>(1);
    let r = pairs.sums(objective.reference(&teacher, &targets));
    let loss = pairs.weighted_sum(dpo(pairs.sums(log_q), r, 0.5, 0.0));
    let composed = student.head().weight.grad(&loss.backward()).unwrap();
    let near = Tolerance::absolute(1e-5);
    assert_close(&values(&fused), &values(&composed), near);
    assert!(values(&fused).iter().any(|value| value.abs() > 1e-3));
}

#[test]
#[should_panic(expected = "a preference needs the reference's logits, this one is none")]
fn a_silent_reference_is_refused() {
    let objective = PreferenceConfig::new().init().unwrap();
    terms(&objective, &student(), Prediction::None, &apart());
}

#[test]
fn settings_without_a_sense_are_refused() {
    assert!(PreferenceConfig::new().with_beta(0.0).init().is_err());
    let smoothing = PreferenceLoss::Dpo { smoothing: 0.6 };
    let error = PreferenceConfig::new().with_loss(smoothing).init();
    assert_eq!(
        error.unwrap_err().to_string(),
        "smoothing is 0.6, it must be between 0 and 0.5"
    );
}
