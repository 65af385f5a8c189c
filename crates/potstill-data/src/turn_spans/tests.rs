//! Turns in the dialects of several model families.

use potstill_core::{Message, SpecialTokens};
use proptest::prelude::*;

use super::*;

const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + \
    '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const TRIMMING: &str = "{% for m in messages %}{{ '<|start_header_id|>' + m.role + \
    '<|end_header_id|>\n\n' + m.content | trim + '<|eot_id|>' }}{% endfor %}{% if \
    add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}";
const INSTRUCTION: &str = "{% for m in messages %}{% if m.role == 'user' %}{{ bos_token + '[INST] ' + \
    m.content.strip() + ' [/INST]' }}{% else %}{{ ' ' + m.content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";
const NO_PROMPT: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}";
const THINKING: &str = "{% for m in messages %}{% set c = m.content.split('</think>')[-1].lstrip('\n') \
    %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and loop.last %}{% set t = \
    m.content.split('</think>')[0].split('<think>')[-1].strip('\n') if '</think>' in m.content else '' \
    %}{{ '<think>\n' + t + '\n</think>\n\n' + c }}{% else %}{{ c }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if \
    add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
const MARKED: &str = "{% for m in messages %}<{{ m.role }}>{% if m.role == 'assistant' %}{% generation \
    %}{{ m.content }}</s>{% endgeneration %}{% else %}{{ m.content }}</s>{% endif %}{% endfor %}";

fn template(source: &str) -> ChatTemplate {
    let specials = SpecialTokens {
        bos: Some("<s>".into()),
        eos: Some("</s>".into()),
        ..SpecialTokens::default()
    };
    ChatTemplate::new(source, specials).unwrap()
}

#[track_caller]
fn check(source: &str, messages: &[Message], counts: impl Fn(&Role) -> bool, expected: &[&str]) {
    let (text, spans) = render_turns(&template(source), messages, counts).unwrap();
    let turns: Vec<&str> = spans.into_iter().map(|span| &text[span]).collect();
    assert_eq!(turns, expected, "{text}");
}

fn answers(role: &Role) -> bool {
    *role == Role::Assistant
}

fn sums() -> Vec<Message> {
    vec![
        Message::user(" 1+1? "),
        Message::assistant(" 2"),
        Message::user("2"),
        Message::assistant("2\n"),
    ]
}

#[test]
fn an_answer_is_its_content_and_its_end_of_turn_token() {
    check(CHATML, &sums(), answers, &[" 2<|im_end|>", "2\n<|im_end|>"]);
}

#[test]
fn a_template_may_trim() {
    check(TRIMMING, &sums(), answers, &["2<|eot_id|>", "2<|eot_id|>"]);
}

#[test]
fn the_blank_behind_an_instruction_is_the_models() {
    check(INSTRUCTION, &sums(), answers, &[" 2 </s>", " 2 </s>"]);
}

#[test]
fn without_a_generation_prompt_the_header_does_not_count() {
    check(NO_PROMPT, &sums(), answers, &[" 2</s>", "2\n</s>"]);
}

#[test]
fn a_thought_counts_where_the_template_shows_it() {
    let thought = |answer: &str| Message::assistant(format!("<think>\nhm\n</think>\n\n{answer}"));
    let messages = [
        Message::user("1+1?"),
        thought("2"),
        Message::user("sure?"),
        thought("yes"),
    ];
    check(
        THINKING,
        &messages,
        answers,
        &["2<|im_end|>", "<think>\nhm\n</think>\n\nyes<|im_end|>"],
    );
    let messages = [Message::user("1+1?"), Message::assistant("2")];
    check(
        THINKING,
        &messages,
        answers,
        &["<think>\n\n</think>\n\n2<|im_end|>"],
    );
}

#[test]
fn generation_blocks_are_taken_as_they_are() {
    check(MARKED, &sums(), answers, &[" 2</s>", "2\n</s>"]);
    check(
        MARKED,
        &sums(),
        |_| true,
        &[" 1+1? </s>", "2</s>", " 2</s>", "2\n</s>"],
    );
}

#[test]
fn any_role_can_count() {
    let messages = [
        Message::system("brief"),
        Message::user(" hi "),
        Message::assistant("yo"),
    ];
    check(
        TRIMMING,
        &messages,
        |role| *role == Role::System,
        &["brief<|eot_id|>"],
    );
    check(
        CHATML,
        &messages,
        |role| *role == Role::User,
        &[" hi <|im_end|>"],
    );
    check(CHATML, &messages, |_| false, &[]);
}

#[test]
fn an_empty_answer_is_its_end_of_turn_token() {
    let messages = [Message::user("aa"), Message::assistant("")];
    check(CHATML, &messages, answers, &["<|im_end|>"]);
}

#[test]
fn a_template_that_changes_a_turn_is_an_error() {
    let shouting = "{% for m in messages %}{{ m.content | upper }}.{% endfor %}";
    let twice = "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}";
    let silent =
        "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}";
    for source in [shouting, twice, silent] {
        let messages = [Message::user("hi"), Message::assistant("you")];
        let error = render_turns(&template(source), &messages, answers).unwrap_err();
        assert!(
            error.to_string().contains("is message 1 (assistant)"),
            "{error}"
        );
        assert!(error.to_string().contains("{% generation %}"), "{error}");
    }
}

proptest! {
    #[test]
    fn turns_are_found_in_any_text(
        contents in prop::collection::vec("[ab<|>\n ä🦀\u{f0000}]{0,6}", 1..6),
        trims in any::<bool>(),
    ) {
        let role = |index| if index % 2 == 0 { Role::User } else { Role::Assistant };
        let messages: Vec<Message> = contents
            .iter()
            .enumerate()
            .map(|(index, content)| Message::new(role(index), content.as_str()))
            .collect();
        let source = if trims { TRIMMING } else { CHATML };
        let (text, spans) = render_turns(&template(source), &messages, answers).unwrap();
        let turns: Vec<&str> = spans.into_iter().map(|span| &text[span]).collect();
        let expected: Vec<String> = messages
            .iter()
            .filter(|message| message.role == Role::Assistant)
            .map(|message| match trims {
                true => format!("{}<|eot_id|>", message.content.trim()),
                false => format!("{}<|im_end|>", message.content),
            })
            .collect();
        prop_assert_eq!(turns, expected);
    }
}
