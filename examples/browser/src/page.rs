//! What the worker of the web page calls.

use burn::module::Module;
use burn::tensor::Device;
use potstill_core::{GenerateOptions, Sampling};
use potstill_models::Continuation;
use wasm_bindgen::prelude::*;

use crate::TextModel;

/// Makes a panic an exception with its message, where the page would see an "unreachable" only.
#[wasm_bindgen(start)]
pub fn start() {
    std::panic::set_hook(Box::new(|panic| {
        wasm_bindgen::throw_str(&panic.to_string())
    }));
}

/// A model, and the text that it is writing.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Writer {
    source: TextModel,
    writing: Option<Continuation>,
}

#[wasm_bindgen]
impl Writer {
    /// Reads a GGUF file, which messages call `name`, and keeps its weights as `weights` says.
    #[wasm_bindgen(constructor)]
    pub fn new(name: &str, bytes: Vec<u8>, weights: &str) -> Result<Self, JsError> {
        let weights = weights.parse().map_err(to_js)?;
        let source = TextModel::read(name, bytes, weights, &Device::flex());
        Ok(Self {
            source: source.map_err(to_js)?,
            writing: None,
        })
    }

    /// Number of parameters.
    pub fn parameters(&self) -> usize {
        self.source.model.num_params()
    }

    /// Whether the model answers questions; otherwise it continues text.
    pub fn answers(&self) -> bool {
        self.source.template.is_some()
    }

    /// Begins a text of at most `limit` tokens, and returns how many the model has to read first.
    pub fn begin(
        &mut self,
        text: &str,
        limit: usize,
        temperature: f64,
        seed: u32,
    ) -> Result<usize, JsError> {
        let prompt = self.source.prompt(text).map_err(to_js)?;
        let options = GenerateOptions {
            sampling: Sampling::temperature(temperature),
            seed: seed.into(),
            ..self.source.options(&prompt, limit)
        };
        self.writing = Some(Continuation::new(&self.source.model, &prompt, &options)?);
        Ok(prompt.len())
    }

    /// Writes a token and returns the text so far; nothing once it has ended.
    pub async fn step(&mut self) -> Result<Option<String>, JsError> {
        let Some(writing) = &mut self.writing else {
            return Ok(None);
        };
        if !writing.step().await? {
            return Ok(None);
        }
        self.source.text(writing.tokens()).map(Some).map_err(to_js)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
fn to_js(error: anyhow::Error) -> JsError {
    JsError::new(&format!("{error:#}"))
}
