//! What is put around an encoded text.

use serde_json::{Map, Value, json};

use super::pre_tokenizer::{PreTokenizer, byte_level};
use crate::Error;
use crate::gguf::GgufFile;

impl GgufFile {
    /// Byte-level offsets, and the beginning- and end-of-text tokens that the file asks for.
    pub(super) fn post_processor(&self, pre_tokenizer: PreTokenizer) -> Result<Value, Error> {
        let asked = |key: &str, default: bool| -> Result<bool, Error> {
            let Some(value) = self.metadata(key) else {
                return Ok(default);
            };
            value
                .as_bool()
                .ok_or_else(|| self.wrong_type(key, value, "true or false"))
        };
        let begins = asked(
            "tokenizer.ggml.add_bos_token",
            pre_tokenizer.begins_with_bos(),
        )?;
        let ends = asked("tokenizer.ggml.add_eos_token", false)?;
        let bos = self.token("bos")?.filter(|_| begins);
        let eos = self.token("eos")?.filter(|_| ends);
        let byte_level = byte_level(false);
        if bos.is_none() && eos.is_none() {
            return Ok(byte_level);
        }
        let sequence = |sequence: &str, type_id: u32| {
            let special =
                |(_, text): &(u32, &str)| json!({"SpecialToken": {"id": text, "type_id": type_id}});
            let text = json!({"Sequence": {"id": sequence, "type_id": type_id}});
            bos.iter()
                .map(special)
                .chain([text])
                .chain(eos.iter().map(special))
                .collect::<Vec<_>>()
        };
        let tokens: Map<String, Value> = bos
            .iter()
            .chain(&eos)
            .map(|(id, text)| {
                let token = json!({"id": text, "ids": [id], "tokens": [text]});
                ((*text).to_owned(), token)
            })
            .collect();
        let template = json!({
            "type": "TemplateProcessing",
            "single": sequence("A", 0),
            "pair": ([sequence("A", 0), sequence("B", 1)].concat()),
            "special_tokens": tokens,
        });
        Ok(json!({"type": "Sequence", "processors": [byte_level, template]}))
    }
}
