//! A smaller model learns from the questions and answers.

use std::time::Instant;

use anyhow::{Context, Result};
use potstill::burn::module::Module;
use potstill::burn::tensor::Device;
use potstill::core::{CausalLm, ChatModel, ChatRequest, Message, TokenBatch, TokenRow, Vocabulary};
use potstill::data::{
    Content, EncodeOptions, Loader, LoaderOptions, PackOptions, Record, encode_records, pack,
};
use potstill::eval::{HeldOut, held_out};
use potstill::losses::{Divergence, HardTargetConfig, SoftTarget};
use potstill::models::{LanguageModel, LayerChoice, StudentSpec, derive_student};
use potstill::teachers::ModelTeacher;
use potstill::train::{Decay, LoaderBatches, Progress, Schedule, Trainer, TrainerConfig};
use potstill_serve::{BatchLimits, LocalChat};

use crate::{Arguments, Teacher};

/// Trains a student with fewer layers, and measures it on the answers to questions that it has not
/// seen, before and after.
pub(crate) fn teach(
    teacher: &Teacher,
    train: &[Record],
    unseen: &[Record],
    arguments: &Arguments,
) -> Result<()> {
    let device = Device::default();
    let spec = StudentSpec::Layers(LayerChoice::EvenlySpaced(arguments.layers));
    let student = derive_student(&teacher.model, &spec, &device.clone().autodiff())?.model;
    println!(
        "\nteacher: {} layers, {} weights; student: {} layers, {} weights",
        teacher.model.n_layers(),
        Module::num_params(&teacher.model),
        student.n_layers(),
        Module::num_params(&student),
    );
    let rows = rows(teacher, train, arguments.seq)?;
    let measured_on = rows_as_batches(teacher, unseen, arguments)?;
    println!(
        "{} questions to learn from, {} to be measured on, {} tokens of answers",
        train.len(),
        unseen.len(),
        measured_on
            .iter()
            .map(|batch| batch.rows.count())
            .sum::<usize>(),
    );
    let measure = |student: &LanguageModel| -> Result<HeldOut> {
        let vocabulary = vocabulary(teacher);
        let batches = measured_on.iter().cloned();
        Ok(held_out(
            student,
            &vocabulary,
            &mut signal(teacher),
            batches,
        )?)
    };
    let before = measure(&student.valid())?;

    let start = Instant::now();
    let steps = arguments.steps;
    let config = TrainerConfig {
        learning_rate: arguments.learning_rate,
        schedule: Schedule {
            warmup: steps / 10,
            decay: Decay::Cosine,
            floor: 0.1,
        },
        seed: arguments.seed,
        ..TrainerConfig::steps(steps)
    };
    let loader = Loader::new(
        rows,
        LoaderOptions::shuffled(arguments.batch, arguments.seed),
    )?;
    let mut trainer = Trainer::with_vocabulary(
        config,
        student,
        &vocabulary(teacher),
        // What the teacher would say without the text at hand, and what it said with it.
        (
            SoftTarget::new(Divergence::ForwardKl),
            HardTargetConfig::new().init()?,
        ),
        signal(teacher),
        LoaderBatches::new(loader, teacher.tokenizer.pad_id(), &device),
    )?
    .callback(Progress::stderr());
    trainer.run()?;
    let student = trainer.student();
    let after = measure(&student)?;

    println!("\nOn the teacher's answers to questions that the student has not seen:");
    println!("  before: {}", line(&before));
    println!("  after:  {}", line(&after));
    println!(
        "  the teacher itself, without the text at hand: perplexity {:.1}",
        after.teacher_perplexity()
    );
    println!("{steps} steps took {:.0} s", start.elapsed().as_secs_f64());
    try_out(teacher, student, &unseen[0])
}

/// What the student says to a question that it has not seen.
fn try_out(teacher: &Teacher, student: LanguageModel, record: &Record) -> Result<()> {
    let Content::Completion { prompt, completion } = &record.content else {
        return Ok(());
    };
    let voice = LocalChat::new(
        "student",
        student,
        teacher.tokenizer.clone(),
        Some(teacher.template.clone()),
        BatchLimits::default(),
    )?;
    let request = ChatRequest::new(vec![Message::user(prompt)], 40);
    let reply = voice
        .chat(&[request])
        .pop()
        .context("one request, one reply")??;
    println!(
        "\n  Q: {prompt}\n  teacher: {completion}\n  student: {}",
        reply.text.trim()
    );
    Ok(())
}

fn vocabulary(teacher: &Teacher) -> Vocabulary {
    Vocabulary {
        head_size: teacher.model.vocab_size(),
        tokenizer: Some(teacher.tokenizer.identity()),
    }
}

/// The teacher's distribution over every token of an answer.
fn signal(teacher: &Teacher) -> ModelTeacher<LanguageModel> {
    ModelTeacher::new(&teacher.model).with_tokenizer(teacher.tokenizer.identity())
}

/// Questions and answers as conversations, of which the answers count.
fn rows(teacher: &Teacher, records: &[Record], seq: usize) -> Result<Vec<TokenRow>> {
    let conversations: Vec<Record> = records
        .iter()
        .map(|record| match &record.content {
            Content::Completion { prompt, completion } => {
                let turns = vec![Message::user(prompt), Message::assistant(completion)];
                Content::Messages(turns).into()
            }
            _ => record.clone(),
        })
        .collect();
    let template = Some(&teacher.template);
    let options = EncodeOptions::default();
    let encoded = encode_records(&conversations, &teacher.tokenizer, template, &options)?;
    Ok(pack(&encoded.documents, seq, &PackOptions::default())?.rows)
}

fn rows_as_batches(
    teacher: &Teacher,
    records: &[Record],
    arguments: &Arguments,
) -> Result<Vec<TokenBatch>> {
    let device = Device::default();
    let rows = rows(teacher, records, arguments.seq)?;
    let batches = rows.chunks(arguments.batch);
    Ok(batches
        .map(|rows| TokenBatch::from_rows(rows, teacher.tokenizer.pad_id(), &device))
        .collect())
}

fn line(measured: &HeldOut) -> String {
    format!(
        "KL to the teacher {:.3} nats/token, same first choice {:.1} %, perplexity {:.1}",
        measured.forward_kl,
        100.0 * measured.top1_agreement,
        measured.student_perplexity(),
    )
}
