//! Which part of a rendered conversation is whose turn.
//!
//! Templates trim, reorder and drop, so a turn is not searched for by its text. A turn is found by
//! rendering the conversation again with a character in its place that occurs nowhere else: what both
//! renderings share before and after it is not the turn's content.

use std::ops::Range;

use potstill_core::{Message, Role};

use crate::chat_template::{Rendered, absent_chars};
use crate::{ChatTemplate, Error};

/// Renders a conversation and finds the turns of the roles that count, as byte ranges.
///
/// The turn of the model is everything that it has to write: what follows the generation prompt, up
/// to and with its end-of-turn token. A turn of another role is its content and its end-of-turn
/// token. Blanks behind that do not belong to it.
pub(crate) fn render_turns(
    template: &ChatTemplate,
    messages: &[Message],
    counts: impl Fn(&Role) -> bool,
) -> Result<(String, Vec<Range<usize>>), Error> {
    let Rendered { text, generated } = template.render_with_generation(messages)?;
    let mut spans = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let is_marked = generated.is_some() && message.role == Role::Assistant;
        if counts(&message.role) && !is_marked {
            spans.push(find_turn(template, messages, index, &text)?);
        }
    }
    if counts(&Role::Assistant) {
        spans.extend(generated.unwrap_or_default());
    }
    Ok((text, spans))
}

fn find_turn(
    template: &ChatTemplate,
    messages: &[Message],
    index: usize,
    text: &str,
) -> Result<Range<usize>, Error> {
    let role = &messages[index].role;
    let not_found = || Error::TurnNotFound {
        index,
        role: role.clone(),
    };
    let content = find_content(template, messages, index, text)?.ok_or_else(not_found)?;
    let footer = if index + 1 == messages.len() {
        text[content.end..].trim_end().to_owned()
    } else {
        // Cut off behind this turn, the conversation shows where the turn ends and the next begins.
        let messages = &messages[..=index];
        let text = template.render(messages, false)?;
        let content = find_content(template, messages, index, &text)?.ok_or_else(not_found)?;
        text[content.end..].trim_end().to_owned()
    };
    if !text[content.end..].starts_with(&footer) {
        return Err(not_found());
    }
    let start = match role {
        Role::Assistant => generation_start(template, &messages[..index], text, &content),
        _ => content.start,
    };
    Ok(start..content.end + footer.len())
}

/// Where the content of a message stands in `text`, the rendered conversation.
fn find_content(
    template: &ChatTemplate,
    messages: &[Message],
    index: usize,
    text: &str,
) -> Result<Option<Range<usize>>, Error> {
    let content = &messages[index].content;
    let present = |mark: char| {
        text.contains(mark)
            || messages
                .iter()
                .any(|message| message.content.contains(mark))
    };
    let Some(mark) = absent_chars(present).next() else {
        return Ok(None);
    };
    let mut probed = messages.to_vec();
    probed[index].content = mark.to_string();
    let probed = template.render(&probed, false)?;
    let start = shared_bytes(text.chars(), probed.chars());
    let (rest, probed_rest) = (&text[start..], &probed[start..]);
    let after = shared_bytes(rest.chars().rev(), probed_rest.chars().rev());
    let shown = &rest[..rest.len() - after];
    let is_there = probed_rest[..probed_rest.len() - after].contains(mark);
    let is_part = without_blanks(content).contains(&without_blanks(shown));
    Ok((is_there && is_part).then(|| start..text.len() - after))
}

/// Where the model begins to write, which can be before the content: a template may put a blank or
/// an empty thought in front of it. Falls back to the content when the template has no generation
/// prompt or rewrites what came before.
fn generation_start(
    template: &ChatTemplate,
    before: &[Message],
    text: &str,
    content: &Range<usize>,
) -> usize {
    let Ok(prompt) = template.render(before, true) else {
        return content.start;
    };
    if !text.starts_with(&prompt) || prompt.len() > content.end {
        return content.start;
    }
    let between = text.get(prompt.len()..content.start).unwrap_or_default();
    let has_prompt = template
        .render(before, false)
        .is_ok_and(|plain| plain != prompt);
    if has_prompt || between.trim().is_empty() {
        prompt.len()
    } else {
        content.start
    }
}

fn shared_bytes(a: impl Iterator<Item = char>, b: impl Iterator<Item = char>) -> usize {
    a.zip(b)
        .take_while(|(a, b)| a == b)
        .map(|(a, _)| a.len_utf8())
        .sum()
}

fn without_blanks(text: &str) -> String {
    text.split_whitespace().collect()
}

#[cfg(test)]
mod tests;
