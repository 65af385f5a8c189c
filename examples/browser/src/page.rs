//! What the worker of the web page calls.

use burn::module::Module;
use burn::tensor::Device;
use potstill_core::{GenerateOptions, Sampling};
use potstill_models::Continuation;
use wasm_bindgen::prelude::*;

use crate::TextModel;

#[allow(
    unsafe_code,
    reason = "the linker makes this function, without arguments"
)]
unsafe extern "C" {
    /// What libraries do before `main`, such as filling burn's list of the operations of shaders.
    safe fn __wasm_call_ctors();
}

/// Makes a panic an exception with its message, where the page would see an "unreachable" only.
#[wasm_bindgen(start)]
pub fn start() {
    // If nobody calls it, the linker has every function called from JavaScript call it once more.
    __wasm_call_ctors();
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
    pub async fn read(name: &str, bytes: Vec<u8>, weights: &str) -> Result<Self, JsError> {
        let weights = weights.parse().map_err(to_js)?;
        let source = TextModel::read(name, bytes, weights, &device().await?);
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

#[cfg(feature = "wgpu")]
async fn device() -> Result<Device, JsError> {
    Ok(Device::wgpu_options().init_async().await?)
}

#[cfg(not(feature = "wgpu"))]
#[expect(clippy::unused_async, reason = "the graphics processor is waited for")]
async fn device() -> Result<Device, JsError> {
    Ok(Device::flex())
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err calls")]
fn to_js(error: anyhow::Error) -> JsError {
    JsError::new(&format!("{error:#}"))
}
