//! Training and examining a model.

use anyhow::Result;
use potstill::burn::tensor::Device;
use potstill::core::{CausalLm, GenerateOptions, Objective, Teacher, TokenRow};
use potstill::data::{Loader, LoaderOptions, TextTokenizer};
use potstill::eval::{ExactMatchOptions, Expected, Item, exact_match};
use potstill::models::{Architecture, LanguageModel, ModelConfig};
use potstill::train::{AdamWConfig, Decay, LoaderBatches, Schedule, Trainer, TrainerConfig};

use crate::numbers::Language;

/// Rows in a step.
const BATCH: usize = 64;

/// A model with fresh weights.
pub(crate) fn fresh(tokenizer: &TextTokenizer, d_model: usize, seed: u64) -> LanguageModel {
    let config = ModelConfig {
        d_ff: 3 * d_model,
        max_positions: 64,
        tie_word_embeddings: true,
        bos_token_id: tokenizer.bos_id(),
        eos_token_ids: tokenizer.eos_id().into_iter().collect(),
        pad_token_id: Some(tokenizer.pad_id()),
        ..ModelConfig::new(Architecture::Llama, tokenizer.vocab_size(), d_model, 2, 4)
    };
    LanguageModel::init(&config, seed, &Device::default().autodiff())
}

/// Trains `model` on `rows` for `steps`.
pub(crate) fn train(
    model: LanguageModel,
    objective: impl Objective,
    teacher: impl Teacher + 'static,
    rows: Vec<TokenRow>,
    steps: usize,
) -> Result<LanguageModel> {
    let config = TrainerConfig {
        learning_rate: 3e-3,
        schedule: Schedule {
            warmup: steps / 20,
            decay: Decay::Cosine,
            floor: 0.01,
        },
        optimizer: AdamWConfig {
            beta_2: 0.99,
            ..AdamWConfig::default()
        },
        ..TrainerConfig::steps(steps)
    };
    let loader = Loader::new(rows, LoaderOptions::shuffled(BATCH, 1))?;
    // The padding token is the first of the vocabulary.
    let source = LoaderBatches::new(loader, 0, &Device::default());
    let mut trainer = Trainer::new(config, model, objective, teacher, source)?;
    trainer.run()?;
    Ok(trainer.student())
}

/// The share of `numbers` that `model` reads right when they are spelled in `language`.
pub(crate) fn examine(
    model: &LanguageModel,
    tokenizer: &TextTokenizer,
    language: Language,
    numbers: &[u32],
) -> Result<f64> {
    let items = numbers
        .iter()
        .map(|&number| {
            let problem = language.question(number);
            Ok(Item {
                id: problem.clone(),
                prompt: tokenizer.encode(&format!("<bos>{problem}"), false)?,
                problem,
                expected: Expected::Text(number.to_string()),
            })
        })
        .collect::<Result<Vec<Item>>>()?;
    let options = ExactMatchOptions {
        batch: 256,
        generate: GenerateOptions {
            stop_tokens: tokenizer.eos_id().into_iter().collect(),
            ..GenerateOptions::greedy(4)
        },
    };
    let decode = |tokens: &[u32]| tokenizer.decode(tokens, true);
    Ok(exact_match(model, &items, decode, &options)?
        .accuracy()
        .value())
}

/// Parameters of a model, for people.
pub(crate) fn size(model: &LanguageModel) -> String {
    let parameters = potstill::burn::module::Module::num_params(model);
    format!(
        "{} layers of width {}, {parameters} parameters",
        model.n_layers(),
        model.d_model()
    )
}
