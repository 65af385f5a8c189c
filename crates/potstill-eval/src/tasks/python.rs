//! Values as Python writes and reads them: what templates print, and what hashes are taken of.

use serde_json::{Map, Value};

/// `str(value)`.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => repr(other),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => repr_float(float),
            _ => number.to_string(),
        },
        Value::String(text) => quoted(text),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(repr).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) => {
            let items = map
                .iter()
                .map(|(key, value)| format!("{}: {}", quoted(key), repr(value)));
            format!("{{{}}}", items.collect::<Vec<_>>().join(", "))
        }
    }
}

/// The shortest digits that mean the number, with an exponent below 1e-4 and from 1e16 on.
fn repr_float(value: f64) -> String {
    let size = value.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let written = format!("{value:e}");
        let (digits, exponent) = written.split_once('e').unwrap_or((&written, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value:?}")
}

fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted += &format!("\\x{:02x}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// `json.dumps(document, indent=2, ensure_ascii=False)`.
pub(super) fn json(document: &Map<String, Value>) -> String {
    let mut text = String::new();
    write_map(document, 0, &mut text);
    text
}

fn write_map(map: &Map<String, Value>, depth: usize, text: &mut String) {
    write_items('{', '}', map.iter(), depth, text, |(key, value), text| {
        *text += &Value::from(key.as_str()).to_string();
        *text += ": ";
        write_value(value, depth + 1, text);
    });
}

fn write_value(value: &Value, depth: usize, text: &mut String) {
    match value {
        Value::Array(items) => write_items('[', ']', items.iter(), depth, text, |item, text| {
            write_value(item, depth + 1, text);
        }),
        Value::Object(map) => write_map(map, depth, text),
        Value::Number(number) if number.is_f64() => *text += &repr(value),
        other => *text += &other.to_string(),
    }
}

fn write_items<T>(
    open: char,
    close: char,
    items: impl ExactSizeIterator<Item = T>,
    depth: usize,
    text: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    text.push(open);
    let empty = items.len() == 0;
    for (place, item) in items.enumerate() {
        *text += if place > 0 { ",\n" } else { "\n" };
        *text += &"  ".repeat(depth + 1);
        write(item, text);
    }
    if !empty {
        text.push('\n');
        *text += &"  ".repeat(depth);
    }
    text.push(close);
}

/// `ast.literal_eval` of texts, numbers, `True`, `False`, `None`, and lists and tuples of them.
pub(super) fn literal(text: &str) -> Option<Value> {
    let mut reader = Literal { rest: text.trim() };
    let value = reader.value(0)?;
    reader.skip_space();
    reader.rest.is_empty().then_some(value)
}

/// Deepest nesting of a literal.
const MOST_DEPTH: usize = 32;

struct Literal<'a> {
    rest: &'a str,
}

impl Literal<'_> {
    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        let first = self.rest.chars().next()?;
        match first {
            '[' | '(' if depth < MOST_DEPTH => self.list(depth),
            '\'' | '"' => self.string(first),
            _ => self.word(),
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let close = if self.rest.starts_with('[') { ']' } else { ')' };
        self.rest = &self.rest[1..];
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Some(Value::Array(items));
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            match self.rest.strip_prefix(',') {
                Some(rest) => self.rest = rest,
                None if self.rest.starts_with(close) => {}
                None => return None,
            }
        }
    }

    fn string(&mut self, quote: char) -> Option<Value> {
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((place, c)) = chars.next() {
            match c {
                c if c == quote => {
                    self.rest = &self.rest[1 + place + c.len_utf8()..];
                    return Some(Value::String(text));
                }
                '\\' => text.push(escaped(&mut chars)?),
                '\n' => return None,
                c => text.push(c),
            }
        }
        None
    }

    fn word(&mut self) -> Option<Value> {
        let end = self
            .rest
            .find(|c: char| c.is_whitespace() || ",])".contains(c))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        match word {
            "None" => Some(Value::Null),
            "True" => Some(true.into()),
            "False" => Some(false.into()),
            _ if !word.contains(|c: char| c.is_ascii_digit()) => None,
            _ => match word.parse::<i64>() {
                Ok(number) => Some(number.into()),
                Err(_) => serde_json::Number::from_f64(word.parse().ok()?).map(Value::Number),
            },
        }
    }
}

/// What stands for a character behind a backslash.
fn escaped(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    let (_, kind) = chars.next()?;
    let digits = match kind {
        'n' => return Some('\n'),
        'r' => return Some('\r'),
        't' => return Some('\t'),
        '\\' | '\'' | '"' => return Some(kind),
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => return None,
    };
    let number: String = chars.take(digits).map(|(_, c)| c).collect();
    char::from_u32(u32::from_str_radix(&number, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What `repr` of CPython 3.11 gives.
    #[test]
    fn values_look_as_in_python() {
        let found = repr(
            &json!([1, 1.0, 1e-5, 0.0001, 1e16, 123456789.125, null, true, "it's", "a\"'\n", {"k": "v"}]),
        );
        assert_eq!(
            found,
            r#"[1, 1.0, 1e-05, 0.0001, 1e+16, 123456789.125, None, True, "it's", 'a"\'\n', {'k': 'v'}]"#
        );
        assert_eq!(text(&json!("plain")), "plain");
    }

    /// What `json.dumps(..., indent=2, ensure_ascii=False)` of CPython 3.11 gives.
    #[test]
    fn documents_are_hashed_as_python_dumps_them() {
        let Value::Object(document) =
            json!({"q": "é\n", "c": ["a", {"x": 1e-5}], "e": [], "o": {}, "n": 2.0})
        else {
            unreachable!("it is an object")
        };
        assert_eq!(
            json(&document),
            "{\n  \"q\": \"é\\n\",\n  \"c\": [\n    \"a\",\n    {\n      \"x\": 1e-05\n    }\n  ],\n  \"e\": [],\n  \
             \"o\": {},\n  \"n\": 2.0\n}"
        );
    }

    #[test]
    fn literals_are_read_and_expressions_are_not() {
        assert_eq!(
            literal(r#"['a', "it's", 3, (1.5, None), True, 'x\u00e9\'',]"#),
            Some(json!(["a", "it's", 3, [1.5, null], true, "xé'"]))
        );
        for text in [
            "[",
            "['a' 'b' c]",
            "open('x')",
            "1 + 1",
            "'a",
            "inf",
            "[x]",
            "",
        ] {
            assert_eq!(literal(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(items in prop::collection::vec("\\PC{0,6}", 0..5)) {
            let value = json!(items);
            prop_assert_eq!(literal(&repr(&value)), Some(value));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[\\[\\](),'\"\\\\ux0-9a-e ]{0,40}") {
            let _ = literal(&text);
        }
    }
}
