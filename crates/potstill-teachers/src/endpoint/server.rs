//! Which program answers.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A program that speaks the protocol of OpenAI, each with extensions and gaps of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ServerKind {
    /// OpenAI itself.
    OpenAi,
    /// vLLM.
    Vllm,
    /// The server of llama.cpp.
    LlamaCpp,
    /// SGLang.
    Sglang,
    /// Ollama.
    Ollama,
    /// `potstill-serve`.
    Potstill,
    /// A gateway, or a server that does not tell.
    Unknown,
}

impl ServerKind {
    /// Recognizes a server by its address and by the owner that its list of models names.
    pub(super) fn recognize(base_url: &str, models: Option<&Value>) -> Self {
        let host = base_url
            .split_once("://")
            .map_or(base_url, |(_, rest)| rest);
        let host = host.split(['/', ':']).next().unwrap_or_default();
        if host == "api.openai.com" || host.ends_with(".openai.azure.com") {
            return Self::OpenAi;
        }
        let owner = models
            .and_then(|models| models.get("data")?.get(0)?.get("owned_by")?.as_str())
            .unwrap_or_default();
        match owner {
            "vllm" => Self::Vllm,
            "llamacpp" => Self::LlamaCpp,
            "sglang" => Self::Sglang,
            "library" => Self::Ollama,
            "potstill" | "potstill-serve" => Self::Potstill,
            _ => Self::Unknown,
        }
    }

    /// Whether a field that OpenAI lacks is known to be honored.
    pub(super) fn honors(self, field: &str) -> bool {
        match field {
            "top_k" | "min_p" => matches!(
                self,
                Self::Vllm | Self::LlamaCpp | Self::Sglang | Self::Potstill
            ),
            "repetition_penalty" => matches!(self, Self::Vllm | Self::Sglang | Self::Potstill),
            _ => true,
        }
    }

    /// Whether tokens can be named by their ids, which no text spoils.
    pub(super) fn tokens_as_ids(self) -> bool {
        matches!(self, Self::Vllm)
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenAi => "OpenAI",
            Self::Vllm => "vLLM",
            Self::LlamaCpp => "llama.cpp",
            Self::Sglang => "SGLang",
            Self::Ollama => "Ollama",
            Self::Potstill => "potstill-serve",
            Self::Unknown => "a server of unknown kind",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_server_is_recognized_by_its_address_or_its_models() {
        let owned = |owner: &str| json!({"data": [{"id": "m", "owned_by": owner}]});
        let kind = |owner| ServerKind::recognize("http://localhost:1/v1", Some(&owned(owner)));
        assert_eq!(kind("vllm"), ServerKind::Vllm);
        assert_eq!(kind("llamacpp"), ServerKind::LlamaCpp);
        assert_eq!(kind("sglang"), ServerKind::Sglang);
        assert_eq!(kind("library"), ServerKind::Ollama);
        assert_eq!(kind("me"), ServerKind::Unknown);
        assert_eq!(
            ServerKind::recognize("https://api.openai.com/v1", None),
            ServerKind::OpenAi
        );
        assert_eq!(
            ServerKind::recognize("https://api.openai.com.evil.example/v1", None),
            ServerKind::Unknown
        );
    }
}
