//! A syllabus by a model.

use potstill_core::{ChatModel, ChatRequest, Message};

use serde_json::json;

use super::{DialogueError, DialoguePrompts, Syllabus};

/// Asks a model for a syllabus about `title`, from `source` if there is one, with so many topics and
/// facts each.
///
/// What it answers is checked as a syllabus from a file is. A source is kept for the judge.
///
/// # Errors
///
/// When the model does not answer, or not with a syllabus.
pub fn draft_syllabus(
    model: &dyn ChatModel,
    title: &str,
    source: Option<&str>,
    (topics, facts): (usize, usize),
    prompts: &DialoguePrompts,
) -> Result<Syllabus, DialogueError> {
    let values = json!({ "title": title, "source": source, "topics": topics, "facts": facts });
    let prompt = prompts.draft_syllabus.render(values)?;
    let request = ChatRequest::new(vec![Message::user(prompt)], 2048);
    let origin = format!("the draft of {}", model.name());
    let failed = |source| DialogueError::Model {
        speaker: model.name().to_owned(),
        source,
    };
    let reply = model.chat(&[request]).pop().transpose().map_err(failed)?;
    let text = reply.map(|reply| reply.text).unwrap_or_default();
    let json = match (text.find('{'), text.rfind('}')) {
        (Some(start), Some(end)) if start < end => &text[start..=end],
        _ => {
            return Err(DialogueError::Syllabus {
                origin,
                problem: "it holds no JSON object".into(),
            });
        }
    };
    let mut syllabus = Syllabus::from_json(json, &origin)?;
    if syllabus.source.is_none() {
        syllabus.source = source.map(str::to_owned);
    }
    Ok(syllabus)
}
