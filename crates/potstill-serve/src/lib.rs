//! Models that can be talked to: in this process, and over HTTP.
//!
//! - [`LocalChat`] is a model with its tokenizer and chat template, a
//!   [`ChatModel`](potstill_core::ChatModel). One thread continues the sequences of everybody who
//!   asks; new ones join between two steps, within [`BatchLimits`].
//! - [`Server`] offers it to OpenAI's clients: conversations, completions, and the log-probabilities
//!   of any text, which is what a remote teacher needs. [`ServerOptions`] limits what clients may ask
//!   for, and a [`BearerToken`] says who may.
//!
//! # Examples
//!
//! A server of a model with random weights, and a client that is only a socket:
//!
//! ```
//! use std::io::{Read, Write};
//! use std::net::TcpStream;
//!
//! use burn::prelude::*;
//! use potstill_data::TextTokenizer;
//! use potstill_models::{Architecture, LanguageModel, ModelConfig};
//! use potstill_serve::{BatchLimits, LocalChat, Server, ServerOptions};
//!
//! # use potstill_testkit as _;
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let tokenizer = TextTokenizer::from_json(
//!     r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
//!         "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
//!         "decoder": null, "model": {"type": "WordLevel", "unk_token": "what",
//!         "vocab": {"what": 0, "two": 1, "and": 2, "is": 3}}}"#,
//! )?;
//! let config = ModelConfig::new(Architecture::Llama, 4, 16, 1, 2);
//! let model = LanguageModel::init(&config, 7, &Device::default());
//! let chat = LocalChat::new("tiny", model, tokenizer, None, BatchLimits::default())?;
//! let server = Server::bind("127.0.0.1:0", chat, ServerOptions::default())?.start()?;
//!
//! let body = r#"{"prompt": "two and two is", "max_tokens": 0, "echo": true, "logprobs": 1}"#;
//! let mut socket = TcpStream::connect(server.address())?;
//! write!(
//!     socket,
//!     "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
//!     body.len(),
//! )?;
//! let mut answer = String::new();
//! socket.read_to_string(&mut answer)?;
//! assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
//! assert!(answer.contains(r#""token_ids":[1,2,1,3]"#), "{answer}");
//! server.shutdown()?;
//! # Ok(())
//! # }
//! ```

mod engine;
mod error;
mod local_chat;
mod server;
mod text_stream;
mod transcript;

pub use engine::BatchLimits;
pub use error::Error;
pub use local_chat::LocalChat;
pub use server::{BearerToken, RunningServer, Server, ServerOptions};
