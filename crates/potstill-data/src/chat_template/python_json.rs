//! JSON as Python's `json.dumps` writes it.

use std::fmt::Write;

use serde_json::Value;

/// The options of `json.dumps`.
pub(super) struct JsonStyle {
    /// What one level is indented by; on one line without it.
    pub(super) indent: Option<String>,
    /// After an item and after a key.
    pub(super) separators: Option<[String; 2]>,
    /// Writes `\uXXXX` for what is not ASCII.
    pub(super) escape_non_ascii: bool,
    /// Sorts the keys of every object.
    pub(super) sort_keys: bool,
}

pub(super) fn dumps(value: &Value, style: &JsonStyle) -> String {
    let default = if style.indent.is_some() {
        [",", ": "]
    } else {
        [", ", ": "]
    };
    let [item, key] = style
        .separators
        .as_ref()
        .map_or(default, |[item, key]| [item, key]);
    let mut writer = Writer {
        out: String::new(),
        style,
        item,
        key,
    };
    writer.value(value, 0);
    writer.out
}

struct Writer<'a> {
    out: String,
    style: &'a JsonStyle,
    item: &'a str,
    key: &'a str,
}

impl Writer<'_> {
    fn value(&mut self, value: &Value, depth: usize) {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(items) if items.is_empty() => self.out.push_str("[]"),
            Value::Array(items) => {
                self.out.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.begin_item(index, depth + 1);
                    self.value(item, depth + 1);
                }
                self.new_line(depth);
                self.out.push(']');
            }
            Value::Object(keys) if keys.is_empty() => self.out.push_str("{}"),
            Value::Object(keys) => {
                self.out.push('{');
                let mut keys: Vec<(&String, &Value)> = keys.iter().collect();
                if self.style.sort_keys {
                    keys.sort_by_key(|(key, _)| *key);
                }
                for (index, (key, value)) in keys.into_iter().enumerate() {
                    self.begin_item(index, depth + 1);
                    self.string(key);
                    self.out.push_str(self.key);
                    self.value(value, depth + 1);
                }
                self.new_line(depth);
                self.out.push('}');
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                self.out.push_str(&value.to_string())
            }
        }
    }

    fn begin_item(&mut self, index: usize, depth: usize) {
        if index > 0 {
            self.out.push_str(self.item);
        }
        self.new_line(depth);
    }

    fn new_line(&mut self, depth: usize) {
        if let Some(indent) = &self.style.indent {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n(indent.as_str(), depth));
        }
    }

    fn string(&mut self, text: &str) {
        self.out.push('"');
        for character in text.chars() {
            match character {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                control if control < ' ' => self.unit(control as u16),
                other if other > '\u{7e}' && self.style.escape_non_ascii => {
                    for unit in other.encode_utf16(&mut [0; 2]) {
                        self.unit(*unit);
                    }
                }
                other => self.out.push(other),
            }
        }
        self.out.push('"');
    }

    fn unit(&mut self, unit: u16) {
        // Writing to a string cannot fail.
        let _ = write!(self.out, "\\u{unit:04x}");
    }
}
