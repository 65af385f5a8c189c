//! Two scripted models on the same items, with everything that may happen on the way.

use std::sync::atomic::{AtomicUsize, Ordering};

use potstill_core::Message;
use potstill_testkit::ScriptedChat;

use super::*;
use crate::{PairedComparison, PairedOptions, TaskIdentity};

fn items(count: usize) -> Vec<ChatItem> {
    let item = |n: usize| {
        let request = ChatRequest::new(vec![Message::user(format!("{n} + {n}?"))], 8);
        ChatItem {
            cluster: Some(format!("text {}", n / 4)),
            category: Some(if n.is_multiple_of(2) { "even" } else { "odd" }.into()),
            ..ChatItem::new(n.to_string(), request, (2 * n).to_string())
        }
    };
    (0..count).map(item).collect()
}

/// Adds, but for numbers that `stumbles` on.
fn adder(name: &str, stumbles: fn(usize) -> bool) -> ScriptedChat {
    ScriptedChat::new(name, move |request: &ChatRequest| {
        let n: usize = request.messages[0]
            .content
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        if stumbles(n) {
            "no idea".into()
        } else {
            format!(" {}\n", 2 * n)
        }
    })
}

/// Counts what it is asked, and fails from some request on.
struct Failing {
    asked: AtomicUsize,
    from: usize,
}

impl ChatModel for &Failing {
    fn name(&self) -> &'static str {
        "failing"
    }
    fn chat(&self, requests: &[ChatRequest]) -> Vec<Result<ChatReply, ChatError>> {
        let answer = |_: &ChatRequest| match self.asked.fetch_add(1, Ordering::Relaxed) {
            n if n < self.from => Ok(ChatReply::new("0")),
            _ => Err(ChatError::Budget("10 cents".into())),
        };
        requests.iter().map(answer).collect()
    }
}

#[test]
fn two_models_are_compared_on_the_same_items() {
    let folder = tempfile::tempdir().unwrap();
    let items = items(80);
    let run = |model, file: &str| {
        let trial = ChatTrial::run(model, &items, &folder.path().join(file)).unwrap();
        assert_eq!(trial.answers().count(), 80);
        trial.exact_match().accuracy().successes()
    };
    assert_eq!(run(adder("a", |n| n % 10 == 0), "a.jsonl"), 72);

    let scores = |model, file: &str| {
        let trial = ChatTrial::run(model, &items, &folder.path().join(file)).unwrap();
        trial
            .scores(|item, reply| f64::from(u8::from(item.expected == reply.text.trim())))
            .unwrap()
    };
    let (a, b) = (
        scores(adder("a", |n| n % 10 == 0), "a.jsonl"),
        scores(adder("b", |_| false), "b.jsonl"),
    );
    let found = PairedComparison::new(&b, &a, &PairedOptions::new(1)).unwrap();
    assert_eq!((found.overall.items, found.overall.clusters), (80, 20));
    assert!((found.overall.difference - 0.1).abs() < 1e-12);
    assert_eq!(found.overall.mcnemar, None, "items are clustered");
    let names: Vec<&str> = found
        .categories
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["even", "odd"]);
    assert!((found.categories[0].1.difference - 0.2).abs() < 1e-12);
    assert_eq!(found.categories[1].1.p_adjusted, Some(1.0));
}

#[test]
fn a_trial_that_failed_is_not_scored_and_goes_on_where_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let journal = folder.path().join("answers.jsonl");
    let items = items(40);
    let short = Failing {
        asked: AtomicUsize::new(0),
        from: 25,
    };
    let error = ChatTrial::run(&short, &items, &journal).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failing left 15 of 40 items unanswered, item 25 first; run the trial again, the other answers are kept"
    );
    let rich = Failing {
        asked: AtomicUsize::new(0),
        from: 1000,
    };
    let trial = ChatTrial::run(&rich, &items, &journal).unwrap();
    assert_eq!(
        rich.asked.load(Ordering::Relaxed),
        15,
        "only what is missing"
    );
    assert_eq!(trial.answers().count(), 40);
}

#[test]
fn a_judge_that_gives_no_number_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let items = items(2);
    let trial = ChatTrial::run(adder("a", |_| false), &items, &folder.path().join("a")).unwrap();
    let error = trial.scores(|_, _| f64::NAN).unwrap_err();
    assert!(error.to_string().contains("the score NaN"), "{error}");
    let error = ChatTrial::run(adder("a", |_| false), &[], &folder.path().join("a")).unwrap_err();
    assert!(error.to_string().contains("no item"), "{error}");
}

#[test]
fn items_of_one_id_are_refused_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let model = Failing {
        asked: AtomicUsize::new(0),
        from: usize::MAX,
    };
    let twice = [items(2), items(1)].concat();
    let error = ChatTrial::run(&model, &twice, &folder.path().join("answers.jsonl")).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("item id 0 occurs more than once"),
        "{error}"
    );
    assert_eq!(model.asked.load(Ordering::Relaxed), 0);
}

#[test]
fn items_are_of_another_task_when_anything_that_decides_the_answer_changes() {
    let hash = |change: &dyn Fn(&mut ChatItem)| {
        let mut items = items(3);
        change(&mut items[1]);
        TaskIdentity::of_items("sums", "1", &items)
            .unwrap()
            .data_sha256
    };
    let same = hash(&|_| {});
    assert_eq!(hash(&|item| item.request.top_log_probs = Some(3)), same);
    let changes: [&dyn Fn(&mut ChatItem); 13] = [
        &|item| item.id.push('x'),
        &|item| item.expected.push('x'),
        &|item| item.cluster = None,
        &|item| item.category = None,
        &|item| item.request.messages[0].content.push('x'),
        &|item| item.request.max_tokens += 1,
        &|item| item.request.stop.push("\n".into()),
        &|item| item.request.seed = Some(1),
        &|item| item.request.schema = Some(serde_json::json!({"type": "integer"})),
        &|item| item.request.sampling.temperature = 0.7,
        &|item| item.request.sampling.top_k = Some(1),
        &|item| item.request.sampling.top_p = Some(0.9),
        &|item| item.request.sampling.repetition_penalty = 1.1,
    ];
    let mut hashes: Vec<String> = changes.into_iter().map(hash).collect();
    hashes.push(same);
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 14);
}
