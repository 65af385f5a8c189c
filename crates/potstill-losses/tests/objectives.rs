//! Every objective on tiny models: what it sums, and that the student learns from it.

use burn::prelude::*;
use potstill_core::{
    CausalLm, LossTerm, Objective, ObjectiveInput, Prediction, StudentView, Support, TeacherSignal,
    TokenBatch, TokenRow, Vocabulary,
};
use potstill_losses::{
    CrossEntropy, Divergence, HardTarget, HardTargetConfig, HiddenDistance, HiddenMatchConfig,
    HintonConfig, LogitLoss, LogitMatchConfig, LogitRows, Relation, RelationMatchConfig,
    Reweighted, RowImportance, RowLoss, SoftTarget, SoftTargetConfig, SparseDivergence, SparseRows,
    SparseTargetConfig,
};
use potstill_testkit::{TinyLm, Tolerance, assert_close, autodiff_device, plain_device, values};

const VOCAB: usize = 13;
const WEIGHTS: [f32; 5] = [1.0, 0.5, 2.0, 1.0, 0.25];

fn batch() -> TokenBatch {
    let mut row = TokenRow::document(&[1, 2, 3, 4], &[1.0, 1.0, 0.5, 2.0]);
    row.push_document(&[5, 6, 7], &[1.0, 0.0, 1.0]);
    let short = TokenRow::document(&[8, 9], &[1.0, 0.25]);
    TokenBatch::from_rows(&[row, short], 0, &plain_device())
}

fn teacher() -> TinyLm {
    TinyLm::new(VOCAB, 8, 3, 1, &plain_device())
}

fn student() -> TinyLm {
    TinyLm::new(VOCAB, 6, 2, 2, &autodiff_device())
}

fn signal(objective: &impl Objective, is_sparse: bool) -> TeacherSignal {
    let (batch, teacher) = (batch(), teacher());
    let encoded = teacher.encode(&batch, &objective.taps().1);
    let hidden = batch.rows.select(encoded.hidden);
    let prediction = if is_sparse {
        let rows = top_k(teacher.head().logits(hidden));
        Prediction::Sparse {
            token_ids: rows.token_ids,
            log_probs: rows.log_probs,
            support: Support::TopK {
                tail: rows.tail.expect("the top k have a tail"),
            },
        }
    } else {
        Prediction::Deferred {
            hidden,
            head: teacher.head(),
        }
    };
    TeacherSignal {
        prediction,
        tapped: encoded.tapped,
    }
}

fn top_k(logits: Tensor<2>) -> SparseRows {
    let log_probs = burn::tensor::activation::log_softmax(logits, 1);
    let (log_probs, token_ids) = log_probs.topk_with_indices(4, 1);
    let named = log_probs.clone().exp().sum_dim(1).squeeze_dim::<1>(1);
    SparseRows {
        token_ids,
        log_probs,
        tail: Some((-named + 1.0).log()),
    }
}

fn terms(objective: &impl Objective, student: &TinyLm, signal: &TeacherSignal) -> Vec<LossTerm> {
    let batch = batch();
    let encoded = student.encode(&batch, &objective.taps().0);
    let view = StudentView {
        hidden: batch.rows.select(encoded.hidden),
        head: student.head(),
        tapped: encoded.tapped,
    };
    let mut terms = Vec::new();
    let input = ObjectiveInput {
        student: &view,
        teacher: signal,
        batch: &batch,
    };
    objective.terms(input, &mut terms);
    terms
}

fn logit_rows() -> LogitRows {
    LogitRows {
        student: student().row_logits(&batch()).without_autodiff(),
        teacher: Some(teacher().row_logits(&batch())),
        targets: Some(batch().row_targets()),
    }
}

fn weighted(per_row: Tensor<1>) -> f64 {
    let weights = WEIGHTS.map(f64::from);
    values(&per_row)
        .iter()
        .zip(weights)
        .map(|(loss, weight)| loss * weight)
        .sum()
}

fn check(objective: &impl Objective, name: &str, expected: f64) {
    let terms = terms(objective, &student(), &signal(objective, false));
    assert_eq!(terms.len(), 1);
    assert_eq!(terms[0].name, name);
    assert_close(&values(&terms[0].sum), &[expected], Tolerance::F32);
}

#[test]
fn an_objective_sums_its_rows_by_weight() {
    let divergence = Divergence::generalized_jsd(0.3).unwrap();
    let soft = SoftTargetConfig::new(divergence)
        .with_temperature(2.0)
        .with_chunk_rows(Some(2));
    let soft = soft.init().unwrap();
    check(
        &soft,
        "generalized_jsd",
        weighted(soft.per_row(logit_rows())),
    );
    let hinton = HintonConfig::new().init().unwrap();
    check(&hinton, "hinton", weighted(hinton.per_row(logit_rows())));
    let hard = HardTargetConfig::new().with_smoothing(0.1).init().unwrap();
    let smoothed = CrossEntropy { smoothing: 0.1 };
    check(
        &hard,
        "cross_entropy",
        weighted(smoothed.per_row(logit_rows())),
    );
    let loss = LogitLoss::Decoupled {
        alpha: 1.0,
        beta: 8.0,
        temperature: 2.0,
    };
    let logits = LogitMatchConfig::new(loss).init().unwrap();
    check(&logits, "decoupled", weighted(loss.per_row(logit_rows())));
}

#[test]
fn a_sparse_objective_sums_its_rows_by_weight_in_chunks() {
    for divergence in [
        SparseDivergence::WithTail {
            divergence: Divergence::ReverseKl,
        },
        SparseDivergence::Renormalized,
        SparseDivergence::Truncated,
    ] {
        let rows = logit_rows();
        let teacher = top_k(rows.teacher.expect("a teacher"));
        let expected = weighted(divergence.per_row(rows.student, &teacher));
        for chunk_rows in [None, Some(2)] {
            let config = SparseTargetConfig::new(divergence).with_chunk_rows(chunk_rows);
            let objective = config.init().unwrap();
            let terms = terms(&objective, &student(), &signal(&objective, true));
            assert_eq!(terms[0].name, divergence.name());
            assert_close(&values(&terms[0].sum), &[expected], Tolerance::F32);
        }
    }
}

/// The loss after a few steps of plain gradient descent, relative to that before.
fn progress(objective: &impl Objective, is_sparse: bool) -> f64 {
    use burn::optim::{GradientsParams, SgdConfig};
    let signal = signal(objective, is_sparse);
    let mut student = student();
    let mut optimizer = SgdConfig::new().init();
    let mut losses = Vec::new();
    for _ in 0..20 {
        let loss = terms(objective, &student, &signal)
            .into_iter()
            .map(|term| term.sum * term.weight)
            .reduce(|total, term| total + term)
            .expect("an objective has terms");
        losses.push(loss.clone().into_scalar::<f64>());
        let gradients = GradientsParams::from_grads(loss.backward(), &student);
        student = optimizer.step(0.02, student, gradients);
    }
    losses[losses.len() - 1] / losses[0]
}

#[test]
fn a_student_learns_from_every_objective() {
    let device = autodiff_device();
    let soft = || SoftTarget::new(Divergence::ForwardKl);
    let hidden = |distance| {
        let config = HiddenMatchConfig::new(vec![(1, 1), (2, 3)], 6, 8).with_distance(distance);
        config.init(&device).unwrap()
    };
    let relation = |relation| {
        let config = RelationMatchConfig::new(relation, vec![(2, 3)]);
        config.init().unwrap()
    };
    let sparse = SparseDivergence::WithTail {
        divergence: Divergence::ForwardKl,
    };
    let certain = Reweighted::new((soft(), HardTarget::new()), RowImportance::Certainty, 1.0);
    let learned = [
        progress(&soft(), false),
        progress(&HardTarget::new(), false),
        progress(&HintonConfig::new().init().unwrap(), false),
        progress(
            &LogitMatchConfig::new(LogitLoss::Mse).init().unwrap(),
            false,
        ),
        progress(&SparseTargetConfig::new(sparse).init().unwrap(), true),
        progress(&hidden(HiddenDistance::Mse), false),
        progress(&hidden(HiddenDistance::Cosine), false),
        progress(&hidden(HiddenDistance::NormalizedMse), false),
        progress(&relation(Relation::Distance), false),
        progress(&relation(Relation::Angle), false),
        progress(&relation(Relation::Similarity), false),
        progress(&relation(Relation::LinearCka), false),
        progress(
            &(soft(), HardTarget::new(), hidden(HiddenDistance::Mse)),
            false,
        ),
        progress(&certain.unwrap(), false),
    ];
    for (index, share) in learned.into_iter().enumerate() {
        assert!(share < 0.99, "objective {index} keeps {share} of its loss");
    }
}

#[test]
fn labels_need_no_common_vocabulary_and_soft_targets_do() {
    let (small, large) = (Vocabulary::of_size(10), Vocabulary::of_size(12));
    assert_eq!(HardTarget::new().shared_vocabulary(&small, &large), Ok(10));
    let soft = SoftTarget::new(Divergence::ForwardKl);
    let error = soft
        .shared_vocabulary(&small, &large)
        .unwrap_err()
        .to_string();
    assert!(error.contains("10") && error.contains("12"), "{error}");
}

#[test]
fn settings_survive_json_and_nonsense_is_refused_by_name() {
    let config = SoftTargetConfig::new(Divergence::skew_reverse_kl(0.1).unwrap())
        .with_temperature(2.0)
        .with_chunk_rows(Some(64));
    let text = serde_json::to_string(&config).unwrap();
    let restored: SoftTargetConfig = serde_json::from_str(&text).unwrap();
    assert_eq!(serde_json::to_string(&restored).unwrap(), text);
    let error = restored
        .with_temperature(-1.0)
        .init()
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "temperature is -1, it must be a finite number above 0"
    );
    let error = HintonConfig::new()
        .with_alpha(1.5)
        .init()
        .unwrap_err()
        .to_string();
    assert_eq!(error, "alpha is 1.5, it must be between 0 and 1");
    let error = HardTargetConfig::new()
        .with_weight(-1.0)
        .init()
        .unwrap_err()
        .to_string();
    assert_eq!(error, "weight is -1, it must be a finite number, 0 or more");
    let config = HardTargetConfig::new().with_chunk_rows(Some(0));
    let error = config.init().unwrap_err().to_string();
    assert_eq!(error, "chunk_rows is 0, it must be at least 1");
}

#[test]
#[should_panic(expected = "this loss needs a sparse prediction, and this one is deferred")]
fn a_sparse_objective_refuses_a_dense_teacher() {
    let objective = SparseTargetConfig::new(SparseDivergence::Truncated)
        .init()
        .unwrap();
    let _ = terms(&objective, &student(), &signal(&objective, false));
}
