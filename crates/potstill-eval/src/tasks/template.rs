//! Prompts, answers and choices from documents.

use fancy_regex::Regex;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, Value as Jinja};
use minijinja_contrib::pycompat;
use serde_json::{Map, Value};

use super::python;

/// A document: a row of the data set.
pub(super) type Document = Map<String, Value>;

/// Jinja as lm-evaluation-harness sets it up: what is not given is an error, and values look as in
/// Python.
#[derive(Debug)]
pub(super) struct Templates {
    environment: Environment<'static>,
}

impl Templates {
    pub(super) fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder()
            .keep_trailing_newline(true)
            .build()
            .expect("the delimiters are the usual ones");
        environment.set_syntax(syntax);
        environment.set_formatter(write_as_python);
        environment.set_unknown_method_callback(method);
        environment.add_filter("regex_replace", regex_replace);
        Self { environment }
    }

    /// The text of a column, if `field` names one, or of a template.
    pub(super) fn value(&self, field: &str, document: &Document) -> Result<Value, String> {
        match document.get(field) {
            Some(value) => Ok(value.clone()),
            None => self.render(field, document).map(Value::String),
        }
    }

    fn render(&self, template: &str, document: &Document) -> Result<String, String> {
        self.environment
            .render_str(template, Serde(document))
            .map_err(|error| {
                let detail = error.detail().unwrap_or_default();
                format!("the template {template:?} fails: {} {detail}", error.kind())
                    .trim_end()
                    .to_owned()
            })
    }

    /// `doc_to_text`: a text, or the number of an input among the choices.
    pub(super) fn text(
        &self,
        field: &Value,
        document: &Document,
        has_choices: bool,
    ) -> Result<Value, String> {
        match field {
            Value::Number(_) => Ok(field.clone()),
            Value::String(field) if document.contains_key(field) => self.value(field, document),
            Value::String(field) => {
                let text = self.render(field, document)?;
                Ok(number_of(&text, has_choices).unwrap_or(Value::String(text)))
            }
            _ => Err("`doc_to_text` must be a text or a number".into()),
        }
    }

    /// `doc_to_target`: a text, the number of a choice, or a list of them.
    pub(super) fn target(
        &self,
        field: &Value,
        document: &Document,
        has_choices: bool,
    ) -> Result<Value, String> {
        match field {
            Value::Number(_) | Value::Array(_) => Ok(field.clone()),
            Value::String(field) if document.contains_key(field) => self.value(field, document),
            Value::String(field) => {
                let text = self.render(field, document)?;
                if let Some(number) = number_of(&text, has_choices) {
                    return Ok(number);
                }
                let is_list = text.len() >= 2 && text.starts_with('[') && text.ends_with(']');
                let list = is_list.then(|| python::literal(&text)).flatten();
                Ok(list.unwrap_or(Value::String(text)))
            }
            _ => Err("`doc_to_target` must be a text, a number or a list".into()),
        }
    }

    /// `doc_to_choice`.
    pub(super) fn choices(
        &self,
        field: &Value,
        document: &Document,
    ) -> Result<Vec<String>, String> {
        let values = match field {
            Value::Array(choices) => choices.clone(),
            Value::Object(choices) => choices.values().cloned().collect(),
            Value::String(field) => match document.get(field) {
                Some(Value::Array(choices)) => choices.clone(),
                Some(_) => return Err(format!("the column `{field}` holds no list of choices")),
                None => {
                    let text = self.render(field, document)?;
                    match python::literal(&text) {
                        Some(Value::Array(choices)) => choices,
                        _ => {
                            return Err(format!(
                                "`doc_to_choice` gives {text:?}, which is no list"
                            ));
                        }
                    }
                }
            },
            _ => return Err("`doc_to_choice` must be a list or a template of one".into()),
        };
        let text = |choice: Value| match choice {
            Value::String(text) if !text.is_empty() => Ok(text),
            other => Err(format!("the choice {other} is no text, or an empty one")),
        };
        values.into_iter().map(text).collect()
    }
}

fn number_of(text: &str, has_choices: bool) -> Option<Value> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (has_choices && digits)
        .then(|| text.parse::<u64>().ok().map(Value::from))
        .flatten()
}

fn write_as_python(
    out: &mut Output<'_>,
    _: &mut State<'_, '_>,
    value: &Jinja,
) -> Result<(), Error> {
    let failed = |error| {
        Error::new(
            ErrorKind::WriteFailure,
            "cannot be written as a Python value",
        )
        .with_source(error)
    };
    let value = serde_json::to_value(value)
        .map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    std::fmt::Write::write_str(out, &python::text(&value)).map_err(failed)
}

fn method(
    state: &mut State<'_, '_>,
    value: &Jinja,
    method: &str,
    arguments: &[Jinja],
) -> Result<Jinja, Error> {
    if method == "index" && value.kind() == ValueKind::Seq {
        let (wanted,): (Jinja,) = from_args(arguments)?;
        let place = value.try_iter()?.position(|item| item == wanted);
        return place.map(Jinja::from).ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidOperation,
                format!("{wanted} is not in the list"),
            )
        });
    }
    pycompat::unknown_method_callback(state, value, method, arguments)
}

/// `re.sub`.
fn regex_replace(
    text: &str,
    pattern: &str,
    replacement: &str,
    count: Option<usize>,
) -> Result<String, Error> {
    let failed = |error: fancy_regex::Error| {
        Error::new(ErrorKind::InvalidOperation, "regex_replace failed").with_source(error)
    };
    let replacement = python_replacement(replacement);
    Regex::new(pattern)
        .and_then(|pattern| {
            let replaced = pattern.try_replacen(text, count.unwrap_or(0), replacement.as_str());
            replaced.map(std::borrow::Cow::into_owned)
        })
        .map_err(failed)
}

/// `\1` as `${1}`, and `$` as itself.
fn python_replacement(replacement: &str) -> String {
    let mut written = String::new();
    let mut chars = replacement.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('$', _) => written.push_str("$$"),
            ('\\', Some(&group)) if group.is_ascii_digit() => {
                written += &format!("${{{group}}}");
                chars.next();
            }
            ('\\', Some('n')) => {
                written.push('\n');
                chars.next();
            }
            ('\\', Some('\\')) => {
                written.push('\\');
                chars.next();
            }
            (c, _) => written.push(c),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document() -> Document {
        let Value::Object(document) = json!({
            "question": "Is it red?", "answer": 1, "options": ["no", "yes"], "flag": true,
            "price": 2.0, "nothing": null, "label": "yes",
        }) else {
            unreachable!("it is an object")
        };
        document
    }

    #[track_caller]
    fn renders(template: &str, expected: &str) {
        let found = Templates::new().render(template, &document());
        assert_eq!(found, Ok(expected.to_owned()), "{template}");
    }

    /// What Jinja2 3.1 renders with lm_eval's environment.
    #[test]
    fn templates_render_as_in_python() {
        renders("Q: {{question}}\nA:\n", "Q: Is it red?\nA:\n");
        renders(
            "{{flag}} {{nothing}} {{price}} {{options}}",
            "True None 2.0 ['no', 'yes']",
        );
        renders("{{options.index(label)}}", "1");
        renders("{{question.strip('?').lower()}}", "is it red");
        renders(
            "{{question|regex_replace('(i)s', '<\\\\1>', 0)}}",
            "Is it red?",
        );
        renders(
            "{{question|regex_replace('(I)s', '<\\\\1>')}}",
            "<I> it red?",
        );
        renders("{% if answer == 1 %}one{% else %}other{% endif %}", "one");
        renders(
            "{{options[answer]}}{{' '}}{{options|join('/')}}",
            "yes no/yes",
        );
    }

    #[test]
    fn fields_are_columns_templates_and_numbers() {
        let templates = Templates::new();
        let document = document();
        assert_eq!(
            templates.target(&json!("answer"), &document, true),
            Ok(json!(1))
        );
        assert_eq!(
            templates.target(&json!("{{answer}}"), &document, true),
            Ok(json!(1))
        );
        assert_eq!(
            templates.target(&json!("{{answer}}"), &document, false),
            Ok(json!("1"))
        );
        assert_eq!(
            templates.target(&json!("{{options}}"), &document, false),
            Ok(json!(["no", "yes"]))
        );
        assert_eq!(templates.text(&json!(0), &document, true), Ok(json!(0)));
        assert_eq!(
            templates.choices(&json!("{{['I' ~ \"'m\", label]}}"), &document),
            Ok(vec!["I'm".to_owned(), "yes".to_owned()])
        );
        assert_eq!(
            templates.choices(&json!("options"), &document),
            Ok(vec!["no".to_owned(), "yes".to_owned()])
        );
    }

    #[test]
    fn what_is_not_given_is_an_error() {
        let error = Templates::new().render("{{ask}}", &document()).unwrap_err();
        assert!(
            error.contains("{{ask}}") && error.contains("undefined"),
            "{error}"
        );
        let error = Templates::new()
            .choices(&json!("question"), &document())
            .unwrap_err();
        assert_eq!(error, "the column `question` holds no list of choices");
    }
}
