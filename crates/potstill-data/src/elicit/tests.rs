//! Tests of elicit.

use std::sync::Arc;

use jiff::Timestamp;
use potstill_core::{ChatError, ChatFinish, ChatReply, ChatToken, Message, Sampling, TokenLogProb};
use potstill_testkit::ScriptedChat;

use super::*;
use crate::{Outcome, PromptTemplate, Stage, StageContext};

fn ask(script: impl Fn(&str) -> String + Send + Sync + 'static) -> Elicitor {
    let model = ScriptedChat::new("scripted-1", move |request| {
        script(&request.messages.last().unwrap().content)
    });
    Elicitor::new(Arc::new(model)).with_terms("own")
}

fn sampled(script: impl Fn(u64) -> String + Send + Sync + 'static) -> Elicitor {
    let model = ScriptedChat::new("scripted-1", move |request| script(request.seed.unwrap()));
    Elicitor::new(Arc::new(model)).with_sampling(Sampling::temperature(1.0))
}

fn run(stage: &dyn Stage, records: &[Record]) -> Vec<Outcome> {
    let clock = || Timestamp::UNIX_EPOCH;
    stage
        .run(records.to_vec(), &StageContext::new(5, &clock))
        .unwrap()
}

fn text(text: &str) -> Record {
    Content::Text(text.into()).into()
}

fn with_answer(question: &str, answer: Value) -> Record {
    let mut record = text(question);
    record.meta.insert("answer".into(), answer);
    record
}

#[track_caller]
fn kept(outcome: &Outcome) -> &Record {
    match outcome {
        Outcome::Kept(records) => &records[0],
        other => panic!("not kept: {other:?}"),
    }
}

#[track_caller]
fn reason(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Rejected(rejected) | Outcome::Failed(rejected) => &rejected.reason,
        Outcome::Kept(records) => panic!("kept: {records:?}"),
    }
}

fn completion(record: &Record) -> &str {
    match &record.content {
        Content::Completion { completion, .. } => completion,
        other => panic!("no completion: {other:?}"),
    }
}

#[test]
fn labels_are_from_the_set_or_nothing() {
    let stage = LabelRecords::new(
        ask(|prompt| {
            if prompt.contains("two") {
                "Math.".into()
            } else {
                "It is about math, I think".into()
            }
        }),
        "topic",
        ["math", "law"],
    );
    let outcomes = run(&stage, &[text("two and two"), text("a court")]);
    let record = kept(&outcomes[0]);
    assert_eq!(record.meta["topic"], "math");
    let provenance = &record.provenance().unwrap()[0];
    assert_eq!(
        (provenance.model.as_str(), provenance.terms.as_deref()),
        ("scripted-1", Some("own"))
    );
    assert_eq!(reason(&outcomes[1]), "no label");
}

#[test]
fn what_is_cut_off_filtered_empty_or_missing_is_rejected_with_its_reason() {
    let model = ScriptedChat::with_replies("scripted-1", |request| {
        let mut reply = ChatReply::new("math");
        match request.messages[0].content.lines().last().unwrap() {
            "length" => reply.finish = ChatFinish::Length,
            "filter" => reply.finish = ChatFinish::Filtered,
            "empty" => reply.text = " \n".into(),
            _ => return Err(ChatError::Budget("spent".into())),
        }
        Ok(reply)
    });
    let stage = LabelRecords::new(Elicitor::new(Arc::new(model)), "topic", ["math", "law"]);
    let outcomes = run(&stage, &["length", "filter", "empty", "down"].map(text));
    let reasons: Vec<&str> = outcomes.iter().map(reason).collect();
    assert_eq!(
        reasons,
        ["cut off", "filtered", "empty answer", "no answer"]
    );
    // Only what may succeed another time is tried again.
    let failed: Vec<bool> = outcomes
        .iter()
        .map(|outcome| matches!(outcome, Outcome::Failed(_)))
        .collect();
    assert_eq!(failed, [false, false, false, true]);
}

#[test]
fn whatever_changes_an_answer_is_another_configuration() {
    let asked = || Elicitor::new(Arc::new(ScriptedChat::new("a", |_| String::new())));
    let configured = |elicitor: Elicitor, template: &str| {
        AnswerPrompts::new(elicitor)
            .with_template(PromptTemplate::new("answer", template))
            .configuration()
    };
    let other_model = Elicitor::new(Arc::new(ScriptedChat::new("b", |_| String::new())));
    let schema = AnswerSchema::new(json!({"type": "object"})).unwrap();
    let plain = configured(asked(), "x");
    assert_eq!(plain, configured(asked(), "x"));
    for changed in [
        configured(other_model, "x"),
        configured(asked(), "y"),
        configured(asked().with_terms("own"), "x"),
        configured(asked().with_sampling(Sampling::temperature(0.7)), "x"),
        configured(asked().with_max_tokens(9), "x"),
        configured(asked().with_schema(schema), "x"),
    ] {
        assert_ne!(plain, changed);
    }
    // What a user calls the system prompt is the manner of an explanation here.
    let manner = |manner: &str| {
        ExplanationTraces::new(asked())
            .with_manners([manner])
            .configuration()
    };
    assert_ne!(manner("Be brief."), manner("Be thorough."));
}

#[test]
fn an_answer_that_breaks_the_schema_is_rejected_at_its_place_and_kept() {
    let schema = json!({
        "type": "object",
        "properties": {"steps": {"type": "array", "items": {"type": "string"}}},
        "required": ["steps"],
    });
    let model = ScriptedChat::new("scripted-1", |request| {
        assert_eq!(request.schema.as_ref().unwrap()["type"], "object");
        match request.messages[0].content.as_str() {
            "good" => r#"{"steps": ["one"]}"#.into(),
            "bad" => r#"{"steps": ["one", 2]}"#.into(),
            _ => "One, two.".into(),
        }
    });
    let elicitor =
        Elicitor::new(Arc::new(model)).with_schema(AnswerSchema::new(schema.clone()).unwrap());
    let outcomes = run(
        &AnswerPrompts::new(elicitor),
        &["good", "bad", "prose"].map(text),
    );
    let record = kept(&outcomes[0]);
    assert_eq!(completion(record), r#"{"steps": ["one"]}"#);
    assert_eq!(record.provenance().unwrap()[0].parameters["schema"], schema);
    assert_eq!(reason(&outcomes[1]), "breaks the schema at /steps/*");
    assert_eq!(reason(&outcomes[2]), "not JSON");
    let Outcome::Rejected(rejected) = &outcomes[1] else {
        panic!("{outcomes:?}")
    };
    // What was paid for is not lost.
    assert_eq!(
        rejected.detail.as_deref(),
        Some("at /steps/1: want string, but got number\n{\"steps\": [\"one\", 2]}")
    );
}

#[test]
fn practice_questions_know_their_source() {
    let stage = PracticeQuestions::new(ask(|_| "Q: Who?\nA: Ada.\nQ: Why?\nA: So.".into()), 2);
    let source = text("Ada did so.");
    let outcomes = run(
        &stage,
        &[source.clone(), text("Another part of the document.")],
    );
    let Outcome::Kept(pairs) = &outcomes[0] else {
        panic!("{outcomes:?}")
    };
    assert_eq!(pairs.len(), 2);
    assert_eq!(pairs[1].content, Content::completion("Why?", "So."));
    assert_eq!(pairs[1].meta["source"], name_of(&source));
    let known = run(
        &AnswerPrompts::new(ask(|prompt| prompt.into())).with_template(PromptTemplate::new(
            "open_book",
            "{{ meta.text }} {{ question }}",
        )),
        &match run(
            &PracticeQuestions::new(ask(|_| "Q: Who?\nA: Ada.".into()), 1).with_text_kept(),
            std::slice::from_ref(&source),
        )
        .remove(0)
        {
            Outcome::Kept(pairs) => pairs,
            other => panic!("{other:?}"),
        },
    );
    assert_eq!(completion(kept(&known[0])), "Ada did so. Who?");
    // A later part is asked about too, even if the first has given enough.
    assert!(matches!(outcomes[1], Outcome::Kept(_)));
    assert_eq!(
        reason(
            &run(
                &PracticeQuestions::new(ask(|_| "No idea.".into()), 2),
                &[source]
            )[0]
        ),
        "no question and answer"
    );
}

#[test]
fn rationales_are_verified_against_known_answers() {
    let stage = Rationales::new(ask(|_| "2 and 2 make 4.\nAnswer: 4".into()));
    let outcomes = run(
        &stage,
        &[
            with_answer("2 + 2?", json!(4)),
            with_answer("2 + 3?", json!("5")),
            text("2 + 2?"),
        ],
    );
    assert_eq!(completion(kept(&outcomes[0])), "4");
    assert_eq!(kept(&outcomes[0]).meta["rationale"], "2 and 2 make 4.");
    assert_eq!(kept(&outcomes[0]).meta["verified"], true);
    assert_eq!(reason(&outcomes[1]), "wrong answer");
    assert!(!kept(&outcomes[2]).meta.contains_key("verified"));
    let unreadable = Rationales::new(ask(|_| "The answer is 4.".into()));
    assert_eq!(
        reason(&run(&unreadable, &[text("2 + 2?")])[0]),
        "unreadable"
    );
}

#[test]
fn a_majority_wins_and_a_tie_does_not() {
    let vote = Vote {
        samples: 6,
        least_share: 0.5,
    };
    let answers = |modulus: u64| {
        AnswerPrompts::new(sampled(move |seed| {
            format!("I get {}.", (seed % modulus == 0) as u8)
        }))
        .by_vote(vote)
    };
    let outcome = &run(&answers(1), &[text("0 or 1?")])[0];
    assert_eq!(
        (completion(kept(outcome)), &kept(outcome).meta["vote_share"]),
        ("I get 1.", &json!(1.0))
    );
    let tie = AnswerPrompts::new(sampled(|seed| format!("word{}", seed))).by_vote(vote);
    assert_eq!(reason(&run(&tie, &[text("say something")])[0]), "tie");
    let scattered = AnswerPrompts::new(sampled(|seed| {
        if seed % 3 == 0 {
            "same".into()
        } else {
            format!("word{seed}")
        }
    }));
    let few = scattered.by_vote(Vote {
        samples: 24,
        least_share: 0.9,
    });
    assert_eq!(
        reason(&run(&few, &[text("say something")])[0]),
        "no majority"
    );
}

#[test]
fn a_conversation_is_answered_at_its_end() {
    let record: Record = Content::Messages(vec![
        Message::system("Be kind."),
        Message::user("Hello?"),
        Message::assistant("an old answer"),
    ])
    .into();
    let stage = AnswerPrompts::new(ask(|prompt| format!("You said {prompt}")));
    let outcomes = run(&stage, &[record]);
    let Content::Messages(messages) = &kept(&outcomes[0]).content else {
        panic!("a conversation")
    };
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[0], Message::system("Be kind."));
    assert_eq!(messages[2], Message::assistant("You said Hello?"));
}

#[test]
fn explanations_keep_the_manner_that_they_were_asked_for() {
    let model = ScriptedChat::new("scripted-1", |request| {
        format!("In that manner: {}", request.messages[0].content.len())
    });
    let stage = ExplanationTraces::new(Elicitor::new(Arc::new(model)));
    let questions: Vec<Record> = (0..20).map(|i| text(&format!("question {i}"))).collect();
    let outcomes = run(&stage, &questions);
    let manners: std::collections::BTreeSet<String> = outcomes
        .iter()
        .map(|outcome| match &kept(outcome).content {
            Content::Messages(messages) => messages[0].content.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(manners.len() > 2, "{manners:?}");
}

#[test]
fn evolved_tasks_that_came_to_nothing_are_eliminated() {
    let old = "Write a poem about the sea and the ships on it";
    let cases = [
        (
            "Write a poem about the sea and the ships on it.",
            "not evolved",
        ),
        ("Sing.", "no task"),
        (
            "Here is the rewritten prompt: name three rivers of France",
            "leaked prompt",
        ),
        ("Prove that the sea is a number", "cannot be answered"),
        (
            "Describe three ships of the bronze age in one sentence each",
            "",
        ),
    ];
    for (evolved, expected) in cases {
        let elicitor = ask(move |prompt| match prompt {
            prompt if prompt.starts_with("Rewrite") => evolved.into(),
            prompt if prompt.starts_with("Prove") => "I'm sorry, that is not possible.".into(),
            _ => "Three ships.".into(),
        });
        let outcome = &run(&EvolvePrompts::new(elicitor, Evolution::ALL), &[text(old)])[0];
        if expected.is_empty() {
            assert_eq!(completion(kept(outcome)), "Three ships.");
            assert_eq!(kept(outcome).meta["evolved_from"], old);
            assert_eq!(kept(outcome).provenance().unwrap().len(), 2);
        } else {
            assert_eq!(reason(outcome), expected);
        }
    }
}

#[test]
fn a_task_at_the_limit_of_similarity_is_kept_and_one_above_is_not() {
    // ROUGE-L with the seed: 7 of 10 words on both sides, then 8 of 10.
    let seed = "a b c d e f g h i j";
    let stage = ExpandSeeds::new(
        ask(|_| "1. a b c d e f g x y z\n2. a b c d e f g h y q".into()),
        2,
    );
    let Outcome::Kept(records) = &run(&stage, &[text(seed)])[0] else {
        panic!("kept")
    };
    let tasks: Vec<_> = records
        .iter()
        .map(|record| record.text().into_owned())
        .collect();
    assert_eq!(tasks, [seed, "a b c d e f g x y z"]);
    assert_eq!(records[1].meta["most_similar"], 0.7);
    // What was left out is not forgotten.
    let left_out = &records[0].meta["too_similar"];
    assert_eq!(left_out[0]["task"], "a b c d e f g h y q");
    let overlap = left_out[0]["most_similar"].as_f64().unwrap();
    assert!((overlap - 0.8).abs() < 1e-9, "{overlap}");
}

#[test]
fn a_revised_answer_keeps_the_first_one() {
    let elicitor = ask(|prompt| match prompt {
        prompt if prompt.contains("Critique:") => "4, because 2 and 2 make 4.".into(),
        prompt if prompt.contains("five") => "No problems.".into(),
        _ => "It gives no reason.".into(),
    });
    let records: Vec<Record> = vec![
        Content::completion("2 + 2?", "4").into(),
        Content::completion("say five", "five").into(),
        text("no answer"),
    ];
    let outcomes = run(&CritiqueAndRevise::new(elicitor), &records);
    assert_eq!(completion(kept(&outcomes[0])), "4, because 2 and 2 make 4.");
    assert_eq!(kept(&outcomes[0]).meta["first_answer"], "4");
    assert_eq!(kept(&outcomes[0]).meta["critique"], "It gives no reason.");
    assert_eq!(completion(kept(&outcomes[1])), "five");
    assert_eq!(reason(&outcomes[2]), "no completion");
}

#[test]
fn a_judge_has_to_hold_to_its_verdict_when_the_order_changes() {
    let pairs = |judge: fn(&str) -> String| {
        let judge = ScriptedChat::new("judge", move |request| judge(&request.messages[0].content));
        let answers = sampled(|seed| format!("answer {}", seed % 1000));
        PreferencePairs::new(answers, PreferBy::Judge(Arc::new(judge)))
    };
    let larger = |prompt: &str| {
        let number = |marker: &str| -> u64 {
            let rest = prompt.split_once(marker).unwrap().1;
            rest.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        if number("First answer:") > number("Second answer:") {
            "First.".into()
        } else {
            "Second.".to_owned()
        }
    };
    let outcome = &run(&pairs(larger), &[text("q")])[0];
    let number = |text: &str| text.trim_start_matches("answer ").parse::<u64>().unwrap();
    let other = kept(outcome).meta["rejected_completion"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(number(completion(kept(outcome))) > number(&other));
    assert_eq!(
        reason(&run(&pairs(|_| "first".into()), &[text("q")])[0]),
        "depends on the order"
    );
    assert_eq!(
        reason(&run(&pairs(|_| "both".into()), &[text("q")])[0]),
        "undecided"
    );
}

#[test]
fn the_likelier_answer_is_preferred_where_probabilities_are_given() {
    let stage = |with_tokens: bool| {
        let model = ScriptedChat::with_replies("scripted-1", move |request| {
            let value = (request.seed.unwrap() % 1000) as f32 / 1000.0;
            let mut reply = ChatReply::new(format!("{value}"));
            let chosen = TokenLogProb {
                bytes: vec![b'x'],
                log_prob: -value,
            };
            reply.tokens = with_tokens.then(|| {
                vec![ChatToken {
                    chosen,
                    top: Vec::new(),
                }]
            });
            Ok(reply)
        });
        let elicitor = Elicitor::new(Arc::new(model)).with_sampling(Sampling::temperature(1.0));
        PreferencePairs::new(elicitor, PreferBy::Likelihood)
    };
    let outcome = &run(&stage(true), &[text("q")])[0];
    let number = |text: &str| text.parse::<f32>().unwrap();
    let other = kept(outcome).meta["rejected_completion"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(number(completion(kept(outcome))) < number(&other));
    assert_eq!(
        reason(&run(&stage(false), &[text("q")])[0]),
        "no probabilities"
    );
}

#[test]
fn a_model_that_loses_a_request_is_noticed() {
    #[derive(Debug)]
    struct Lossy;
    impl potstill_core::ChatModel for Lossy {
        fn name(&self) -> &'static str {
            "lossy"
        }
        fn chat(
            &self,
            requests: &[potstill_core::ChatRequest],
        ) -> Vec<Result<ChatReply, ChatError>> {
            requests
                .iter()
                .skip(1)
                .map(|_| Ok(ChatReply::new("math")))
                .collect()
        }
    }
    let stage = LabelRecords::new(Elicitor::new(Arc::new(Lossy)), "topic", ["math", "law"]);
    let outcomes = run(&stage, &["a", "b"].map(text));
    assert!(matches!(
        (&outcomes[0], &outcomes[1]),
        (Outcome::Kept(_), Outcome::Failed(_))
    ));
}
