//! Students of small teachers.

mod pruning;

use potstill_core::{CausalLm, Taps, TokenBatch, TokenRow};
use proptest::prelude::*;

use super::*;
use crate::Architecture;
use crate::source::TensorSource;
use crate::weights::ModelSource;

fn teacher(architecture: Architecture) -> LanguageModel {
    let mut config = ModelConfig::new(architecture, 40, 16, 6, 2);
    config.max_positions = 32;
    LanguageModel::init(&config, 9, &Device::default())
}

fn batch() -> TokenBatch {
    TokenBatch::from_rows(
        &[TokenRow::document(&[1, 2, 3, 4, 5], &[1.0; 5])],
        0,
        &Device::default(),
    )
}

fn values(model: &LanguageModel, name: &str) -> Vec<f32> {
    ModelSource::new(model).read(name).unwrap()
}

fn derive(spec: &StudentSpec) -> Result<DerivedStudent, Error> {
    derive_student(&teacher(Architecture::Llama), spec, &Device::default())
}

#[test]
fn a_copy_answers_like_its_teacher() {
    for architecture in [Architecture::Llama, Architecture::Qwen3, Architecture::Gpt2] {
        let teacher = teacher(architecture);
        let student = derive_student(&teacher, &StudentSpec::Copy, &Device::default()).unwrap();
        let logits = |model: &LanguageModel| model.row_logits(&batch()).into_data();
        assert_eq!(logits(&teacher), logits(&student.model));
        assert_eq!(
            student.layer_map.pairs(),
            [0, 1, 2, 3, 4, 5, 6].map(|i| (i, i))
        );
    }
}

#[test]
fn chosen_blocks_are_copied_in_order() {
    for (architecture, tensor) in [
        (Architecture::Llama, "model.layers.{}.mlp.up_proj.weight"),
        (Architecture::Gpt2, "transformer.h.{}.mlp.c_fc.weight"),
    ] {
        let teacher = teacher(architecture);
        let spec = StudentSpec::Layers(LayerChoice::Named(vec![4, 1]));
        let student = derive_student(&teacher, &spec, &Device::default()).unwrap();
        assert_eq!(student.model.config().n_layers, 2);
        for (place, block) in [(0, 4), (1, 1)] {
            let name = |number: usize| tensor.replace("{}", &number.to_string());
            assert_eq!(
                values(&student.model, &name(place)),
                values(&teacher, &name(block))
            );
        }
        assert_eq!(student.layer_map.pairs(), [(0, 0), (1, 5), (2, 6)]);
    }
}

#[test]
fn the_first_blocks_give_the_teachers_inner_hidden_states() {
    let teacher = teacher(Architecture::Llama);
    let spec = StudentSpec::Layers(LayerChoice::First(3));
    let student = derive_student(&teacher, &spec, &Device::default()).unwrap();
    let hidden = |model: &LanguageModel| {
        model
            .encode(&batch(), &Taps::hidden([2]))
            .tapped
            .hidden(2)
            .into_data()
    };
    assert_eq!(hidden(&student.model), hidden(&teacher));
}

#[test]
fn a_student_has_parameters_of_its_own() {
    let teacher = teacher(Architecture::Llama);
    let device = Device::default().autodiff();
    let student = derive_student(&teacher, &StudentSpec::Copy, &device)
        .unwrap()
        .model;
    let ids = |model: &LanguageModel| burn::module::list_param_ids(model);
    assert!(ids(&student).iter().all(|id| !ids(&teacher).contains(id)));
    let encoded = student.encode(&batch(), &Taps::default());
    assert!(encoded.hidden.is_autodiff());
    assert!(
        !teacher
            .encode(&batch(), &Taps::default())
            .hidden
            .is_autodiff()
    );
}

#[test]
fn a_fresh_student_may_be_of_another_architecture() {
    let config = ModelConfig::new(Architecture::Gpt2, 40, 8, 2, 2);
    let student = derive(&StudentSpec::Fresh(config.clone(), 1)).unwrap();
    assert_eq!(student.model.config(), &config);
    assert_eq!(student.layer_map.pairs(), [(0, 0), (1, 3), (2, 6)]);
}

#[test]
fn a_fresh_student_must_speak_the_teachers_tokens() {
    let config = ModelConfig::new(Architecture::Llama, 41, 8, 2, 2);
    let error = derive(&StudentSpec::Fresh(config, 1))
        .unwrap_err()
        .to_string();
    assert!(error.contains("41") && error.contains("40"), "{error}");
    let encoder = ModelConfig::new(Architecture::Bert, 40, 8, 2, 2);
    assert!(
        derive(&StudentSpec::Fresh(encoder, 1))
            .unwrap_err()
            .to_string()
            .contains("bert")
    );
    let headless = ModelConfig::new(Architecture::Llama, 40, 8, 2, 0);
    assert!(matches!(
        derive(&StudentSpec::Fresh(headless, 1)),
        Err(Error::ConfigValue { .. })
    ));
}

#[test]
fn choices_name_the_blocks_they_promise() {
    let blocks = |choice: LayerChoice| choice.blocks(30).unwrap();
    assert_eq!(
        blocks(LayerChoice::EvenlySpaced(10)),
        [0, 3, 6, 10, 13, 16, 19, 23, 26, 29]
    );
    assert_eq!(blocks(LayerChoice::EvenlySpaced(1)), [0]);
    assert_eq!(blocks(LayerChoice::First(2)), [0, 1]);
    assert_eq!(blocks(LayerChoice::Last(2)), [28, 29]);
    assert_eq!(blocks(LayerChoice::Ends { first: 2, last: 1 }), [0, 1, 29]);
    assert_eq!(blocks(LayerChoice::Named(vec![7, 3])), [7, 3]);
}

#[test]
fn impossible_choices_are_refused_with_numbers() {
    let error = |choice: LayerChoice| choice.blocks(6).unwrap_err().to_string();
    for none in [LayerChoice::EvenlySpaced(0), LayerChoice::Named(vec![])] {
        assert!(error(none).contains("0 blocks"));
    }
    let many = error(LayerChoice::Ends { first: 4, last: 3 });
    assert!(many.contains('7') && many.contains('6'), "{many}");
    assert!(
        error(LayerChoice::Ends {
            first: usize::MAX,
            last: 3
        })
        .contains('6')
    );
    let far = error(LayerChoice::Named(vec![1, 6]));
    assert!(far.contains("block 6") && far.contains('5'), "{far}");
    assert!(error(LayerChoice::Named(vec![1, 2, 1])).contains("block 1"));
}

#[test]
fn lists_of_a_property_of_every_block_are_cut() {
    let mut config = teacher(Architecture::Llama).config().clone();
    config.extra.insert(
        "layer_types".into(),
        serde_json::json!(["a", "b", "c", "d", "e", "f"]),
    );
    config
        .extra
        .insert("other".into(), serde_json::json!([1, 2]));
    let ends = LayerChoice::Ends { first: 1, last: 1 };
    let cut = KeptParts::all(&config).with_blocks(&ends).unwrap().config();
    assert_eq!(cut.extra["layer_types"], serde_json::json!(["a", "f"]));
    assert_eq!(cut.extra["other"], serde_json::json!([1, 2]));
}

#[test]
fn a_layer_map_survives_json() {
    let map = LayerMap::evenly_spaced(3, 6);
    let json = serde_json::to_string(&map).unwrap();
    assert_eq!(serde_json::from_str::<LayerMap>(&json).unwrap(), map);
    assert_eq!(map.inner(), [(1, 2), (2, 4)]);
    assert_eq!((map.teacher_of(2), map.teacher_of(4)), (Some(4), None));
}

proptest! {
    #[test]
    fn even_spacing_keeps_both_ends_and_rises(n in 2..60usize, more in 0..60usize) {
        let blocks = LayerChoice::EvenlySpaced(n).blocks(n + more).unwrap();
        prop_assert_eq!((blocks[0], blocks[n - 1]), (0, n + more - 1));
        prop_assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
