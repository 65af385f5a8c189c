//! Conversations to text, as Hugging Face renders them.

mod environment;
mod generation;
mod python_json;
mod python_methods;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use potstill_core::{Message, SpecialTokens};

use crate::Error;
use crate::error::ConfigProblem;
use crate::hf_folder::{self, read_optional};
use environment::{Raised, TEMPLATE_NAME};
use generation::{CLOSE_VARIABLE, OPEN_VARIABLE};

pub(crate) use generation::absent_chars;

/// A Jinja chat template.
///
/// Renders what `transformers` renders with `apply_chat_template`: blocks swallow the newline after
/// and the blanks before them, `tojson` writes what Python's `json.dumps` writes, strings have
/// Python's methods, and there are `raise_exception`, `strftime_now`, loop controls and
/// `{% generation %}` blocks. `tools` and `documents` are none.
///
/// # Examples
///
/// ```
/// use potstill_core::{Message, SpecialTokens};
/// use potstill_data::ChatTemplate;
///
/// let template = ChatTemplate::new(
///     "{% for message in messages %}[{{ message.role }}] {{ message.content | trim }}\n{% endfor %}",
///     SpecialTokens::default(),
/// )?;
/// let text = template.render(&[Message::user(" hi "), Message::assistant("hello")], false)?;
/// assert_eq!(text, "[user] hi\n[assistant] hello\n");
/// # Ok::<(), potstill_data::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    marks_generation: bool,
    specials: SpecialTokens,
    variables: BTreeMap<String, Value>,
}

impl ChatTemplate {
    /// Parses a template; it sees the special tokens as `bos_token`, `eos_token` and so on.
    ///
    /// # Errors
    ///
    /// When the source is not a Jinja template.
    pub fn new(source: impl Into<String>, specials: SpecialTokens) -> Result<Self, Error> {
        let source = source.into();
        let (rewritten, marks_generation) = generation::rewrite(&source);
        Ok(Self {
            environment: environment::build(rewritten).map_err(Error::TemplateSyntax)?,
            source,
            marks_generation,
            specials,
            variables: BTreeMap::new(),
        })
    }

    /// Finds the template of a Hugging Face folder: `chat_template.jinja`, `chat_template.json`, or
    /// the key `chat_template` of `tokenizer_config.json` (of several, the one named "default").
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or the template does not parse.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Option<Self>, Error> {
        let folder = folder.as_ref();
        let source = match read_optional(&folder.join("chat_template.jinja"))? {
            Some(source) => Some(source),
            None => match source_in(&folder.join("chat_template.json"))? {
                Some(source) => Some(source),
                None => source_in(&folder.join("tokenizer_config.json"))?,
            },
        };
        source
            .map(|source| Self::new(source, hf_folder::special_tokens(folder)?))
            .transpose()
    }

    /// Gives the template a variable, such as `enable_thinking`. It goes before everything that the
    /// template sees otherwise.
    #[must_use]
    pub fn with_variable(mut self, name: impl Into<String>, value: &serde_json::Value) -> Self {
        self.variables
            .insert(name.into(), Value::from(Serde(value)));
        self
    }

    /// Fixes the time that `strftime_now` sees, in seconds since 1970 in UTC. Without it a template
    /// that prints the date renders something else every day.
    #[must_use]
    pub fn at_time(mut self, unix_seconds: i64) -> Self {
        environment::set_clock(&mut self.environment, Some(unix_seconds));
        self
    }

    /// The source of the template.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Renders a conversation, with `add_generation_prompt` up to where the model's answer begins.
    ///
    /// Encode the text without special tokens: a template writes them itself.
    ///
    /// # Errors
    ///
    /// When the template refuses the conversation, in its own words, or fails on it.
    pub fn render(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, Error> {
        self.render_with_marks(messages, add_generation_prompt, ["", ""])
    }

    /// Renders a finished conversation, and says what lies in `{% generation %}` blocks.
    pub(crate) fn render_with_generation(&self, messages: &[Message]) -> Result<Rendered, Error> {
        if !self.marks_generation {
            return Ok(Rendered {
                text: self.render(messages, false)?,
                generated: None,
            });
        }
        let [open, close] = generation::marks(messages);
        let mut buffers = [[0; 4]; 2];
        let [open_buffer, close_buffer] = &mut buffers;
        let marks = [
            &*open.encode_utf8(open_buffer),
            &*close.encode_utf8(close_buffer),
        ];
        let marked = self.render_with_marks(messages, false, marks)?;
        let (text, spans) = generation::take_marks(&marked, open, close);
        Ok(Rendered {
            text,
            generated: Some(spans),
        })
    }

    fn render_with_marks(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        [open, close]: [&str; 2],
    ) -> Result<String, Error> {
        let mut context: BTreeMap<&str, Value> = BTreeMap::from([
            ("messages", Value::from(Serde(messages))),
            ("add_generation_prompt", Value::from(add_generation_prompt)),
            ("tools", Value::from(())),
            ("documents", Value::from(())),
            (OPEN_VARIABLE, Value::from(open)),
            (CLOSE_VARIABLE, Value::from(close)),
        ]);
        context.extend(
            self.specials
                .named()
                .map(|(name, token)| (name, Value::from(token))),
        );
        context.extend(
            self.variables
                .iter()
                .map(|(name, value)| (name.as_str(), value.clone())),
        );
        self.environment
            .get_template(TEMPLATE_NAME)
            .and_then(|template| template.render(Value::from_pairs(context)))
            .map_err(render_error)
    }
}

/// A rendered conversation.
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Byte ranges of the `{% generation %}` blocks; `None` when the template has no such block.
    pub(crate) generated: Option<Vec<Range<usize>>>,
}

fn render_error(error: minijinja::Error) -> Error {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(current) = cause {
        if let Some(Raised(message)) = current.downcast_ref() {
            return Error::TemplateRefused {
                message: message.clone(),
            };
        }
        cause = current.source();
    }
    Error::TemplateRender(error)
}

/// The key `chat_template` of a JSON file: a template, or a list of named ones.
fn source_in(path: &Path) -> Result<Option<String>, Error> {
    use serde_json::{Map, Value};

    let Some(mut keys) = hf_folder::read_json::<Map<String, Value>>(path)? else {
        return Ok(None);
    };
    match keys.remove("chat_template") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(source)) => Ok(Some(source)),
        Some(named) => {
            let sources = named.as_array();
            let default = sources.and_then(|sources| {
                sources
                    .iter()
                    .find(|entry| entry.get("name") == Some(&"default".into()))
            });
            match default
                .and_then(|entry| entry.get("template"))
                .and_then(Value::as_str)
            {
                Some(source) => Ok(Some(source.to_owned())),
                None => Err(Error::Config {
                    path: path.into(),
                    problem: ConfigProblem::Key {
                        key: "chat_template",
                        expected: "a string, or a list with a template named \"default\"",
                    },
                }),
            }
        }
    }
}

#[cfg(test)]
mod tests;
