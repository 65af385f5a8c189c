//! `{% generation %}` blocks, in which template authors mark what the model says.
//!
//! The engine has no such tag, so it is rewritten as a filter block, which has the same whitespace
//! rules. The filter puts marks around the block's text when the caller asks for them, and nothing
//! otherwise.

use std::ops::Range;

use minijinja::{State, Value};
use potstill_core::Message;

pub(super) const MARK_FILTER: &str = "potstill_generation";
pub(super) const OPEN_VARIABLE: &str = "potstill_generation_open";
pub(super) const CLOSE_VARIABLE: &str = "potstill_generation_close";

/// The source without `generation` tags, and whether there was one.
pub(super) fn rewrite(source: &str) -> (String, bool) {
    let mut rewritten = String::with_capacity(source.len());
    let mut found = false;
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        rewritten.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end + 2);
        let inner = &tag[2..tag.len() - 2];
        let left = inner.len() - inner.trim_start_matches(['-', '+']).len();
        let right = inner.len() - inner.trim_end_matches(['-', '+']).len();
        let name = inner
            .get(left..inner.len() - right)
            .unwrap_or_default()
            .trim();
        let replacement = match name {
            "generation" => Some(format!("filter {MARK_FILTER}")),
            "endgeneration" => Some("endfilter".to_owned()),
            _ => None,
        };
        match replacement {
            Some(name) => {
                found = true;
                let (open, close) = (&inner[..left], &inner[inner.len() - right..]);
                rewritten.push_str(&format!("{{%{open} {name} {close}%}}"));
            }
            None => rewritten.push_str(tag),
        }
        rest = after;
    }
    rewritten.push_str(rest);
    (rewritten, found)
}

/// The filter behind a rewritten block.
pub(super) fn mark(state: &State, text: String) -> Value {
    let variable = |name| {
        state
            .lookup(name)
            .map(|mark| mark.to_string())
            .unwrap_or_default()
    };
    Value::from(variable(OPEN_VARIABLE) + &text + &variable(CLOSE_VARIABLE))
}

/// Two characters that no message contains.
pub(super) fn marks(messages: &[Message]) -> [char; 2] {
    let mut unused = absent_chars(|mark| messages.iter().any(|turn| turn.content.contains(mark)));
    let mut next = || {
        unused
            .next()
            .expect("no conversation uses every private character")
    };
    [next(), next()]
}

/// Private-use characters that are not `present`.
pub(crate) fn absent_chars(present: impl Fn(char) -> bool) -> impl Iterator<Item = char> {
    ('\u{f0000}'..='\u{ffffd}').filter(move |mark| !present(*mark))
}

/// The text without marks, and the ranges that were between them.
pub(super) fn take_marks(marked: &str, open: char, close: char) -> (String, Vec<Range<usize>>) {
    let mut text = String::with_capacity(marked.len());
    let mut spans = Vec::new();
    let mut starts = Vec::new();
    for character in marked.chars() {
        if character == open {
            starts.push(text.len());
        } else if character == close {
            if let Some(start) = starts.pop() {
                spans.push(start..text.len());
            }
        } else {
            text.push(character);
        }
    }
    (text, spans)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_its_whitespace_control() {
        let (source, found) =
            rewrite("a{%- generation -%}b{%endgeneration+%}c{% if x %}{% endif %}");
        let expected = "a{%- filter potstill_generation -%}b{% endfilter +%}c{% if x %}{% endif %}";
        assert_eq!((source.as_str(), found), (expected, true));
    }

    #[test]
    fn a_source_without_tags_is_untouched() {
        for source in [
            "",
            "{% set generation = 1 %}{{ generation }}",
            "{%",
            "{%-%}",
            "{%--%}",
            "a %} b",
        ] {
            assert_eq!(rewrite(source), (source.to_owned(), false));
        }
    }

    #[test]
    fn marks_become_byte_ranges() {
        let (text, spans) = take_marks("ä<b>c<>", '<', '>');
        assert_eq!((text.as_str(), spans), ("äbc", vec![2..3, 4..4]));
    }
}
