//! What comes back from a cache, and what it refuses.

mod damage;
mod format;
mod merging;

use std::path::Path;

use burn::prelude::*;
use potstill_core::{
    CausalLm, LmHead, Prediction, Support, Tapped, Taps, Teacher, TeacherError, TeacherSignal,
    TokenBatch, TokenRow, TokenizerIdentity, Vocabulary,
};
use potstill_testkit::{TinyLm, plain_device, values};
use proptest::prelude::*;

use super::*;
use crate::ModelTeacher;

const VOCAB: usize = 11;

fn model() -> TinyLm {
    TinyLm::new(VOCAB, 8, 2, 5, &plain_device())
}

fn identity() -> TeacherIdentity {
    TeacherIdentity::of_model("tiny", &model())
}

fn batch(documents: &[(&[u32], &[f32])]) -> TokenBatch {
    let rows: Vec<TokenRow> = documents
        .iter()
        .map(|(tokens, weights)| TokenRow::document(tokens, weights))
        .collect();
    TokenBatch::from_rows(&rows, 0, &plain_device())
}

fn two_documents() -> TokenBatch {
    batch(&[
        (&[1, 2, 3, 4, 5], &[1.0, 1.0, 0.0, 1.0, 1.0]),
        (&[6, 7, 8], &[1.0; 3]),
    ])
}

fn builder(folder: &Path, keep: Keep) -> CacheBuilder<ModelTeacher<TinyLm>> {
    let teacher = ModelTeacher::new(&model());
    CacheBuilder::open(folder, teacher, identity(), &CacheConfig::new(keep)).unwrap()
}

fn cached(folder: &Path, keep: Keep, batches: &[TokenBatch]) -> CachedTeacher {
    let mut builder = builder(folder, keep);
    for batch in batches {
        builder.add(batch).unwrap();
    }
    builder.finish().unwrap()
}

fn dense(signal: TeacherSignal) -> Vec<f64> {
    let Prediction::Dense(log_probs) = signal.prediction else {
        panic!("a dense cache gives dense predictions")
    };
    values(&log_probs)
}

fn log_probs(batch: &TokenBatch) -> Vec<f64> {
    values(&burn::tensor::activation::log_softmax(
        model().row_logits(batch),
        1,
    ))
}

#[track_caller]
fn assert_near(found: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!(
            (found - expected).abs() <= tolerance,
            "{found} is not {expected}"
        );
    }
}

#[test]
fn a_dense_row_is_the_teachers_distribution_but_for_f16() {
    let folder = tempfile::tempdir().unwrap();
    let batch = two_documents();
    let mut cached = cached(folder.path(), Keep::Dense, std::slice::from_ref(&batch));
    let signal = cached.signal(&batch, &Taps::default()).unwrap();
    assert_near(&dense(signal), &log_probs(&batch), 4e-3);
    assert_eq!(cached.rows(), 5);
}

#[test]
fn the_top_k_and_their_tail_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let batch = two_documents();
    let keep = Keep::TopK {
        k: 3,
        log_prob_bits: 16,
    };
    let mut cached = cached(folder.path(), keep, std::slice::from_ref(&batch));
    let signal = cached.signal(&batch, &Taps::default()).unwrap();
    let Prediction::Sparse {
        token_ids,
        log_probs: found,
        support: Support::TopK { tail },
    } = signal.prediction
    else {
        panic!("the top k are sparse")
    };
    let ids: Vec<i64> = token_ids.try_into_vec_as().unwrap();
    let (found, tails) = (values(&found), values(&tail));
    for (row, expected) in log_probs(&batch).chunks(VOCAB).enumerate() {
        let mut order: Vec<usize> = (0..VOCAB).collect();
        order.sort_by(|&a, &b| expected[b].total_cmp(&expected[a]));
        let named: Vec<usize> = ids[row * 3..][..3].iter().map(|&id| id as usize).collect();
        assert_eq!(named, order[..3]);
        let of = |ids: &[usize]| ids.iter().map(|&id| expected[id]).collect::<Vec<_>>();
        assert_near(&found[row * 3..][..3], &of(&order[..3]), 2e-3);
        let tail = of(&order[3..]).into_iter().map(f64::exp).sum::<f64>().ln();
        assert_near(&tails[row..=row], &[tail], 2e-3);
    }
}

#[test]
fn draws_come_back_with_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let batch = two_documents();
    let keep = Keep::Sampled { draws: 30, seed: 4 };
    let mut cached = cached(folder.path(), keep, std::slice::from_ref(&batch));
    let signal = cached.signal(&batch, &Taps::default()).unwrap();
    let Prediction::Sparse {
        token_ids,
        log_probs: found,
        support: Support::Sampled,
    } = signal.prediction
    else {
        panic!("draws are sparse")
    };
    assert_eq!(token_ids.dims(), [5, 30]);
    let ids: Vec<i64> = token_ids.try_into_vec_as().unwrap();
    let expected = log_probs(&batch);
    for (row, (ids, found)) in ids.chunks(30).zip(values(&found).chunks(30)).enumerate() {
        let mean = |values: &mut dyn Iterator<Item = f64>| values.sum::<f64>() / 30.0;
        let true_mean = mean(&mut ids.iter().map(|&id| expected[row * VOCAB + id as usize]));
        assert_near(&[mean(&mut found.iter().copied())], &[true_mean], 2e-3);
    }
}

#[test]
fn hidden_states_are_kept_where_rows_count() {
    let folder = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        hidden: vec![2, 0],
        ..CacheConfig::new(Keep::top_k(3))
    };
    let teacher = ModelTeacher::new(&model());
    let mut builder = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap();
    let batch = two_documents();
    let live = builder
        .signal(&batch, &Taps::hidden([0, 2]))
        .unwrap()
        .tapped;
    let mut cached = builder.finish().unwrap();
    let kept = cached.signal(&batch, &Taps::hidden([0, 2])).unwrap().tapped;
    let all = model().encode(&batch, &Taps::hidden([0, 2])).tapped;
    for layer in [0, 2] {
        let expected = values(&batch.rows.select(all.hidden(layer)));
        assert_near(
            &values(&batch.rows.select(kept.hidden(layer))),
            &expected,
            2e-3,
        );
        assert_eq!(values(&kept.hidden(layer)), values(&live.hidden(layer)));
        let uncounted = kept.hidden(layer).slice([0..1, 1..2, 0..8]);
        assert!(values(&uncounted).iter().all(|&value| value == 0.0));
    }
    let error = cached.signal(&batch, &Taps::hidden([1])).unwrap_err();
    let TeacherError::Source(error) = error else {
        panic!("{error}")
    };
    assert!(
        error.to_string().ends_with(
            "keeps the teacher's hidden states [0, 2], the objective asks for hidden state 1"
        ),
        "{error}"
    );
}

/// Counts how many rows a teacher is asked about.
struct Counting(
    ModelTeacher<TinyLm>,
    std::sync::Arc<std::sync::atomic::AtomicUsize>,
);

impl Teacher for Counting {
    fn vocabulary(&self) -> &Vocabulary {
        self.0.vocabulary()
    }
    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        self.1
            .fetch_add(batch.rows.count(), std::sync::atomic::Ordering::Relaxed);
        self.0.signal(batch, taps)
    }
}

#[test]
fn a_teacher_is_asked_once_however_the_text_is_packed() {
    let folder = tempfile::tempdir().unwrap();
    let asked = std::sync::Arc::default();
    let teacher = Counting(ModelTeacher::new(&model()), std::sync::Arc::clone(&asked));
    let config = CacheConfig::new(Keep::Dense);
    let mut builder = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap();
    let documents: [(&[u32], &[f32]); 3] = [
        (&[1, 2, 3, 4, 5], &[1.0; 5]),
        (&[6, 7, 8], &[1.0; 3]),
        (&[1, 2, 3, 4, 5], &[1.0; 5]),
    ];
    let first = builder
        .signal(&batch(&documents), &Taps::default())
        .unwrap();
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 6);

    let mut packed = TokenRow::document(documents[1].0, documents[1].1);
    packed.push_document(documents[0].0, documents[0].1);
    let packed = TokenBatch::from_rows(&[packed], 9, &plain_device());
    let again = builder.signal(&packed, &Taps::default()).unwrap();
    assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 6);

    let (first, again) = (dense(first), dense(again));
    assert_eq!(again[..2 * VOCAB], first[4 * VOCAB..6 * VOCAB]);
    assert_eq!(again[2 * VOCAB..], first[..4 * VOCAB]);
    assert_eq!(first[..4 * VOCAB], first[6 * VOCAB..]);

    // What is in memory and what is on disk say the same.
    let mut cached = builder.finish().unwrap();
    assert_eq!(
        dense(cached.signal(&packed, &Taps::default()).unwrap()),
        again
    );
    assert_eq!(cached.rows(), 6);
}

#[test]
fn rows_that_count_later_are_added_to_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let text: &[u32] = &[1, 2, 3, 4, 5, 6];
    let parts: Vec<TokenBatch> = [
        [0.0, 1.0, 0.0, 0.0, 1.0, 0.0],
        [0.0, 0.0, 1.0, 1.0, 1.0, 1.0],
    ]
    .iter()
    .map(|weights| batch(&[(text, weights)]))
    .collect();
    let mut cached = cached(folder.path(), Keep::Dense, &parts);
    assert_eq!(cached.rows(), 5);
    let whole = batch(&[(text, &[1.0; 6])]);
    let signal = cached.signal(&whole, &Taps::default()).unwrap();
    assert_near(&dense(signal), &log_probs(&whole), 4e-3);
}

#[test]
fn rows_that_are_not_there_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut cached = cached(folder.path(), Keep::Dense, &[two_documents()]);
    let other = batch(&[(&[6, 7, 8], &[1.0; 3]), (&[6, 7, 9, 1], &[1.0; 4])]);
    let error = cached.signal(&other, &Taps::default()).unwrap_err();
    let TeacherError::Source(error) = error else {
        panic!("{error}")
    };
    let error = error.to_string();
    assert!(
        error.starts_with("3 of the 5 rows of this batch are not in the cache in "),
        "{error}"
    );
}

#[test]
fn another_teacher_another_tokenizer_and_another_setting_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    drop(builder(path, Keep::Dense).finish().unwrap());
    let other = TinyLm::new(VOCAB, 8, 2, 6, &plain_device());
    let other_identity = TeacherIdentity::of_model("other", &other);
    let config = CacheConfig::new(Keep::Dense);

    let error = CachedTeacher::open(path)
        .unwrap()
        .expect_teacher(&other_identity)
        .unwrap_err();
    let expected = format!("made with the teacher {}, not {other_identity}", identity());
    assert!(error.to_string().contains(&expected), "{error}");
    let error =
        CacheBuilder::open(path, ModelTeacher::new(&other), other_identity, &config).unwrap_err();
    assert!(error.to_string().contains(&expected), "{error}");

    let tokenizer = TokenizerIdentity {
        size: VOCAB,
        fingerprint: "0123456789abcdef".into(),
    };
    let error = CachedTeacher::open(path)
        .unwrap()
        .expect_tokenizer(&tokenizer)
        .unwrap_err();
    let expected = "the tokenizer none that is known, not 0123456789ab of 11 tokens";
    assert!(error.to_string().contains(expected), "{error}");
    let teacher = ModelTeacher::new(&model()).with_tokenizer(tokenizer);
    let error = CacheBuilder::open(path, teacher, identity(), &config).unwrap_err();
    assert!(
        error.to_string().contains("0123456789ab of 11 tokens"),
        "{error}"
    );

    let teacher = ModelTeacher::new(&model());
    let config = CacheConfig::new(Keep::top_k(3));
    let error = CacheBuilder::open(path, teacher, identity(), &config).unwrap_err();
    assert!(
        error.to_string().contains("setting Dense, not TopK { k: 3"),
        "{error}"
    );
}

#[test]
fn settings_that_no_row_can_have_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (keep, message) in [
        (Keep::top_k(12), "k is 12, it must be from 1 to 11"),
        (
            Keep::TopK {
                k: 2,
                log_prob_bits: 1,
            },
            "log_prob_bits is 1, it must be from 2 to 16",
        ),
        (
            Keep::Sampled { draws: 0, seed: 0 },
            "draws is 0, it must be from 1 to 65536",
        ),
    ] {
        let teacher = ModelTeacher::new(&model());
        let config = CacheConfig::new(keep);
        let error = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[test]
fn one_builder_at_a_time_has_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let first = builder(folder.path(), Keep::Dense);
    let config = CacheConfig::new(Keep::Dense);
    let again = || {
        CacheBuilder::open(
            folder.path(),
            ModelTeacher::new(&model()),
            identity(),
            &config,
        )
    };
    let error = again().unwrap_err();
    assert!(matches!(error, CacheError::Locked { .. }), "{error}");
    drop(first);
    again().unwrap();
}

#[test]
fn a_builder_that_is_dropped_writes_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let batch = two_documents();
    let mut first = builder(folder.path(), Keep::Dense);
    assert_eq!(first.add(&batch).unwrap(), 5);
    drop(first);
    assert_eq!(builder(folder.path(), Keep::Dense).add(&batch).unwrap(), 0);
}

#[test]
fn the_padding_of_a_head_is_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let tokenizer = TokenizerIdentity {
        size: 9,
        fingerprint: "f".into(),
    };
    let teacher = ModelTeacher::new(&model()).with_tokenizer(tokenizer);
    let config = CacheConfig::new(Keep::Dense);
    let mut builder = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap();
    let signal = builder.signal(&two_documents(), &Taps::default()).unwrap();
    let mass: f64 = dense(signal)[..9].iter().map(|value| value.exp()).sum();
    assert_eq!(builder.vocabulary().head_size, 9);
    assert!((mass - 1.0).abs() < 1e-2, "{mass}");
}

/// Says the same whatever it is asked.
struct Says(Vocabulary, Prediction);

impl Teacher for Says {
    fn vocabulary(&self) -> &Vocabulary {
        &self.0
    }
    fn signal(&mut self, _: &TokenBatch, _: &Taps) -> Result<TeacherSignal, TeacherError> {
        Ok(TeacherSignal {
            prediction: self.1.clone(),
            tapped: Tapped::default(),
        })
    }
}

#[test]
fn what_is_no_distribution_is_refused() {
    let device = plain_device();
    let dense = |value: f32| Prediction::Dense(Tensor::full([1, 4], value, &device));
    let says = |prediction| {
        let folder = tempfile::tempdir().unwrap();
        let teacher = Says(Vocabulary::of_size(4), prediction);
        let config = CacheConfig::new(Keep::Dense);
        let mut builder = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap();
        builder
            .add(&batch(&[(&[1, 2], &[1.0; 2])]))
            .map_err(|error| error.to_string())
    };
    assert_eq!(says(dense(0.5)), Ok(1));
    let sparse = says(Prediction::None).unwrap_err();
    assert_eq!(
        sparse,
        "the teacher's prediction is none; only a whole distribution (dense or deferred) can be cached"
    );
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let error = says(dense(bad)).unwrap_err();
        assert_eq!(
            error,
            "the teacher's prediction at position 0 of a segment cannot be kept: its logits make no distribution"
        );
    }
}

#[test]
fn a_head_that_is_deferred_is_read_in_chunks_as_a_whole() {
    let device = plain_device();
    let rows = 40;
    let head = LmHead::new(Tensor::random(
        [1 << 20, 2],
        burn::tensor::Distribution::Default,
        &device,
    ));
    let hidden = Tensor::random([rows, 2], burn::tensor::Distribution::Default, &device);
    let expected = head.logits(hidden.clone()).argmax(1);
    let folder = tempfile::tempdir().unwrap();
    let teacher = Says(
        Vocabulary::of_size(1 << 20),
        Prediction::Deferred { hidden, head },
    );
    let config = CacheConfig::new(Keep::top_k(1));
    let mut builder = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap();
    let text: Vec<u32> = (0..=rows as u32).collect();
    let signal = builder
        .signal(&batch(&[(&text, &vec![1.0; rows + 1])]), &Taps::default())
        .unwrap();
    let Prediction::Sparse { token_ids, .. } = signal.prediction else {
        panic!("sparse")
    };
    let ids = |tensor: Tensor<2, Int>| tensor.try_into_vec_as::<i64>().unwrap();
    assert_eq!(ids(token_ids), ids(expected));
}

fn documents() -> impl Strategy<Value = Vec<(Vec<u32>, Vec<bool>)>> {
    let document = proptest::collection::vec((1..VOCAB as u32, any::<bool>()), 2..9);
    let document = document.prop_map(|document| document.into_iter().unzip());
    proptest::collection::vec(document, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_in_any_order_comes_back(documents in documents(), rotation in 0usize..6) {
        let rows: Vec<TokenRow> = documents
            .iter()
            .map(|(tokens, counts)| {
                let weights: Vec<f32> = counts.iter().map(|&c| f32::from(u8::from(c))).collect();
                TokenRow::document(tokens, &weights)
            })
            .collect();
        let folder = tempfile::tempdir().unwrap();
        let batches: Vec<_> = rows
            .iter()
            .map(|row| TokenBatch::from_rows(std::slice::from_ref(row), 0, &plain_device()))
            .collect();
        let mut cached = cached(folder.path(), Keep::Dense, &batches);
        let mut rotated = rows;
        let middle = rotation % rotated.len();
        rotated.rotate_left(middle);
        let whole = TokenBatch::from_rows(&rotated, 0, &plain_device());
        prop_assume!(whole.rows.count() > 0);
        let found = dense(cached.signal(&whole, &Taps::default()).unwrap());
        for (found, expected) in found.iter().zip(log_probs(&whole)) {
            prop_assert!((found - expected).abs() < 4e-3);
        }
    }
}
