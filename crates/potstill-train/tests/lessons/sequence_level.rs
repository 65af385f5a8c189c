//! What a teacher writes, learned as text: from prompts to a student.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use potstill_core::{CausalLm, Sampling, SpecialTokens, TokenBatch, Vocabulary};
use potstill_data::{
    AnswerPrompts, ChatJournal, Content, Elicitor, EncodeOptions, Loader, LoaderOptions,
    PackOptions, Pipeline, PipelineOptions, PreferBy, PreferencePairs, Rationales, Record, Stage,
    TaskPrefixes, TextTokenizer, encode_preferences, encode_rationales, encode_records, pack,
    read_jsonl,
};
use potstill_losses::{HardTarget, Preference, PreferenceConfig, PreferenceLoss};
use potstill_models::{Architecture, LanguageModel, ModelConfig};
use potstill_teachers::{ModelTeacher, NoTeacher};
use potstill_testkit::{ScriptedChat, autodiff_device, plain_device, values};
use potstill_train::{Event, Flow, LoaderBatches, MultitaskBatches, Trainer, TrainerConfig};

const CHARACTERS: &str = " 0123456789+=abcdefghijklmnopqrstuvwxyzAW[]:.#";

fn tokenizer() -> TextTokenizer {
    let mut vocabulary: Vec<String> = CHARACTERS.chars().map(String::from).collect();
    vocabulary.insert(0, "<unk>".to_owned());
    let vocabulary: Vec<String> = vocabulary
        .iter()
        .enumerate()
        .map(|(id, token)| format!("{token:?}: {id}"))
        .collect();
    let specials = SpecialTokens {
        eos: Some("#".to_owned()),
        ..SpecialTokens::default()
    };
    let definition = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": null, "post_processor": null, "decoder": {{"type": "Fuse"}},
            "pre_tokenizer": {{"type": "Split", "pattern": {{"Regex": "."}},
                "behavior": "Isolated", "invert": false}},
            "model": {{"type": "WordLevel", "unk_token": "<unk>", "vocab": {{{}}}}}}}"#,
        vocabulary.join(", ")
    );
    let tokenizer = TextTokenizer::from_json(&definition).unwrap();
    tokenizer.with_special_tokens(specials).unwrap()
}

fn student(seed: u64) -> LanguageModel {
    let config = ModelConfig::new(Architecture::Llama, vocab(), 16, 1, 2);
    LanguageModel::init(&config, seed, &autodiff_device())
}

fn vocab() -> usize {
    tokenizer().vocab_size()
}

fn prompts() -> Vec<Record> {
    (1..=6)
        .map(|n| Content::Text(format!("{n}+{n}=")).into())
        .collect()
}

/// The records that a stage makes of the prompts.
fn elicited(stage: impl Stage + 'static, folder: &Path) -> Vec<Record> {
    let pipeline = Pipeline::new(PipelineOptions::default()).stage(stage);
    let records = prompts().into_iter().map(Ok::<_, std::convert::Infallible>);
    pipeline.run(records, folder).unwrap();
    let records = read_jsonl(folder.join("output.jsonl")).unwrap();
    records.collect::<Result<_, _>>().unwrap()
}

fn config(steps: usize) -> TrainerConfig {
    TrainerConfig {
        learning_rate: 0.01,
        ..TrainerConfig::steps(steps)
    }
}

fn sum_of(prompt: &str) -> u32 {
    let digits = prompt.lines().last().unwrap().split_once('+').unwrap().0;
    2 * digits.trim().parse::<u32>().unwrap()
}

#[test]
fn a_student_learns_what_its_teacher_wrote_and_pays_for_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let taught = |run: &str| -> (Vec<Record>, usize) {
        let teacher = Arc::new(ScriptedChat::new("teacher", |request| {
            sum_of(&request.messages[0].content).to_string()
        }));
        // Each answer is on disk before anybody reads it.
        let journal = ChatJournal::open(folder.path().join("paid.jsonl"), Arc::clone(&teacher));
        let elicitor = Elicitor::new(Arc::new(journal.unwrap()));
        let records = elicited(AnswerPrompts::new(elicitor), &folder.path().join(run));
        (records, teacher.requests())
    };
    let (records, requests) = taught("first");
    assert_eq!(requests, 6);
    assert_eq!(taught("again").1, 0, "nothing is paid for twice");

    let encoded = encode_records(&records, &tokenizer(), None, &EncodeOptions::default());
    let packed = pack(&encoded.unwrap().documents, 16, &PackOptions::default()).unwrap();
    let loader = Loader::new(packed.rows, LoaderOptions::shuffled(2, 1)).unwrap();
    let source = LoaderBatches::new(loader, 0, &plain_device());
    let teacher = NoTeacher::new(Vocabulary::of_size(vocab()));
    let (objective, losses) = (HardTarget::new(), Losses::default());
    let mut trainer = Trainer::new(config(60), student(1), objective, teacher, source)
        .unwrap()
        .callback(losses.callback());
    trainer.run().unwrap();
    let losses = losses.of("cross_entropy");
    assert!(losses[59] < 0.3 * losses[0], "{} {}", losses[0], losses[59]);
}

#[test]
fn answers_and_reasons_share_a_batch_as_their_weights_say() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = ScriptedChat::new("teacher", |request| {
        let sum = sum_of(&request.messages[0].content);
        format!("twice {} is {sum}\nAnswer: {sum}", sum / 2)
    });
    let template = potstill_data::PromptTemplate::new("plain", "{{ question }}");
    let stage = Rationales::new(Elicitor::new(Arc::new(teacher))).with_template(template);
    let records = elicited(stage, folder.path());
    let rows = encode_rationales(
        &records,
        &TaskPrefixes::default(),
        &tokenizer(),
        None,
        &EncodeOptions::default(),
    );
    let loader = Loader::new(rows.unwrap().rows, LoaderOptions::shuffled(3, 1)).unwrap();
    let source = MultitaskBatches::new(loader, &[0.5, 0.5], 0, &plain_device()).unwrap();
    let teacher = NoTeacher::new(Vocabulary::of_size(vocab()));
    let losses = Losses::default();
    let mut trainer = Trainer::new(config(80), student(1), HardTarget::new(), teacher, source)
        .unwrap()
        .callback(losses.callback());
    trainer.run().unwrap();
    let losses = losses.of("cross_entropy");
    assert!(losses[79] < 0.3 * losses[0], "{} {}", losses[0], losses[79]);
}

/// Pairs of a right and a wrong sum, as [`PreferencePairs`] finds them.
fn pairs(folder: &Path) -> Loader {
    let teacher = ScriptedChat::new("teacher", |request| {
        let wrong = request.seed.unwrap() % 2;
        format!("{}", sum_of(&request.messages[0].content) + wrong as u32)
    });
    let judge = ScriptedChat::new("judge", |request| {
        let lines: Vec<&str> = request.messages[0].content.lines().collect();
        let sum = lines
            .iter()
            .find_map(|line| line.contains('+').then(|| sum_of(line)));
        let first = lines
            .iter()
            .position(|line| *line == sum.unwrap().to_string());
        let second = lines.iter().position(|line| *line == "Second answer:");
        if first < second { "first" } else { "second" }.to_owned()
    });
    let teacher = Elicitor::new(Arc::new(teacher)).with_sampling(Sampling::temperature(1.0));
    let stage = PreferencePairs::new(teacher, PreferBy::Judge(Arc::new(judge)));
    let records = elicited(stage, folder);
    let encoded = encode_preferences(&records, &tokenizer(), None, &EncodeOptions::default());
    Loader::new(encoded.unwrap().rows, LoaderOptions::in_order(2)).unwrap()
}

fn preference(loss: PreferenceLoss) -> Preference {
    PreferenceConfig::new().with_loss(loss).init().unwrap()
}

#[test]
fn a_student_comes_to_prefer_what_it_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = pairs(folder.path()).rows().to_vec();
    assert!(rows.len() > 1, "{} pairs", rows.len());
    for loss in [PreferenceLoss::Dpo { smoothing: 0.0 }, PreferenceLoss::Ipo] {
        let loader = Loader::new(rows.clone(), LoaderOptions::shuffled(8, 1)).unwrap();
        let source = LoaderBatches::new(loader, 0, &plain_device());
        // The reference is the student as it was.
        let reference = ModelTeacher::new(&student(1));
        let losses = Losses::default();
        let objective = preference(loss);
        let mut trainer = Trainer::new(config(30), student(1), objective, reference, source)
            .unwrap()
            .callback(losses.callback());
        trainer.run().unwrap();
        let accuracy = losses.of("preference_accuracy");
        assert!(accuracy[0] == 0.0 && accuracy[29] > 0.999, "{accuracy:?}");
        let margin = losses.of("reward_margin");
        assert!(margin[0].abs() < 1e-5 && margin[29] > 0.1, "{margin:?}");
    }
}

#[test]
fn a_step_on_pairs_is_the_same_however_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = pairs(folder.path()).rows()[..2].to_vec();
    let trained = |batch_size: usize| {
        let loader = Loader::new(rows.clone(), LoaderOptions::shuffled(batch_size, 1)).unwrap();
        let source = LoaderBatches::new(loader, 0, &plain_device());
        let config = TrainerConfig {
            accumulation: 2 / batch_size,
            ..config(3)
        };
        let objective = preference(PreferenceLoss::Dpo { smoothing: 0.0 });
        let reference = ModelTeacher::new(&student(2));
        let trainer = Trainer::new(config, student(1), objective, reference, source);
        let mut trainer = trainer.unwrap();
        trainer.run().unwrap();
        let batch = TokenBatch::from_rows(&rows, 0, &plain_device());
        values(&trainer.student().row_logits(&batch))
    };
    let largest = trained(1)
        .iter()
        .zip(trained(2))
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(largest < 1e-3, "{largest}");
}

/// The terms of each step.
#[derive(Default)]
struct Losses(Rc<RefCell<Vec<Terms>>>);

type Terms = Vec<(String, f64)>;

impl Losses {
    fn callback(&self) -> impl FnMut(&Event<'_>) -> Flow + use<> {
        let sink = Rc::clone(&self.0);
        move |event| {
            if let Event::Step { report, .. } = event {
                let terms = report.terms.iter();
                let terms = terms.map(|term| (term.name.clone(), term.mean)).collect();
                sink.borrow_mut().push(terms);
            }
            Flow::Continue
        }
    }

    fn of(&self, name: &str) -> Vec<f64> {
        let steps = self.0.borrow();
        let term = |terms: &Terms| {
            let found = terms.iter().find(|(term, _)| term == name);
            found
                .unwrap_or_else(|| panic!("no term {name} in {terms:?}"))
                .1
        };
        steps.iter().map(term).collect()
    }
}
