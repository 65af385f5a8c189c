//! Students of the parts that matter.

use std::path::Path;

use burn::tensor::Tolerance;
use potstill_core::{CausalLm, TokenBatch, TokenRow};

use super::super::*;
use crate::source::TensorSource;
use crate::weights::ModelSource;
use crate::{Architecture, Checkpoint, Companions, save_pretrained};

const FAMILIES: [Architecture; 5] = [
    Architecture::Llama,
    Architecture::Mistral,
    Architecture::Qwen2,
    Architecture::Qwen3,
    Architecture::Gpt2,
];

/// Four blocks of four heads, of which two share a key where the family has it.
fn config(architecture: Architecture) -> ModelConfig {
    let mut config = ModelConfig::new(architecture, 40, 16, 4, 4);
    if architecture != Architecture::Gpt2 {
        config.n_kv_heads = 2;
    }
    (config.d_ff, config.max_positions, config.initializer_range) = (24, 32, 0.5);
    config
}

fn text() -> Vec<TokenBatch> {
    let rows = [
        TokenRow::document(&[1, 2, 3, 4, 5, 30], &[1.0; 6]),
        TokenRow::document(&[7, 39, 21], &[0.0, 1.0, 1.0]),
    ];
    let batch =
        |row: &TokenRow| TokenBatch::from_rows(std::slice::from_ref(row), 0, &Device::default());
    rows.iter().map(batch).collect()
}

fn logits(model: &LanguageModel) -> Vec<TensorData> {
    let logits = |batch: &TokenBatch| model.row_logits(batch).into_data();
    text().iter().map(logits).collect()
}

fn assert_same(student: &LanguageModel, teacher: &LanguageModel) {
    for (student, teacher) in logits(student).iter().zip(logits(teacher)) {
        student.assert_approx_eq::<f32>(&teacher, Tolerance::absolute(2e-4));
    }
}

/// Changes the values of a tensor, given its name and shape.
type Edit = dyn Fn(&str, &[usize], &mut [f32]);

/// A model whose tensors are edited while they are read.
struct Edited<'a>(ModelSource, &'a Edit);

impl TensorSource for Edited<'_> {
    fn names(&self) -> Vec<String> {
        self.0.names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.0.shape(name)
    }

    fn read(&self, name: &str) -> Result<Vec<f32>, Error> {
        let mut values = self.0.read(name)?;
        (self.1)(name, &self.shape(name).unwrap(), &mut values);
        Ok(values)
    }

    fn origin(&self) -> &Path {
        self.0.origin()
    }
}

fn edited(config: &ModelConfig, edit: &Edit) -> LanguageModel {
    let model = LanguageModel::init(config, 3, &Device::default());
    let source = Edited(ModelSource::new(&model), edit);
    load_language_model(config, &source, FloatDType::F32, None, &Device::default()).unwrap()
}

const DEAD_CHANNELS: [usize; 4] = [0, 6, 7, 13];
const DEAD_NEURONS: [usize; 3] = [2, 11, 23];
const DEAD_BLOCK: &str = ".2.";

/// A teacher of which a quarter of the channels, some neurons, half of the key heads (one head of
/// GPT-2) and one block are zero.
fn half_dead(architecture: Architecture) -> LanguageModel {
    let gpt2 = architecture == Architecture::Gpt2;
    let zero_rows = |values: &mut [f32], width: usize, rows: &[usize]| {
        for row in rows {
            values[row * width..(row + 1) * width].fill(0.0);
        }
    };
    let zero_columns = |values: &mut [f32], width: usize, columns: &[usize]| {
        for row in values.chunks_mut(width) {
            columns.iter().for_each(|&column| row[column] = 0.0);
        }
    };
    edited(&config(architecture), &move |name, shape, values| {
        let width = *shape.last().unwrap();
        let writes_residual = ["o_proj.weight", "down_proj.weight", "c_proj.weight"];
        if writes_residual.iter().any(|end| name.ends_with(end)) {
            if name.contains(DEAD_BLOCK) {
                values.fill(0.0);
            } else if gpt2 {
                zero_columns(values, width, &DEAD_CHANNELS);
                mean_free(values, width);
            } else {
                zero_rows(values, width, &DEAD_CHANNELS);
            }
        } else if ["embed_tokens.weight", "wte.weight", "wpe.weight"]
            .iter()
            .any(|end| name.ends_with(end))
        {
            zero_columns(values, width, &DEAD_CHANNELS);
            if gpt2 {
                mean_free(values, width);
            }
        } else if name.ends_with("up_proj.weight") {
            zero_rows(values, width, &DEAD_NEURONS);
        } else if name.ends_with("c_fc.weight") {
            zero_columns(values, width, &DEAD_NEURONS);
        } else if name.ends_with("v_proj.weight") {
            zero_rows(values, width, &[4, 5, 6, 7]);
        } else if name.ends_with("c_attn.weight") {
            zero_columns(values, width, &[32 + 4, 32 + 5, 32 + 6, 32 + 7]);
        }
    })
}

/// Takes the mean over the living channels from each row: a layer norm sees no mean then, and what
/// it sees does not change with the number of channels.
fn mean_free(values: &mut [f32], width: usize) {
    let living = width - DEAD_CHANNELS.len();
    for row in values.chunks_mut(width) {
        let mean = row.iter().sum::<f32>() / living as f32;
        for (channel, value) in row.iter_mut().enumerate() {
            if !DEAD_CHANNELS.contains(&channel) {
                *value -= mean;
            }
        }
    }
}

fn student(teacher: &LanguageModel, shape: StudentShape) -> (KeptParts, DerivedStudent) {
    let importance = Importance::measure(teacher, &text()).unwrap();
    let parts = importance.keep(&shape).unwrap();
    let spec = StudentSpec::Parts(parts.clone());
    let student = derive_student(teacher, &spec, &Device::default()).unwrap();
    (parts, student)
}

#[test]
fn what_is_zero_can_go_without_a_trace() {
    for architecture in FAMILIES {
        let teacher = half_dead(architecture);
        let gpt2 = architecture == Architecture::Gpt2;
        let heads = if gpt2 { 3 } else { 2 };
        let shape = StudentShape {
            n_layers: Some(3),
            d_model: Some(12),
            n_heads: Some(heads),
            n_kv_heads: (!gpt2).then_some(1),
            d_ff: Some(21),
        };
        let (parts, student) = student(&teacher, shape);
        assert_eq!(parts.blocks(), [0, 1, 3], "{architecture:?}");
        let living = |dead: &[usize], of: usize| -> Vec<usize> {
            (0..of).filter(|place| !dead.contains(place)).collect()
        };
        assert_eq!(parts.channels().unwrap(), living(&DEAD_CHANNELS, 16));
        assert_eq!(parts.neurons(1).unwrap(), living(&DEAD_NEURONS, 24));
        let dead_heads: &[usize] = if gpt2 { &[1] } else { &[2, 3] };
        assert_eq!(parts.heads(0).unwrap(), living(dead_heads, 4));
        let config = student.model.config();
        assert_eq!(
            (config.d_model, config.n_heads, config.d_ff),
            (12, heads, 21)
        );
        assert_same(&student.model, &teacher);
    }
}

#[test]
fn a_narrow_student_is_saved_and_read_back() {
    for architecture in FAMILIES {
        let teacher = half_dead(architecture);
        let shape = StudentShape {
            d_ff: Some(20),
            ..StudentShape::default()
        };
        let (_, student) = student(&teacher, shape);
        let folder = tempfile::tempdir().unwrap();
        save_pretrained(&student.model, folder.path(), &Companions::default()).unwrap();
        let reloaded = Checkpoint::open(folder.path())
            .and_then(|saved| saved.language_model(FloatDType::F32, &Device::default()))
            .unwrap();
        assert_eq!(logits(&reloaded), logits(&student.model));
    }
}

#[test]
fn heads_are_chosen_by_the_keys_they_share() {
    let mut config = config(Architecture::Llama);
    (config.n_heads, config.n_kv_heads, config.head_dim) = (8, 4, 4);
    let teacher = LanguageModel::init(&config, 8, &Device::default());
    let importance = Importance::measure(&teacher, &text()).unwrap();
    let shape = StudentShape {
        n_heads: Some(2),
        n_kv_heads: Some(2),
        ..StudentShape::default()
    };
    let parts = importance.keep(&shape).unwrap();
    for (block, scores) in importance.heads().iter().enumerate() {
        let kept = parts.heads(block).unwrap();
        let groups: Vec<usize> = kept.iter().map(|head| head / 2).collect();
        assert!(groups[0] < groups[1], "{kept:?}");
        for &head in kept {
            assert!(
                scores[head] >= scores[head ^ 1],
                "the better of two that share a key"
            );
        }
    }
    let spec = StudentSpec::Parts(parts);
    let student = derive_student(&teacher, &spec, &Device::default()).unwrap();
    assert_eq!(student.model.config().n_kv_heads, 2);
    let width = ModelSource::new(&student.model).shape("model.layers.0.self_attn.o_proj.weight");
    assert_eq!(width, Some(vec![16, 8]));
}

#[test]
fn a_block_that_does_nothing_is_found_both_ways() {
    let teacher = half_dead(Architecture::Llama);
    let importance = Importance::measure(&teacher, &text()).unwrap();
    assert!(importance.blocks()[2].abs() < 1e-6 && importance.blocks()[1] > 0.01);
    assert!(importance.to_string().lines().count() == 5);
    for removal in [Removal::OneShot, Removal::Iterative] {
        let search = DepthSearch::by_loss(&teacher, &text(), 2, removal).unwrap();
        let losses = search.losses();
        let first = search.removed()[0];
        assert!(losses.iter().all(|&loss| loss >= losses[first.block]));
        assert!((first.loss - losses[first.block]).abs() < 1e-6);
        assert!((search.losses()[2] - search.full_loss()).abs() < 1e-6);
        assert_eq!(search.choice(), LayerChoice::Named(search.kept().to_vec()));
        let spec = StudentSpec::Layers(search.choice());
        let student = derive_student(&teacher, &spec, &Device::default()).unwrap();
        let again = DepthSearch::by_loss(&student.model, &text(), 2, removal).unwrap();
        let expected = search.removed()[1].loss;
        assert!((again.full_loss() - expected).abs() < 1e-5, "{search}");
    }
}

#[test]
fn removing_one_by_one_is_never_worse_in_its_next_step() {
    let teacher = LanguageModel::init(&config(Architecture::Llama), 12, &Device::default());
    let one_shot = DepthSearch::by_loss(&teacher, &text(), 1, Removal::OneShot).unwrap();
    let iterative = DepthSearch::by_loss(&teacher, &text(), 1, Removal::Iterative).unwrap();
    assert_eq!(one_shot.removed()[0], iterative.removed()[0]);
    assert!(iterative.removed()[1].loss <= one_shot.removed()[1].loss);
}

#[test]
fn other_blocks_can_be_kept_than_the_most_influential() {
    let teacher = half_dead(Architecture::Llama);
    let importance = Importance::measure(&teacher, &text()).unwrap();
    let shape = StudentShape {
        d_ff: Some(8),
        ..StudentShape::default()
    };
    let parts = importance.keep(&shape).unwrap();
    let parts = parts.with_blocks(&LayerChoice::Named(vec![3, 2])).unwrap();
    let spec = StudentSpec::Parts(parts);
    let student = derive_student(&teacher, &spec, &Device::default()).unwrap();
    assert_eq!(student.layer_map.pairs(), [(0, 0), (1, 4), (2, 4)]);
    assert_eq!(student.model.config().d_ff, 8);
}

#[test]
fn shapes_that_cannot_be_cut_are_refused_with_numbers() {
    let teacher = half_dead(Architecture::Llama);
    let importance = Importance::measure(&teacher, &text()).unwrap();
    let error = |shape: StudentShape| importance.keep(&shape).unwrap_err().to_string();
    let default = StudentShape::default();
    let larger = error(StudentShape {
        d_ff: Some(25),
        ..default
    });
    assert!(larger.contains("25") && larger.contains("24"), "{larger}");
    let shared = error(StudentShape {
        n_kv_heads: Some(1),
        ..default
    });
    assert!(shared.contains("at least 2"), "{shared}");
    let odd = error(StudentShape {
        n_heads: Some(3),
        ..default
    });
    assert!(odd.contains("divisor"), "{odd}");

    let gpt2 = half_dead(Architecture::Gpt2);
    let narrow = StudentShape {
        d_model: Some(12),
        ..default
    };
    let error = Importance::measure(&gpt2, &text())
        .unwrap()
        .keep(&narrow)
        .unwrap_err();
    assert!(error.to_string().contains("12"), "{error}");

    let parts = importance.keep(&default).unwrap();
    let other = derive_student(&gpt2, &StudentSpec::Parts(parts), &Device::default());
    assert!(matches!(other, Err(Error::PartsOfAnother)));
    assert!(matches!(
        Importance::measure(&gpt2, &[]),
        Err(Error::NothingToMeasure)
    ));
}
