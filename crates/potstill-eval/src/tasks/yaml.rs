//! Task files as JSON values.
//!
//! Scalars are read as PyYAML reads them, which follows YAML 1.1: `no` is false, and `1e-5` is a text.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use fancy_regex::Regex;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput, Tag};
use serde_json::{Map, Value};

use super::TaskError;

/// Most nodes that aliases may copy.
const MOST_COPIED: usize = 10_000;

/// What becomes of functions in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Functions {
    Refused,
    AsTexts,
}

/// Reads a task file and what it includes; its own keys win.
pub(super) fn read(path: &Path) -> Result<Map<String, Value>, TaskError> {
    read_within(path, Functions::Refused, &mut Vec::new())
}

/// The same for who wants to know what a file is called, even if it needs Python.
pub(super) fn outline(path: &Path) -> Result<Map<String, Value>, TaskError> {
    read_within(path, Functions::AsTexts, &mut Vec::new())
}

fn read_within(
    path: &Path,
    functions: Functions,
    including: &mut Vec<PathBuf>,
) -> Result<Map<String, Value>, TaskError> {
    let failed = |source| TaskError::Read {
        path: path.into(),
        source,
    };
    let canonical = fs::canonicalize(path).map_err(failed)?;
    if including.contains(&canonical) {
        return Err(TaskError::IncludeCycle { path: path.into() });
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let Value::Object(mut own) = parse(&text, functions, path)? else {
        return Err(TaskError::Yaml {
            path: path.into(),
            problem: "a task file is a mapping of keys to values".into(),
        });
    };
    let included = match own.remove("include") {
        None => return Ok(own),
        Some(Value::String(one)) => vec![Value::String(one)],
        Some(Value::Array(several)) => several,
        Some(_) => vec![Value::Null],
    };
    including.push(canonical);
    let mut merged = Map::new();
    for included in included {
        let Value::String(included) = included else {
            return Err(TaskError::Value {
                path: path.into(),
                key: "include".into(),
                problem: "must be a path or a list of paths".into(),
            });
        };
        let beside = path.parent().unwrap_or(Path::new("")).join(included);
        merged.extend(read_within(&beside, functions, including)?);
    }
    including.pop();
    merged.extend(own);
    Ok(merged)
}

fn parse(text: &str, functions: Functions, path: &Path) -> Result<Value, TaskError> {
    let mut reader = Reader {
        functions,
        parser: Parser::new_from_str(text),
        anchors: HashMap::new(),
        copied: 0,
        keys: Vec::new(),
    };
    reader.document().map_err(|problem| match problem {
        Problem::Scan(error) => TaskError::Yaml {
            path: path.into(),
            problem: error.to_string(),
        },
        Problem::Other(problem) => TaskError::Yaml {
            path: path.into(),
            problem,
        },
        Problem::Python { what } => TaskError::Python {
            path: path.into(),
            key: reader.keys.join("."),
            what,
        },
    })
}

enum Problem {
    Scan(ScanError),
    Python { what: String },
    Other(String),
}

impl From<ScanError> for Problem {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

struct Reader<'a> {
    functions: Functions,
    parser: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Value>,
    /// Nodes that aliases have copied.
    copied: usize,
    /// Where the reader is.
    keys: Vec<String>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Event<'a>, Problem> {
        match self.parser.next() {
            Some(event) => Ok(event?.0),
            None => Err(Problem::Other("the file ends too early".into())),
        }
    }

    fn document(&mut self) -> Result<Value, Problem> {
        let mut found = None;
        loop {
            match self.next()? {
                Event::StreamEnd => return Ok(found.unwrap_or(Value::Null)),
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                _ if found.is_some() => {
                    return Err(Problem::Other("it holds more than one document".into()));
                }
                event => found = Some(self.node(event)?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>) -> Result<Value, Problem> {
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = self.is_text(tag.as_deref(), &text)?;
                let plain = style == ScalarStyle::Plain && !is_text;
                (
                    if plain {
                        plain_scalar(&text)
                    } else {
                        text.into()
                    },
                    anchor,
                )
            }
            Event::SequenceStart(anchor, tag) => {
                self.is_text(tag.as_deref(), "a list")?;
                (self.sequence()?, anchor)
            }
            Event::MappingStart(anchor, tag) => {
                self.is_text(tag.as_deref(), "a mapping")?;
                (self.mapping()?, anchor)
            }
            Event::Alias(anchor) => return self.alias(anchor),
            other => return Err(Problem::Other(format!("{other:?} is out of place"))),
        };
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        Ok(value)
    }

    /// Whether a tag says that a scalar is a text; every other tag than YAML's own would run code.
    fn is_text(&self, tag: Option<&Tag>, of: &str) -> Result<bool, Problem> {
        match tag {
            None => Ok(false),
            Some(tag) if tag.is_yaml_core_schema() && !tag.suffix.contains('/') => {
                Ok(tag.suffix == "str")
            }
            Some(_) if self.functions == Functions::AsTexts => Ok(true),
            Some(tag) => Err(Problem::Python {
                what: format!("{}{} {of}", tag.handle, tag.suffix),
            }),
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<Value, Problem> {
        let value = self.anchors.get(&anchor).cloned().unwrap_or(Value::Null);
        self.copied += nodes(&value);
        if self.copied > MOST_COPIED {
            return Err(Problem::Other(format!(
                "its aliases copy more than {MOST_COPIED} values"
            )));
        }
        Ok(value)
    }

    fn sequence(&mut self) -> Result<Value, Problem> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Event::SequenceEnd => return Ok(Value::Array(items)),
                event => {
                    self.keys.push(items.len().to_string());
                    items.push(self.node(event)?);
                    self.keys.pop();
                }
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, Problem> {
        let mut map = Map::new();
        loop {
            let event = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Object(map));
            }
            let key = match self.node(event)? {
                Value::String(key) => key,
                Value::Array(_) | Value::Object(_) => {
                    return Err(Problem::Other("a key must be a text".into()));
                }
                other => other.to_string(),
            };
            let event = self.next()?;
            self.keys.push(key);
            let value = self.node(event)?;
            let key = self.keys.pop().unwrap_or_default();
            map.insert(key, value);
        }
    }
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(map) => map.values().map(nodes).sum(),
        _ => 0,
    }
}

static INTEGER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^[-+]?(0|[1-9][0-9_]*)$").expect("the pattern is valid"));
static FLOAT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+][0-9]+)?|\.[0-9][0-9_]*([eE][-+][0-9]+)?)$")
        .expect("the pattern is valid")
});

/// A scalar without quotes.
fn plain_scalar(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    let digits = text.replace('_', "");
    let integer = INTEGER.is_match(text).unwrap_or(false);
    if let Some(number) = digits.parse::<i64>().ok().filter(|_| integer) {
        return number.into();
    }
    let float = FLOAT.is_match(text).unwrap_or(false);
    match digits.parse::<f64>().ok().filter(|_| float) {
        Some(number) => number.into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Value, String> {
        parse(text, Functions::Refused, Path::new("task.yaml")).map_err(|error| error.to_string())
    }

    /// What `yaml.safe_load` of PyYAML 6.0 gives.
    #[test]
    fn scalars_are_what_pyyaml_makes_of_them() {
        let found = read(
            "a: no\nb: 'no'\nc: 1e-5\nd: 1.5e-3\ne: 0.5\nf: 1_000\ng: ~\nh: -7\ni: .5\nj: \"x\\n\"\nk: 'x\\n'\n\
             l: |\n  two\n  lines\nm: >-\n  one\n  line\nn: !!str 5\no: 1.0\np:\n",
        );
        let expected = json!({
            "a": false, "b": "no", "c": "1e-5", "d": 0.0015, "e": 0.5, "f": 1000, "g": null, "h": -7,
            "i": 0.5, "j": "x\n", "k": "x\\n", "l": "two\nlines\n", "m": "one line", "n": "5", "o": 1.0,
            "p": null,
        });
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn python_is_named_by_key_and_function() {
        let text = "task: x\nfewshot_config:\n  samples: !function utils.list_samples\n";
        assert_eq!(
            read(text).unwrap_err(),
            "task.yaml: `fewshot_config.samples` needs Python (!function utils.list_samples); only task \
             files that are data alone can be run here"
        );
        let text = "metric_list:\n  - metric: !function metrics.score\n";
        assert!(read(text).unwrap_err().contains("`metric_list.0.metric`"));
        assert!(
            read("a: !!python/object/apply:os.system [ls]\n")
                .unwrap_err()
                .contains("python/object/apply:os.system")
        );
    }

    #[test]
    fn what_a_file_is_called_is_known_before_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("task.yaml");
        fs::write(&path, "task: x\nprocess_docs: !function a.b\n").unwrap();
        assert!(super::read(&path).is_err());
        assert_eq!(
            Value::Object(outline(&path).unwrap()),
            json!({"task": "x", "process_docs": "a.b"})
        );
    }

    #[test]
    fn anchors_are_followed_as_far_as_is_sane() {
        assert_eq!(
            read("a: &x [1, 2]\nb: *x\n"),
            Ok(json!({"a": [1, 2], "b": [1, 2]}))
        );
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..9 {
            let before = format!("*a{}, ", n - 1).repeat(10);
            bomb += &format!("a{n}: &a{n} [{}]\n", before.trim_end_matches(", "));
        }
        assert!(read(&bomb).unwrap_err().contains("aliases copy more than"));
    }

    #[test]
    fn own_keys_win_over_included_ones_and_circles_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("base.yaml"), "a: 1\nb: 1\n").unwrap();
        fs::write(path("task.yaml"), "include: base.yaml\nb: 2\n").unwrap();
        assert_eq!(
            Value::Object(super::read(&path("task.yaml")).unwrap()),
            json!({"a": 1, "b": 2})
        );
        fs::write(path("base.yaml"), "include: task.yaml\n").unwrap();
        let error = super::read(&path("task.yaml")).unwrap_err();
        assert!(error.to_string().ends_with("task.yaml includes itself"));
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c:\\-\\[\\]{},&*!|>'\"#\n 0-9]{0,60}") {
            let _ = read(&text);
        }
    }
}
