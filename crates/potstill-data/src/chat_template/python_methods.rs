//! Python's string and dictionary methods: those that `minijinja-contrib` lacks or sees differently,
//! and through it the others.

use minijinja::value::{ValueKind, from_args};
use minijinja::{Error, State, Value};
use minijinja_contrib::pycompat;

/// Calls `method` of `value`.
pub(super) fn call(
    state: &mut State,
    value: &Value,
    method: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    if value.kind() == ValueKind::String
        && let Some(text) = value.as_str()
    {
        match method {
            "title" => {
                let () = from_args(arguments)?;
                return Ok(Value::from(title(text)));
            }
            "removeprefix" => {
                let (prefix,): (&str,) = from_args(arguments)?;
                return Ok(Value::from(text.strip_prefix(prefix).unwrap_or(text)));
            }
            "removesuffix" => {
                let (suffix,): (&str,) = from_args(arguments)?;
                return Ok(Value::from(text.strip_suffix(suffix).unwrap_or(text)));
            }
            "partition" | "rpartition" => {
                let (separator,): (&str,) = from_args(arguments)?;
                let parts = if method == "partition" {
                    let split = text.split_once(separator);
                    split.map_or([text, "", ""], |(before, after)| [before, separator, after])
                } else {
                    let split = text.rsplit_once(separator);
                    split.map_or(["", "", text], |(before, after)| [before, separator, after])
                };
                return Ok(Value::from_iter(parts));
            }
            "rsplit" => {
                let (separator, limit): (&str, Option<i64>) = from_args(arguments)?;
                let limit = limit.and_then(|limit| usize::try_from(limit).ok());
                let mut parts: Vec<&str> = match limit {
                    Some(limit) => text.rsplitn(limit.saturating_add(1), separator).collect(),
                    None => text.rsplit(separator).collect(),
                };
                parts.reverse();
                return Ok(Value::from_iter(parts));
            }
            _ => {}
        }
    }
    pycompat::unknown_method_callback(state, value, method, arguments)
}

/// A capital after everything that has no case, digits and apostrophes included.
fn title(text: &str) -> String {
    let mut titled = String::with_capacity(text.len());
    let mut follows_cased = false;
    for character in text.chars() {
        if follows_cased {
            titled.extend(character.to_lowercase());
        } else {
            titled.extend(character.to_uppercase());
        }
        follows_cased = character.is_lowercase() || character.is_uppercase();
    }
    titled
}
