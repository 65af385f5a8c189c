//! Records to documents with a byte-level tokenizer.

use potstill_core::{Message, SpecialTokens};
use proptest::prelude::*;

use super::*;
use crate::sample_tokenizers::{byte_level, word_level};

const CHATML: &str = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + \
    '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

fn chatml() -> ChatTemplate {
    ChatTemplate::new(CHATML, SpecialTokens::default()).unwrap()
}

fn options(loss_on: LossOn) -> EncodeOptions {
    EncodeOptions {
        loss_on,
        ..EncodeOptions::default()
    }
}

fn encode(content: Content, options: &EncodeOptions) -> Result<Document, Error> {
    encode_record(&content.into(), &byte_level(), Some(&chatml()), options)
}

/// The text of the tokens that count, and of all.
fn texts(document: &Document) -> [String; 2] {
    let tokenizer = byte_level();
    let counted = document.tokens.iter().zip(&document.weights).skip(1);
    let counted: Vec<u32> = counted
        .filter(|(_, w)| **w != 0.0)
        .map(|(token, _)| *token)
        .collect();
    [counted, document.tokens.clone()].map(|ids| tokenizer.decode(&ids, false).unwrap())
}

#[track_caller]
fn check(content: Content, loss_on: LossOn, counted: &str, all: &str) {
    let document = encode(content, &options(loss_on)).unwrap();
    assert_eq!(texts(&document), [counted, all]);
}

fn chat() -> Content {
    Content::Messages(vec![
        Message::user("hi user"),
        Message::assistant(" an  answer \n"),
        Message::user("and?"),
        Message::assistant("\n"),
    ])
}

const CHAT_TEXT: &str = "<|im_start|>user\nhi user<|im_end|>\n<|im_start|>assistant\n an  answer \n<|im_end|>\n\
    <|im_start|>user\nand?<|im_end|>\n<|im_start|>assistant\n\n<|im_end|>\n";

#[test]
fn only_the_answers_of_a_conversation_count() {
    // The last answer is a newline, which the tokenizer merges with the one of the header.
    check(
        chat(),
        LossOn::Completions,
        " an  answer \n<|im_end|>\n\n<|im_end|>",
        CHAT_TEXT,
    );
}

#[test]
fn everything_can_count() {
    check(
        chat(),
        LossOn::Everything,
        &CHAT_TEXT["<|im_start|>".len()..],
        CHAT_TEXT,
    );
}

#[test]
fn chosen_roles_can_count() {
    let roles = LossOn::Roles(vec![Role::User]);
    check(chat(), roles, "hi user<|im_end|>and?<|im_end|>", CHAT_TEXT);
}

#[test]
fn a_completion_counts_with_its_end() {
    let content = || Content::completion("1+1=", "2");
    check(content(), LossOn::Completions, "2</s>", "<s>1+1=2</s>");
    check(content(), LossOn::Everything, "1+1=2</s>", "<s>1+1=2</s>");
    check(
        content(),
        LossOn::Roles(vec![Role::User]),
        "1+1=",
        "<s>1+1=2</s>",
    );
}

#[test]
fn a_completion_never_changes_the_tokens_of_its_prompt() {
    let tokenizer = byte_level();
    let document = encode(
        Content::completion("an us", "er"),
        &EncodeOptions::default(),
    )
    .unwrap();
    let prompt = tokenizer.encode("an us", true).unwrap();
    assert!(document.tokens.starts_with(&prompt));
    assert_ne!(
        document.tokens,
        tokenizer.encode("an user</s>", true).unwrap()
    );
    assert_eq!(texts(&document), ["er</s>", "<s>an user</s>"]);
}

#[test]
fn plain_text_counts_as_a_whole_and_has_no_role() {
    check(
        Content::Text("some text".into()),
        LossOn::Completions,
        "some text</s>",
        "<s>some text</s>",
    );
    let error = encode(
        Content::Text("a".into()),
        &options(LossOn::Roles(vec![Role::User])),
    );
    assert!(matches!(error, Err(Error::NothingCounts)));
}

#[test]
fn the_end_is_not_appended_twice_nor_when_it_is_not_wanted() {
    check(
        Content::Text("a</s>".into()),
        LossOn::Completions,
        "a</s>",
        "<s>a</s>",
    );
    let options = EncodeOptions {
        append_eos: false,
        ..EncodeOptions::default()
    };
    let document = encode(Content::Text("ab".into()), &options).unwrap();
    assert_eq!(texts(&document)[1], "<s>ab");
}

#[test]
fn the_weight_of_a_record_multiplies() {
    let record = Record {
        weight: 0.25,
        ..Content::completion("a", "b").into()
    };
    let document = encode_record(&record, &byte_level(), None, &EncodeOptions::default()).unwrap();
    assert_eq!(document.weights, [0.0, 0.0, 0.25, 0.25]);
    let record = Record {
        weight: 0.0,
        ..record
    };
    let error = encode_record(&record, &byte_level(), None, &EncodeOptions::default());
    assert!(matches!(error, Err(Error::NothingCounts)));
}

#[test]
fn a_cut_keeps_the_chosen_end_and_says_how_much_is_gone() {
    let cut_to = |max_tokens, keep| {
        let options = EncodeOptions {
            max_tokens: Some(max_tokens),
            keep,
            ..EncodeOptions::default()
        };
        encode(Content::completion("12", "345"), &options)
    };
    let start = cut_to(4, Keep::Start).unwrap();
    assert_eq!(
        (texts(&start), start.cut),
        (["3".into(), "<s>123".into()], 3)
    );
    let end = cut_to(3, Keep::End).unwrap();
    assert_eq!(
        (texts(&end), end.cut),
        (["5</s>".into(), "45</s>".into()], 4)
    );
    assert_eq!(cut_to(7, Keep::Start).unwrap().cut, 0);
    let error = cut_to(3, Keep::Start).unwrap_err();
    assert!(error.to_string().contains("to 3 tokens"), "{error}");
    assert!(matches!(cut_to(0, Keep::End), Err(Error::CutAway { .. })));
}

#[test]
fn records_in_are_documents_out_and_rejected_by_reason() {
    let picky = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system \
        turns') }}{% endif %}{{ m.content }}{% endfor %}";
    let template = ChatTemplate::new(picky, SpecialTokens::default()).unwrap();
    let records: Vec<Record> = [
        Content::Text("a long text".into()),
        Content::Messages(vec![Message::system("x")]),
        Content::Messages(vec![Message::system("y")]),
        Content::Messages(vec![Message::user("x")]),
        Content::completion("a very long prompt", "b"),
    ]
    .map(Record::from)
    .into();
    let options = EncodeOptions {
        max_tokens: Some(8),
        ..EncodeOptions::default()
    };
    let encoded = encode_records(&records, &byte_level(), Some(&template), &options).unwrap();
    let report = &encoded.report;
    assert_eq!(
        (report.records, report.documents, encoded.documents.len()),
        (5, 1, 1)
    );
    assert_eq!(report.rejected.values().sum::<usize>(), 4);
    assert_eq!(
        report.to_string(),
        "5 records, 1 documents of 8 tokens (7 count); 1 cut by 5 tokens; \
         1 too short (the first: the record has 1 tokens; there is nothing to predict); \
         1 cut down to nothing (the first: cutting the record to 8 tokens leaves none that counts \
         towards the loss); \
         2 refused by the chat template (the first: the chat template refuses this conversation: \
         no system turns)"
    );
    let json = serde_json::to_string(report).unwrap();
    assert_eq!(
        &serde_json::from_str::<EncodeReport>(&json).unwrap(),
        report
    );
    let error = encode_records(&records[1..2], &byte_level(), Some(&template), &options);
    assert!(matches!(error, Err(Error::AllRejected { .. })));
}

#[test]
fn what_would_meet_every_record_is_an_error() {
    let chat = [Record::from(chat())];
    let error = encode_records(&chat, &byte_level(), None, &EncodeOptions::default());
    assert!(matches!(error, Err(Error::NoTemplate)));
    let text = [Record::from(Content::Text("one".into()))];
    let tokenizer = word_level(&["<unk>", "one"]);
    let error = encode_records(&text, &tokenizer, None, &EncodeOptions::default());
    assert!(matches!(error, Err(Error::NoEndOfText)));
}

#[test]
fn a_rejection_is_reported_with_its_cause() {
    let template = ChatTemplate::new("{{ messages[0].name + 1 }}", SpecialTokens::default());
    let records = [chat().into()];
    let template = template.unwrap();
    let options = EncodeOptions::default();
    let error = encode_records(&records, &byte_level(), Some(&template), &options).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("the chat template fails on this conversation: "),
        "{message}"
    );
    assert!(message.contains("chat_template:1"), "{message}");
}

#[test]
fn options_reject_unknown_keys() {
    let options: EncodeOptions =
        serde_json::from_str(r#"{"loss_on": {"roles": ["user"]}, "max_tokens": 5}"#).unwrap();
    assert_eq!(options.loss_on, LossOn::Roles(vec![Role::User]));
    assert!(options.append_eos);
    assert!(serde_json::from_str::<EncodeOptions>(r#"{"max_token": 5}"#).is_err());
}

proptest! {
    #[test]
    fn answers_of_any_text_count_and_nothing_else(
        question in any::<String>(),
        answer in "[a-c \nä🦀é\u{301}]{1,8}",
    ) {
        let messages = vec![Message::user(question.clone()), Message::assistant(answer.clone())];
        let document = encode(Content::Messages(messages), &EncodeOptions::default()).unwrap();
        let [counted, all] = texts(&document);
        prop_assert_eq!(
            all,
            format!("<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n")
        );
        // A leading newline can share a token with the header's.
        let expected = format!("{answer}<|im_end|>");
        prop_assert!(counted == expected || counted == format!("\n{expected}"), "{:?}", counted);
    }
}
