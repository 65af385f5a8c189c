//! The same lesson between two checkpoints.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use potstill::burn::module::Module;
use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::{Objective, Sampling, Teacher, TokenRow, Vocabulary};
use potstill::data::{
    ChatTemplate, DialoguePrompts, EncodeOptions, Lesson, LessonOptions, Limits, Loader,
    LoaderOptions, PackOptions, Participant, QuizOptions, TextTokenizer, Transcript,
    encode_records, pack, take_quiz,
};
use potstill::losses::{Divergence, HardTargetConfig, SoftTarget};
use potstill::models::{Checkpoint, LanguageModel};
use potstill::teachers::{ModelTeacher, NoTeacher};
use potstill::train::{LoaderBatches, Progress, Trainer, TrainerConfig};
use potstill_serve::{BatchLimits, LocalChat};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::page::{self, Page};
use crate::sums::{Grading, syllabus};
use crate::{Arguments, command_line, percent};

/// Tokens of an answer in the quiz.
const QUIZ_TOKENS: usize = 48;

/// Positions in a training row.
const ROW: usize = 512;

/// A checkpoint and what it takes to talk to it.
struct Opened {
    name: String,
    model: LanguageModel,
    tokenizer: TextTokenizer,
    template: ChatTemplate,
}

impl Opened {
    fn read(path: &Path) -> Result<Self> {
        let checkpoint = Checkpoint::open(path)?;
        let source = checkpoint
            .chat_template()?
            .with_context(|| format!("{} has no chat template", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self {
            name: name.into_owned(),
            model: checkpoint.language_model(FloatDType::F32, &Device::default())?,
            tokenizer: checkpoint_tokenizer(&checkpoint)?,
            template: ChatTemplate::new(source, checkpoint.special_tokens()?)?,
        })
    }

    fn voice(&self, model: &LanguageModel) -> Result<LocalChat> {
        let template = Some(self.template.clone());
        let limits = BatchLimits::default();
        let tokenizer = self.tokenizer.clone();
        Ok(LocalChat::new(
            &self.name,
            model.clone(),
            tokenizer,
            template,
            limits,
        )?)
    }
}

/// Holds the lesson, trains the student on it, and asks it before and after.
pub(crate) fn run(arguments: &Arguments, teacher: &Path, out: &Path) -> Result<()> {
    let student_path = arguments.student.as_deref().unwrap_or(teacher);
    let mut rng = ChaCha8Rng::seed_from_u64(arguments.seed);
    let questions = arguments.questions.min(40);
    let syllabus = syllabus(questions, Grading::LastNumber, &mut rng)?;
    let teacher = Opened::read(teacher)?;
    let student = Opened::read(student_path)?;
    println!(
        "{} teaches {}: {}",
        teacher.name, student.name, syllabus.title
    );

    let quiz = |model: &LanguageModel| -> Result<_> {
        let options = QuizOptions {
            max_tokens: QUIZ_TOKENS,
            ..QuizOptions::default()
        };
        Ok(take_quiz(
            &student.voice(model)?,
            &syllabus,
            None,
            &options,
        )?)
    };
    let before = quiz(&student.model)?;
    println!("quiz before: {}", percent(&before));

    let start = Instant::now();
    let participants = vec![
        Participant::teacher("Ada", Arc::new(teacher.voice(&teacher.model)?)),
        Participant::student("Bob", Arc::new(student.voice(&student.model)?)),
    ];
    let options = LessonOptions {
        limits: Limits {
            turns: 14,
            turn_tokens: 140,
            ..Limits::default()
        },
        sampling: Sampling {
            top_p: Some(0.9),
            ..Sampling::temperature(0.7)
        },
        seed: arguments.seed,
        log_probs: true,
        ..LessonOptions::default()
    };
    let lesson = Lesson::new(syllabus.clone(), participants, options)?;
    let transcript = lesson.hold_in(out.join("lesson.json"), |so_far| {
        eprintln!(
            "{} turns, {} stopped",
            so_far.turns.len(),
            so_far.rejected.len()
        );
    })?;
    let talked = start.elapsed().as_secs_f64();
    println!(
        "lesson: {} turns in {talked:.0} s, key facts told {:.0} %, said back {:.0} %",
        transcript.turns.len(),
        100.0 * transcript.coverage.told(),
        100.0 * transcript.coverage.said_back(),
    );
    println!("stopped by guards: {}", stopped(&transcript));
    println!("ending: {}", page::ending(transcript.ending.as_ref()));

    let mut quizzes = vec![(format!("{}, before", student.name), before)];
    let opening = DialoguePrompts::default()
        .opening
        .render(serde_json::json!({ "title": syllabus.title }))?;
    let records = transcript.records(None, &opening, 64)?;
    let counts = !transcript.turns.is_empty();
    let start = Instant::now();
    if counts {
        let options = EncodeOptions::default();
        let template = Some(&student.template);
        let encoded = encode_records(&records, &student.tokenizer, template, &options)?;
        let rows = pack(&encoded.documents, ROW, &PackOptions::default())?.rows;
        // A teacher that reads the same tokens gives its probabilities for each of them. One with the
        // same weights has nothing to add to its own words.
        let speaks_alike = teacher.tokenizer.identity() == student.tokenizer.identity();
        let taught = if speaks_alike && arguments.student.is_some() {
            println!("the student learns the teacher's distribution over every token of its turns");
            let distributions =
                ModelTeacher::new(&teacher.model).with_tokenizer(teacher.tokenizer.identity());
            let objective = SoftTarget::new(Divergence::ForwardKl);
            train(&student, objective, distributions, rows, arguments)?
        } else {
            println!("the student learns the teacher's words");
            let nobody = NoTeacher::new(vocabulary(&student));
            train(
                &student,
                HardTargetConfig::new().init()?,
                nobody,
                rows,
                arguments,
            )?
        };
        let after = quiz(&taught)?;
        println!(
            "quiz after {} steps ({:.0} s): {}",
            arguments.checkpoint_steps,
            start.elapsed().as_secs_f64(),
            percent(&after)
        );
        quizzes.push((format!("{}, after", student.name), after));
    } else {
        println!("nothing was said that could be learned, so nothing is trained");
    }

    let figures = vec![
        ("turns".into(), transcript.turns.len().to_string()),
        (
            "key facts told".into(),
            format!("{:.0} %", 100.0 * transcript.coverage.told()),
        ),
        (
            "key facts said back".into(),
            format!("{:.0} %", 100.0 * transcript.coverage.said_back()),
        ),
        (
            "turns stopped by guards".into(),
            transcript.rejected.len().to_string(),
        ),
    ];
    let page = Page {
        title: "A lesson between two small models",
        summary: format!(
            "{} taught {} {} for {} turns. {} Then the student was trained on what the teacher had said.",
            teacher.name,
            student.name,
            syllabus.title,
            transcript.turns.len(),
            page::ending(transcript.ending.as_ref()),
        ),
        figures,
        quizzes: quizzes
            .iter()
            .map(|(name, result)| (name.clone(), result))
            .collect(),
        listed: 8,
        command: command_line(),
    };
    let path = out.join("lesson.html");
    page::write(
        &path,
        &page,
        &syllabus,
        &[("The lesson".into(), &transcript)],
    )?;
    println!("the lesson to read: {}", path.display());
    Ok(())
}

/// Trains the student on the rows of the lesson.
fn train(
    student: &Opened,
    objective: impl Objective,
    teacher: impl Teacher + 'static,
    rows: Vec<TokenRow>,
    arguments: &Arguments,
) -> Result<LanguageModel> {
    let config = TrainerConfig {
        learning_rate: 2e-5,
        seed: arguments.seed,
        ..TrainerConfig::steps(arguments.checkpoint_steps)
    };
    let loader = Loader::new(rows, LoaderOptions::shuffled(1, arguments.seed))?;
    let source = LoaderBatches::new(loader, student.tokenizer.pad_id(), &Device::default());
    let model = student.model.clone().train();
    let vocabulary = vocabulary(student);
    let mut trainer =
        Trainer::with_vocabulary(config, model, &vocabulary, objective, teacher, source)?
            .callback(Progress::stderr());
    trainer.run()?;
    Ok(trainer.student())
}

fn vocabulary(student: &Opened) -> Vocabulary {
    Vocabulary {
        head_size: student.model.config().vocab_size,
        tokenizer: Some(student.tokenizer.identity()),
    }
}

/// Guards and how often each has stopped a turn or warned.
fn stopped(transcript: &Transcript) -> String {
    let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for rejected in &transcript.rejected {
        counts.entry(&rejected.finding.guard).or_default().0 += 1;
    }
    for warning in transcript.turns.iter().flat_map(|turn| &turn.warnings) {
        counts.entry(&warning.guard).or_default().1 += 1;
    }
    let counts: Vec<String> = counts
        .into_iter()
        .map(|(guard, (rejected, warned))| format!("{guard} {rejected} (warned {warned})"))
        .collect();
    if counts.is_empty() {
        return "none".into();
    }
    counts.join(", ")
}
