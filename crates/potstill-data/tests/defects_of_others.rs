//! What is known to go wrong in pipelines like these, each as a test.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use potstill_core::{ChatModel, ChatRequest, Message};
use potstill_data::{
    AnswerPrompts, BalanceClasses, ChatJournal, Content, Corpus, Elicitor, Ending, Error,
    GlobalStage, LabelRecords, Manifest, Outcome, Pipeline, PipelineOptions, PromptTemplate,
    Record, Stage, StageContext, StageError,
};
use potstill_testkit::ScriptedChat;
use serde_json::{Value, json};

fn record(text: impl Into<String>) -> Record {
    Content::Text(text.into()).into()
}

fn records(count: usize) -> impl Iterator<Item = Result<Record, Error>> {
    (0..count).map(|i| Ok(record(format!("record {i}"))))
}

fn options() -> PipelineOptions {
    PipelineOptions {
        chunk_records: 4,
        clock: || Timestamp::UNIX_EPOCH,
        ..PipelineOptions::default()
    }
}

/// Asks, and then reads the answer in a way that may be wrong.
struct Parse {
    model: Arc<dyn ChatModel>,
    is_broken: bool,
}

impl Stage for Parse {
    fn name(&self) -> &'static str {
        "parse"
    }
    fn configuration(&self) -> Value {
        json!({"is_broken": self.is_broken})
    }
    fn is_costly(&self) -> bool {
        true
    }
    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        let request = |record: &Record| ChatRequest::new(vec![Message::user(record.text())], 8);
        let requests: Vec<ChatRequest> = records.iter().map(request).collect();
        let replies = self.model.chat(&requests);
        if self.is_broken {
            return Err(StageError::new("invalid literal for int()"));
        }
        let answer = |reply: Result<potstill_core::ChatReply, _>| match reply {
            Ok(reply) => Ok(Outcome::kept(record(reply.text))),
            Err(error) => Err(StageError::new(error)),
        };
        replies.into_iter().map(answer).collect()
    }
}

#[test]
fn answers_are_kept_when_reading_them_fails() {
    let folder = tempfile::tempdir().unwrap();
    let script = Arc::new(ScriptedChat::new("teacher", |_| "42".into()));
    let run = |is_broken| {
        let journal = folder.path().join("answers.jsonl");
        let model = Arc::new(ChatJournal::open(journal, Arc::clone(&script)).unwrap());
        Pipeline::new(options())
            .stage(Parse { model, is_broken })
            .run(records(4), folder.path().join("run"))
    };
    assert!(run(true).is_err());
    assert_eq!(script.requests(), 4);
    // Another parser is another stage, and the answers are those that were paid for.
    assert_eq!(run(false).unwrap().output_records, 4);
    assert_eq!(script.requests(), 4);
}

/// Crashes on the second chunk.
struct Crash(AtomicUsize);

impl Stage for Crash {
    fn name(&self) -> &'static str {
        "crash"
    }
    fn configuration(&self) -> Value {
        json!({})
    }
    fn is_costly(&self) -> bool {
        true
    }
    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        if self.0.fetch_add(1, Ordering::Relaxed) == 1 {
            return Err(StageError::new("out of memory"));
        }
        Ok(records.into_iter().map(Outcome::kept).collect())
    }
}

#[test]
fn a_crashed_stage_stops_the_run_and_leaves_no_empty_rows() {
    let folder = tempfile::tempdir().unwrap();
    let crash = Crash(AtomicUsize::new(0));
    let result = Pipeline::new(options())
        .stage(crash)
        .run(records(12), folder.path());
    assert!(
        result
            .unwrap_err()
            .to_string()
            .contains("\"crash\" cannot work")
    );
    assert!(!folder.path().join("output.jsonl").exists());
    let manifest = std::fs::read(folder.path().join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_slice(&manifest).unwrap();
    assert!(matches!(manifest.ending, Ending::Stopped(_)));
    assert_eq!(manifest.stages[0].records_kept, 4);
    // What was done is found again, and the rest follows.
    let healed = Crash(AtomicUsize::new(2));
    let manifest = Pipeline::new(options())
        .stage(healed)
        .run(records(12), folder.path());
    assert_eq!(manifest.unwrap().output_records, 12);
}

#[test]
fn an_answer_that_cannot_be_read_is_rejected_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = ScriptedChat::new("teacher", |request| {
        let last = &request.messages[request.messages.len() - 1].content;
        if last.contains("record 3") {
            "perhaps"
        } else {
            "good"
        }
        .to_owned()
    });
    let stage = LabelRecords::new(Elicitor::new(Arc::new(teacher)), "quality", ["good", "bad"]);
    let manifest = Pipeline::new(options())
        .stage(stage)
        .run(records(6), folder.path())
        .unwrap();
    assert_eq!(manifest.output_records, 5);
    assert_eq!(manifest.stages[0].rejected.values().sum::<u64>(), 1);
    let rejected = std::fs::read_to_string(folder.path().join("rejected.jsonl")).unwrap();
    let rejected: Value = serde_json::from_str(&rejected).unwrap();
    assert_eq!(rejected["record"]["text"], "record 3");
}

#[test]
fn braces_and_quotes_in_a_text_do_no_harm_to_a_prompt() {
    let text = "{\n \"question\"} {{ text }} {% raw %} %s \\";
    let template = PromptTemplate::new("ask", "Answer: {{ text }}");
    let prompt = template.render(json!({"text": text})).unwrap();
    assert_eq!(prompt, format!("Answer: {text}"));
}

#[test]
fn classes_are_balanced_by_weights_and_never_by_copies() {
    let rows: Vec<Record> = (0..10)
        .map(|i| {
            let mut record = record(format!("record {i}"));
            record.meta.insert(
                "class".into(),
                json!(if i == 0 { "rare" } else { "common" }),
            );
            record
        })
        .collect();
    let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>> + '_> {
        Box::new(rows.iter().cloned().map(Ok))
    };
    let clock = || Timestamp::UNIX_EPOCH;
    let stage = BalanceClasses::equal("class");
    let mut verdict = stage
        .survey(Corpus::new(&read), &StageContext::new(0, &clock))
        .unwrap();
    let mut weights = Vec::new();
    for (row, record) in (0..).zip(&rows) {
        let Outcome::Kept(kept) = verdict(row, record.clone()) else {
            panic!("balancing rejects nothing")
        };
        assert_eq!(kept.len(), 1);
        weights.push(kept[0].weight);
    }
    let common: f32 = weights[1..].iter().sum();
    assert!((weights[0] - common).abs() < 1e-4, "{weights:?}");
}

#[test]
fn another_teacher_or_template_is_never_answered_from_an_old_chunk() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, template: &str| {
        let teacher = Arc::new(ScriptedChat::new(name, |_| "fine".into()));
        let stage = AnswerPrompts::new(Elicitor::new(Arc::clone(&teacher) as Arc<dyn ChatModel>))
            .with_template(PromptTemplate::new("mine", template));
        Pipeline::new(options())
            .stage(stage)
            .run(records(2), folder.path())
            .unwrap();
        teacher.requests()
    };
    assert_eq!(run("a", "{{ question }}"), 2);
    assert_eq!(run("a", "{{ question }}"), 0);
    assert_eq!(run("a", "Please: {{ question }}"), 2);
    assert_eq!(run("b", "{{ question }}"), 2);
}
