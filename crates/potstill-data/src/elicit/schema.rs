//! JSON schemas that answers have to follow.

use std::error::Error as StdError;
use std::fmt::{self, Write};
use std::sync::Arc;

use boon::{
    CompileError, Compiler, InstanceToken, SchemaIndex, Schemas, UrlLoader, ValidationError,
};
use serde_json::Value;

use crate::Error;

/// Name of the schema inside the compiler; it never leaves it.
const LOCATION: &str = "https://schema.invalid/answer.json";

/// A JSON schema that an answer has to follow (draft 2020-12, or the one that it names).
///
/// ```
/// use potstill_data::AnswerSchema;
/// use serde_json::json;
/// # use potstill_testkit as _;
///
/// let schema = AnswerSchema::new(json!({
///     "type": "object",
///     "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
///     "required": ["steps"],
/// }))?;
/// assert!(schema.check(r#"{"steps": ["add the ones"]}"#).is_ok());
/// let mismatch = schema.check(r#"{"steps": ["add the ones", 2]}"#).unwrap_err();
/// assert_eq!(mismatch.to_string(), "at /steps/1: want string, but got number");
/// # Ok::<(), potstill_data::Error>(())
/// ```
#[derive(Clone)]
pub struct AnswerSchema {
    source: Value,
    compiled: Arc<Compiled>,
}

struct Compiled {
    schemas: Schemas,
    root: SchemaIndex,
}

impl fmt::Debug for AnswerSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AnswerSchema").field(&self.source).finish()
    }
}

/// Why an answer does not follow a schema.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaMismatch {
    /// The answer as a whole is not JSON. Nothing is cut out of it.
    #[error("not JSON: {problem}")]
    NotJson {
        /// What is wrong, with line and column.
        problem: String,
    },
    /// A part of the answer is not as it should be.
    #[error("at {}: {problem}", if path.is_empty() { "the top" } else { path.as_str() })]
    At {
        /// JSON pointer to the part; empty for the whole.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl SchemaMismatch {
    /// The kind of mismatch, the same wherever in a list it is: kinds are counted.
    pub(super) fn reason(&self) -> String {
        let path = match self {
            Self::NotJson { .. } => return "not JSON".into(),
            Self::At { path, .. } if path.is_empty() => return "breaks the schema".into(),
            Self::At { path, .. } => path,
        };
        let mut reason = String::from("breaks the schema at ");
        for token in path.split('/').skip(1) {
            let is_index = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit());
            reason.push('/');
            reason.push_str(if is_index { "*" } else { token });
        }
        reason
    }
}

/// What a schema refers to has to be inside it: nothing is read from files or the network.
struct OnlyInside;

impl UrlLoader for OnlyInside {
    fn load(&self, url: &str) -> Result<Value, Box<dyn StdError>> {
        Err(format!("{url} is outside of the schema; put what it names into $defs").into())
    }
}

impl AnswerSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    ///
    /// When it is not a JSON schema, or refers to what is not inside it.
    pub fn new(schema: Value) -> Result<Self, Error> {
        let mut compiler = Compiler::new();
        compiler.use_loader(Box::new(OnlyInside));
        compiler.enable_format_assertions();
        let mut schemas = Schemas::new();
        let unusable = |error: &CompileError| Error::AnswerSchema {
            problem: format!("{error:#}").replace(LOCATION, ""),
        };
        compiler
            .add_resource(LOCATION, schema.clone())
            .map_err(|error| unusable(&error))?;
        let root = compiler
            .compile(LOCATION, &mut schemas)
            .map_err(|error| unusable(&error))?;
        Ok(Self {
            source: schema,
            compiled: Arc::new(Compiled { schemas, root }),
        })
    }

    /// The schema as it was given.
    #[must_use]
    pub fn source(&self) -> &Value {
        &self.source
    }

    /// The answer as JSON, if it follows the schema.
    ///
    /// # Errors
    ///
    /// When it is not JSON from its beginning to its end, or breaks the schema; of several
    /// mismatches, the first.
    pub fn check(&self, answer: &str) -> Result<Value, SchemaMismatch> {
        let value = serde_json::from_str(answer).map_err(|error| SchemaMismatch::NotJson {
            problem: error.to_string(),
        })?;
        let mismatch = match self.compiled.schemas.validate(&value, self.compiled.root) {
            Ok(()) => None,
            Err(error) => Some(mismatch(&error)),
        };
        mismatch.map_or(Ok(value), Err)
    }
}

/// The innermost of what is wrong: where it is and what it is.
fn mismatch(error: &ValidationError<'_, '_>) -> SchemaMismatch {
    let mut innermost = error;
    while let Some(cause) = innermost.causes.first() {
        innermost = cause;
    }
    let mut path = String::new();
    for token in &innermost.instance_location.tokens {
        path.push('/');
        match token {
            InstanceToken::Prop(name) => {
                path.push_str(&name.replace('~', "~0").replace('/', "~1"));
            }
            InstanceToken::Item(index) => {
                let _ = write!(path, "{index}");
            }
        }
    }
    SchemaMismatch::At {
        path,
        problem: innermost.kind.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> AnswerSchema {
        AnswerSchema::new(json!({
            "type": "object",
            "properties": {
                "questions": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"$ref": "#/$defs/question"},
                },
            },
            "required": ["questions"],
            "additionalProperties": false,
            "$defs": {
                "question": {
                    "type": "object",
                    "properties": {"q": {"type": "string"}, "a/b": {"type": "integer"}},
                    "required": ["q"],
                },
            },
        }))
        .unwrap()
    }

    #[track_caller]
    fn assert_mismatch(answer: &str, message: &str, reason: &str) {
        let mismatch = schema().check(answer).unwrap_err();
        assert!(mismatch.to_string().starts_with(message), "{mismatch}");
        assert_eq!(mismatch.reason(), reason);
    }

    #[test]
    fn an_answer_that_follows_the_schema_is_read() {
        let value = schema().check(r#" {"questions": [{"q": "Why?"}]} "#);
        assert_eq!(value.unwrap()["questions"][0]["q"], "Why?");
    }

    #[test]
    fn a_mismatch_names_its_place() {
        assert_mismatch(
            r#"{"questions": [{"q": "Why?"}, {"q": 3}]}"#,
            "at /questions/1/q: want string",
            "breaks the schema at /questions/*/q",
        );
        assert_mismatch(
            r#"{"questions": [{"q": "", "a/b": 1.5}]}"#,
            "at /questions/0/a~1b: want integer",
            "breaks the schema at /questions/*/a~1b",
        );
        assert_mismatch(
            r#"{"questions": [{}]}"#,
            "at /questions/0: missing propert",
            "breaks the schema at /questions/*",
        );
        assert_mismatch("{}", "at the top: missing propert", "breaks the schema");
    }

    #[test]
    fn what_stands_around_json_is_not_cut_off() {
        for answer in [
            "Sure! {\"questions\": []}",
            "```json\n{}\n```",
            "{\"questions\": [",
            "",
        ] {
            assert_mismatch(answer, "not JSON: ", "not JSON");
        }
    }

    #[test]
    fn a_schema_that_is_none_or_looks_outside_is_refused() {
        for (schema, problem) in [
            (json!({"type": "text"}), "/type"),
            (
                json!({"$ref": "file:///etc/hostname"}),
                "file:///etc/hostname",
            ),
        ] {
            let error = AnswerSchema::new(schema).unwrap_err().to_string();
            assert!(
                error.starts_with("this is not a usable JSON schema: ") && error.contains(problem),
                "{error}"
            );
        }
    }
}
