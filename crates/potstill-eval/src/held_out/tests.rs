//! Metrics by hand, on models whose distributions are written down.

use burn::module::Param;
use potstill_core::{Encoded, Tapped, TeacherError, TeacherSignal, TokenRow, TokenizerIdentity};
use potstill_testkit::{TinyLm, autodiff_device, plain_device};

use super::*;

/// Says of what follows token t what row t of a table of logits says.
#[derive(Module, Debug)]
struct TableLm {
    table: Param<Tensor<2>>,
    max_positions: usize,
}

impl TableLm {
    /// From probabilities.
    fn new<const V: usize>(probabilities: [[f64; V]; V], device: &Device) -> Self {
        let logits: Vec<f32> = probabilities
            .iter()
            .flatten()
            .map(|p| p.ln() as f32 + 3.0)
            .collect();
        let table = Tensor::from_data(TensorData::new(logits, [V, V]), device);
        Self {
            table: Param::from_tensor(table),
            max_positions: 64,
        }
    }
}

impl CausalLm for TableLm {
    fn encode(&self, batch: &TokenBatch, _: &Taps) -> Encoded {
        let [rows, seq] = batch.dims();
        let flat = batch.tokens.clone().reshape([rows * seq]);
        let hidden = self
            .table
            .val()
            .select(0, flat)
            .reshape([rows, seq, self.d_model()]);
        Encoded {
            hidden,
            tapped: Tapped::default(),
        }
    }
    fn head(&self) -> LmHead {
        LmHead::new(Tensor::eye(self.d_model(), &self.table.device()))
    }
    fn vocab_size(&self) -> usize {
        self.table.dims()[0]
    }
    fn n_layers(&self) -> usize {
        0
    }
    fn d_model(&self) -> usize {
        self.table.dims()[1]
    }
    fn max_positions(&self) -> usize {
        self.max_positions
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Deferred,
    Dense,
    Nothing,
}

struct ModelTeacher<M> {
    model: M,
    vocabulary: Vocabulary,
    kind: Kind,
}

impl<M: CausalLm> ModelTeacher<M> {
    fn new(model: M, kind: Kind) -> Self {
        Self {
            vocabulary: Vocabulary::of_size(model.vocab_size()),
            model,
            kind,
        }
    }
}

impl<M: CausalLm> Teacher for ModelTeacher<M> {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }
    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let hidden = batch.rows.select(self.model.encode(batch, taps).hidden);
        let prediction = match self.kind {
            // A table's hidden states are its logits; its head would make NaN of 0 · −∞.
            Kind::Dense => Prediction::Dense(hidden),
            Kind::Nothing => Prediction::None,
            Kind::Deferred => Prediction::Deferred {
                hidden,
                head: self.model.head(),
            },
        };
        Ok(TeacherSignal {
            prediction,
            tapped: Tapped::default(),
        })
    }
}

fn student() -> TableLm {
    TableLm::new([[0.5, 0.5], [0.9, 0.1]], &plain_device())
}

fn teacher(kind: Kind) -> ModelTeacher<TableLm> {
    ModelTeacher::new(
        TableLm::new([[0.8, 0.2], [0.25, 0.75]], &plain_device()),
        kind,
    )
}

/// Token 0 is followed by 1, that by 1 and that by 0.
fn batch(weights: [f32; 4]) -> TokenBatch {
    TokenBatch::from_rows(
        &[TokenRow::document(&[0, 1, 1, 0], &weights)],
        0,
        &plain_device(),
    )
}

fn measure(kind: Kind, batches: Vec<TokenBatch>) -> Result<HeldOut, Error> {
    held_out(
        &student(),
        &Vocabulary::of_size(2),
        &mut teacher(kind),
        batches,
    )
}

#[track_caller]
fn close(value: f64, expected: f64) {
    assert!(
        (value - expected).abs() < 1e-6,
        "{value} instead of {expected}"
    );
}

fn kl(p: [f64; 2], q: [f64; 2]) -> f64 {
    p[0] * (p[0] / q[0]).ln() + p[1] * (p[1] / q[1]).ln()
}

#[test]
fn metrics_are_weighted_means_over_the_rows_that_count() {
    let after_0 = kl([0.8, 0.2], [0.5, 0.5]);
    let after_1 = kl([0.25, 0.75], [0.9, 0.1]);
    for kind in [Kind::Deferred, Kind::Dense] {
        let found = measure(kind, vec![batch([0.0, 2.0, 0.0, 1.0])]).unwrap();
        assert_eq!((found.rows, found.weight), (2, 3.0));
        close(found.forward_kl, (2.0 * after_0 + after_1) / 3.0);
        close(found.student_nll, -(2.0 * 0.5f64.ln() + 0.9f64.ln()) / 3.0);
        close(found.teacher_nll, -(2.0 * 0.2f64.ln() + 0.25f64.ln()) / 3.0);
        close(found.top1_agreement, 2.0 / 3.0);
        close(found.student_perplexity(), found.student_nll.exp());
    }
}

#[test]
fn batches_count_by_their_rows() {
    let whole = batch([0.0, 1.0, 1.0, 1.0]);
    let parts = vec![
        batch([0.0, 1.0, 0.0, 0.0]),
        batch([0.0; 4]),
        batch([0.0, 0.0, 1.0, 1.0]),
    ];
    let (whole, parts) = (
        measure(Kind::Dense, vec![whole]).unwrap(),
        measure(Kind::Dense, parts).unwrap(),
    );
    assert_eq!((parts.rows, parts.weight), (3, 3.0));
    close(parts.forward_kl, whole.forward_kl);
    close(parts.teacher_nll, whole.teacher_nll);
}

#[test]
fn a_student_that_is_its_teacher_is_at_no_distance() {
    let model = TinyLm::new(11, 8, 2, 3, &autodiff_device());
    let mut teacher = ModelTeacher::new(model.valid(), Kind::Deferred);
    let rows = [TokenRow::document(&[1, 2, 3, 4, 5, 10], &[1.0; 6])];
    let batch = TokenBatch::from_rows(&rows, 0, &plain_device());
    let found = held_out(&model, &Vocabulary::of_size(11), &mut teacher, [batch]).unwrap();
    close(found.forward_kl, 0.0);
    assert_eq!(found.top1_agreement, 1.0);
    assert_eq!(found.student_nll, found.teacher_nll);
}

#[test]
fn rows_are_measured_in_chunks_without_losing_any() {
    let weights: Vec<f64> = (0..23).map(f64::from).collect();
    let chunked: Vec<(usize, &[f64])> = chunks(&weights, CHUNK_LOGITS / 10).collect();
    assert_eq!(
        chunked.iter().map(|(start, _)| *start).collect::<Vec<_>>(),
        [0, 10, 20]
    );
    assert_eq!(
        chunked
            .iter()
            .flat_map(|(_, chunk)| chunk.to_vec())
            .collect::<Vec<_>>(),
        weights
    );
    assert_eq!(chunks(&weights, 10 * CHUNK_LOGITS).count(), 23);
}

#[test]
fn a_token_that_the_teacher_forbids_costs_nothing() {
    let forbids = TableLm::new([[1.0, 0.0], [0.25, 0.75]], &plain_device());
    let mut teacher = ModelTeacher::new(forbids, Kind::Dense);
    let batches = [batch([0.0, 1.0, 0.0, 0.0])];
    let found = held_out(&student(), &Vocabulary::of_size(2), &mut teacher, batches).unwrap();
    close(found.forward_kl, 2f64.ln());
    assert_eq!(found.teacher_nll, f64::INFINITY);
}

#[test]
fn a_padded_head_is_compared_without_its_padding() {
    let padded = TableLm::new(
        [[0.4, 0.1, 0.5], [0.1, 0.3, 0.6], [0.2, 0.2, 0.6]],
        &plain_device(),
    );
    let tokenizer = TokenizerIdentity {
        size: 2,
        fingerprint: "f".into(),
    };
    let known = |head_size| Vocabulary {
        head_size,
        tokenizer: Some(tokenizer.clone()),
    };
    let mut teacher = ModelTeacher {
        model: padded,
        vocabulary: known(3),
        kind: Kind::Deferred,
    };
    let batches = [batch([0.0, 1.0, 0.0, 0.0])];
    let found = held_out(&student(), &known(2), &mut teacher, batches).unwrap();
    close(found.forward_kl, kl([0.8, 0.2], [0.5, 0.5]));
}

#[test]
fn nothing_that_counts_is_an_error() {
    for batches in [vec![], vec![batch([0.0; 4])]] {
        let error = measure(Kind::Dense, batches).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no row that counts to evaluate on; give at least one"
        );
    }
}

#[test]
fn a_teacher_without_a_whole_distribution_is_refused() {
    let error = measure(Kind::Nothing, vec![batch([1.0; 4])]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("the teacher's prediction is none"),
        "{error}"
    );
}

#[test]
fn a_target_outside_the_vocabulary_is_named() {
    let row = TokenRow::document(&[0, 7], &[1.0; 2]);
    let outside = TokenBatch::from_rows(&[row], 0, &plain_device());
    let error = measure(Kind::Dense, vec![batch([1.0; 4]), outside]).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Target {
                batch: 1,
                target: 7,
                vocab_size: 2
            }
        ),
        "{error}"
    );
}

#[test]
fn a_token_that_the_student_lacks_is_named() {
    let row = TokenRow::document(&[7, 1], &[1.0; 2]);
    let outside = TokenBatch::from_rows(&[row], 0, &plain_device());
    let error = measure(Kind::Dense, vec![outside]).unwrap_err();
    assert!(
        error.to_string().starts_with(
            "held-out batch 0 holds token 7, but the student has only the tokens below 2"
        ),
        "{error}"
    );
}

#[test]
fn a_sequence_that_does_not_fit_is_named() {
    let short = TableLm {
        max_positions: 2,
        ..student()
    };
    let vocabulary = Vocabulary::of_size(2);
    let error = held_out(
        &short,
        &vocabulary,
        &mut teacher(Kind::Dense),
        [batch([1.0; 4])],
    );
    assert!(matches!(
        error,
        Err(Error::TooLong {
            batch: 0,
            length: 3,
            max_positions: 2
        })
    ));
}

#[test]
fn logits_that_are_not_numbers_name_their_model() {
    let broken = TableLm::new([[f64::NAN, 0.5], [0.5, 0.5]], &plain_device());
    let vocabulary = Vocabulary::of_size(2);
    let error = held_out(
        &broken,
        &vocabulary,
        &mut teacher(Kind::Dense),
        [batch([1.0; 4])],
    );
    assert!(matches!(
        error,
        Err(Error::NotANumber {
            model: "student",
            batch: 0,
            ..
        })
    ));
    let mut broken = ModelTeacher::new(broken, Kind::Dense);
    let error = held_out(&student(), &vocabulary, &mut broken, [batch([1.0; 4])]);
    assert!(matches!(
        error,
        Err(Error::NotANumber {
            model: "teacher",
            batch: 0,
            ..
        })
    ));
}

#[test]
fn vocabularies_that_do_not_fit_are_refused() {
    let error = held_out(
        &student(),
        &Vocabulary::of_size(5),
        &mut teacher(Kind::Dense),
        [],
    );
    assert!(matches!(error, Err(Error::Vocabulary(_))));
}

#[test]
fn the_order_of_the_teachers_likeliest_tokens_is_compared() {
    assert_eq!(largest(&[1.0, 5.0, 3.0, 5.0, 4.0], 3), [1, 3, 4]);
    assert_eq!(largest(&[2.0, 1.0], 3), [0, 1]);
    let device = plain_device();
    let logits = |values: Vec<f32>| Tensor::<1>::from_data(&values[..], &device).unsqueeze::<2>();
    // Twelve tokens, of which the teacher ranks ten before the other two.
    let teacher = logits((0..12).map(|n| n as f32).collect());
    let same = logits(
        (0..12)
            .map(|n| if n < 2 { 99.0 } else { n as f32 / 7.0 })
            .collect(),
    );
    let reversed = logits((0..12).map(|n| -(n as f32)).collect());
    let equal = logits(vec![1.0; 12]);
    assert_eq!(rank_correlations(&same, &teacher), [Some(1.0)]);
    assert_eq!(rank_correlations(&reversed, &teacher), [Some(-1.0)]);
    assert_eq!(rank_correlations(&equal, &teacher), [None]);
}
