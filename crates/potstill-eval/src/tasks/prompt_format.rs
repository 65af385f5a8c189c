//! From the turns of a prompt to the text that a model reads.

use potstill_core::{Message, Role};
use potstill_data::ChatTemplate;

/// Stands behind the turn that a model is to go on with, to find its place in the rendered text. The
/// blank at its end shows whether the template trims what is said.
const OPEN_END: &str = "THE_ANSWER_GOES_ON_HERE ";

/// How a [`Task`](crate::Task) puts its prompts: as they are, or as a conversation.
///
/// The prompts are those of lm-evaluation-harness with `--system_instruction`, `--apply_chat_template`
/// and `--fewshot_as_multiturn`. The description of a task is part of the system message. A template
/// that refuses a conversation is an error: nothing is left out to please it.
///
/// ```
/// use potstill_core::SpecialTokens;
/// use potstill_data::ChatTemplate;
/// use potstill_eval::PromptFormat;
///
/// let template = ChatTemplate::new(
///     "{% for message in messages %}<{{ message.role }}>{{ message.content }}</>{% endfor %}\
///      {% if add_generation_prompt %}<assistant>{% endif %}",
///     SpecialTokens::default(),
/// )?;
/// let format = PromptFormat {
///     system_instruction: Some("Answer in one word.".into()),
///     ..PromptFormat::chat(template)
/// };
/// assert!(format.fewshot_as_multiturn);
/// # Ok::<(), potstill_data::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct PromptFormat {
    /// What stands in front of everything else.
    pub system_instruction: Option<String>,
    /// What makes a conversation of a prompt; without one the prompt is plain text.
    pub chat_template: Option<ChatTemplate>,
    /// Whether each few-shot example is a turn of the user and one of the model. Otherwise they all
    /// stand in front of the question, in its turn. Plain text knows no turns.
    pub fewshot_as_multiturn: bool,
}

impl PromptFormat {
    /// Conversations with examples as turns, which is what lm-evaluation-harness does unless it is told
    /// otherwise.
    #[must_use]
    pub fn chat(template: ChatTemplate) -> Self {
        Self {
            system_instruction: None,
            chat_template: Some(template),
            fewshot_as_multiturn: true,
        }
    }

    /// The text of `turns`, of which there is at least one of the user. What the model has begun to
    /// say last, it goes on with.
    pub(super) fn text(&self, turns: Vec<Turn>) -> Result<String, String> {
        let Some(template) = &self.chat_template else {
            return Ok(joined(&turns));
        };
        let turns = match self.fewshot_as_multiturn {
            true => turns,
            false => in_one_turn(turns),
        };
        let messages: Vec<Message> = turns
            .into_iter()
            .map(|turn| Message::new(turn.role, turn.text))
            .collect();
        let is_open = messages
            .last()
            .is_some_and(|last| last.role == Role::Assistant);
        if is_open {
            return continued(template, messages);
        }
        template.render(&messages, true).map_err(cannot_be_chat)
    }

    pub(super) fn is_chat(&self) -> bool {
        self.chat_template.is_some()
    }

    pub(super) fn record(&self) -> FormatRecord {
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        FormatRecord {
            system_instruction: text(self.system_instruction.as_deref()),
            chat_template: text(self.chat_template.as_ref().map(ChatTemplate::source)),
            fewshot_as_multiturn: self.fewshot_as_multiturn,
        }
    }
}

/// What results say about a format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FormatRecord {
    pub(super) system_instruction: Option<String>,
    pub(super) chat_template: Option<String>,
    pub(super) fewshot_as_multiturn: bool,
}

/// What one says in a prompt.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    role: Role,
    text: String,
    /// What stands behind it in plain text.
    delimiter: String,
}

impl Turn {
    pub(super) fn new(role: Role, text: String, delimiter: &str) -> Self {
        Self {
            role,
            text,
            delimiter: delimiter.into(),
        }
    }
}

fn joined(turns: &[Turn]) -> String {
    let texts = turns.iter();
    texts
        .flat_map(|turn| [turn.text.as_str(), turn.delimiter.as_str()])
        .collect()
}

/// All that was said before the answer as one turn of the user; the system's stays its own.
fn in_one_turn(mut turns: Vec<Turn>) -> Vec<Turn> {
    let is = |turn: Option<&Turn>, role| turn.is_some_and(|turn| turn.role == role);
    let answer = is(turns.last(), Role::Assistant).then(|| turns.pop());
    let system = is(turns.first(), Role::System).then(|| turns.remove(0));
    if let Some(question) = turns.last_mut() {
        question.delimiter.clear();
    }
    let said = Turn::new(Role::User, joined(&turns), "");
    system
        .into_iter()
        .chain([said])
        .chain(answer.flatten())
        .collect()
}

/// The conversation up to the end of its last message, as `continue_final_message` of transformers
/// renders it.
fn continued(template: &ChatTemplate, mut messages: Vec<Message>) -> Result<String, String> {
    let Some(last) = messages.last_mut() else {
        return Ok(String::new());
    };
    let begun = last.content.trim().to_owned();
    last.content += OPEN_END;
    let mut text = template.render(&messages, false).map_err(cannot_be_chat)?;
    let end = text
        .rfind(OPEN_END.trim_end())
        .filter(|_| text.contains(&begun))
        .ok_or_else(|| {
            format!("the chat template leaves out how the answer begins, which is {begun:?}")
        })?;
    let keeps_blanks = text[end..].starts_with(OPEN_END);
    text.truncate(end);
    if !keeps_blanks {
        text.truncate(text.trim_end().len());
    }
    Ok(text)
}

fn cannot_be_chat(error: potstill_data::Error) -> String {
    let mut problem = format!("it cannot be put as a conversation: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        problem += &format!(": {source}");
        cause = source.source();
    }
    problem
}
