//! What a chat template finds around it: the whitespace rules, functions and filters that
//! `transformers` sets up.

use jiff::Timestamp;
use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Kwargs;
use minijinja::{Environment, Error, ErrorKind, Value};

use super::python_json::{self, JsonStyle};
use super::{generation, python_methods};

pub(super) const TEMPLATE_NAME: &str = "chat_template";

/// What a template says with `raise_exception`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Raised(pub(super) String);

pub(super) fn build(source: String) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    environment.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()?,
    );
    environment.set_unknown_method_callback(python_methods::call);
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", to_json);
    environment.add_test("iterable", is_iterable);
    environment.add_filter(generation::MARK_FILTER, generation::mark);
    set_clock(&mut environment, None);
    environment.add_template_owned(TEMPLATE_NAME, source)?;
    Ok(environment)
}

/// Defines `strftime_now` for a fixed time in UTC, or for the local time of the call.
pub(super) fn set_clock(environment: &mut Environment<'static>, unix_seconds: Option<i64>) {
    environment.add_function("strftime_now", move |format: &str| {
        let now = match unix_seconds {
            Some(seconds) => Timestamp::from_second(seconds).map(|now| now.to_zoned(TimeZone::UTC)),
            None => Ok(jiff::Zoned::now()),
        };
        now.and_then(|now| strtime::format(format, &now))
            .map_err(|error| {
                Error::new(ErrorKind::InvalidOperation, "strftime_now failed").with_source(error)
            })
    });
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, message.clone()).with_source(Raised(message)))
}

/// In Python a string is iterable and none is not; the engine says the opposite of both.
fn is_iterable(value: &Value) -> bool {
    value.as_str().is_some() || (!value.is_none() && value.try_iter().is_ok())
}

fn to_json(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<Value> = match indent {
        Some(indent) => Some(indent),
        None => options.get("indent")?,
    };
    let indent = match indent.filter(|indent| !indent.is_none()) {
        None => None,
        Some(indent) => Some(match indent.as_str() {
            Some(text) => text.to_owned(),
            None => " ".repeat(usize::try_from(indent)?.min(64)),
        }),
    };
    let separators: Option<Vec<String>> = options.get("separators")?;
    let style = JsonStyle {
        separators: match separators.as_deref() {
            Some([item, key]) => Some([item.clone(), key.clone()]),
            _ => None,
        },
        indent,
        escape_non_ascii: options
            .get::<Option<bool>>("ensure_ascii")?
            .unwrap_or(false),
        sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
    };
    options.assert_all_used()?;
    let json = serde_json::to_value(value).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "cannot be written as JSON").with_source(error)
    })?;
    Ok(Value::from(python_json::dumps(&json, &style)))
}
