//! A lesson as a page that needs nothing but a browser.

use std::fs;
use std::path::Path;

use anyhow::Result;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use potstill::data::{Answer, LessonEnding, Part, QuizResult, Syllabus, Transcript};
use serde::Serialize;
use serde_json::{Value, json};

/// What the page says besides the lessons.
#[derive(Debug, Serialize)]
pub(crate) struct Page<'a> {
    /// Its heading.
    pub(crate) title: &'a str,
    /// What was done, in a few sentences.
    pub(crate) summary: String,
    /// Figures: what, and how much.
    pub(crate) figures: Vec<(String, String)>,
    /// Names of the quizzes and their results, the first one before everything else.
    pub(crate) quizzes: Vec<(String, &'a QuizResult)>,
    /// Questions of the quiz that are listed.
    pub(crate) listed: usize,
    /// The command that made it.
    pub(crate) command: String,
}

/// Writes the page with these lessons, each under a heading.
pub(crate) fn write(
    path: &Path,
    page: &Page<'_>,
    syllabus: &Syllabus,
    lessons: &[(String, &Transcript)],
) -> Result<()> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    let lessons: Vec<Value> = lessons
        .iter()
        .map(|(heading, transcript)| lesson(heading, transcript, syllabus))
        .collect();
    let scores: Vec<Value> = page
        .quizzes
        .iter()
        .map(|(name, result)| {
            let right = result
                .answers
                .iter()
                .filter(|answer| answer.correct)
                .count();
            json!({
                "name": name, "percent": 100.0 * result.score(), "right": right,
                "all": result.answers.len(),
            })
        })
        .collect();
    let html = environment.render_str(
        include_str!("page.html"),
        Serde(json!({
            "page": page,
            "lessons": lessons,
            "scores": scores,
            "questions": questions(page, syllabus),
        })),
    )?;
    fs::write(path, html)?;
    Ok(())
}

fn lesson(heading: &str, transcript: &Transcript, syllabus: &Syllabus) -> Value {
    let mut topic = None;
    let turns: Vec<Value> = transcript
        .turns
        .iter()
        .enumerate()
        .map(|(number, turn)| {
            let begins = topic.replace(turn.topic) != Some(turn.topic);
            let rejected: Vec<Value> = attempts(transcript, number);
            json!({
                "number": number + 1,
                "speaker": turn.speaker,
                "teaches": turn.part == Part::Teacher,
                "text": turn.text,
                "topic": begins.then(|| &syllabus.topics[turn.topic].title),
                "warnings": turn.warnings,
                "rejected": rejected,
            })
        })
        .collect();
    let facts: Vec<Value> = syllabus
        .topics
        .iter()
        .zip(&transcript.coverage.topics)
        .flat_map(|(topic, covered)| topic.facts.iter().zip(covered))
        .map(|(fact, covered)| {
            json!({
                "text": fact.text,
                "told": covered.told.map(|turn| turn + 1),
                "said_back": covered.said_back.map(|turn| turn + 1),
            })
        })
        .collect();
    let speakers: Vec<Value> = transcript
        .speakers
        .iter()
        .map(|one| json!({"name": one.name, "part": one.part, "model": one.model}))
        .collect();
    json!({
        "heading": heading,
        "speakers": speakers,
        "turns": turns,
        "unfinished": attempts(transcript, transcript.turns.len()),
        "facts": facts,
        "curve": curve(transcript),
        "ending": ending(transcript.ending.as_ref()),
        "tokens": transcript.usage().prompt_tokens + transcript.usage().completion_tokens,
        "began": format!("{:.0}", transcript.began),
    })
}

fn attempts(transcript: &Transcript, turn: usize) -> Vec<Value> {
    let rejected = transcript.rejected.iter();
    rejected
        .filter(|rejected| rejected.turn == turn)
        .map(|rejected| json!(rejected))
        .collect()
}

/// Why a lesson ended, in words.
pub(crate) fn ending(ending: Option<&LessonEnding>) -> String {
    match ending {
        None => "It goes on.".into(),
        Some(LessonEnding::Covered) => "Every key fact was covered.".into(),
        Some(LessonEnding::Turns) => "There were as many turns as were allowed.".into(),
        Some(LessonEnding::Tokens) => "There were as many tokens as were allowed.".into(),
        Some(LessonEnding::Guard { guard, message }) => {
            format!("The guard \"{guard}\" ended it: {message}.")
        }
        Some(other) => format!("{other:?}"),
    }
}

/// Width and height of the plot of a curve, in the units of its drawing.
const PLOT: (f64, f64) = (400.0, 100.0);

/// The shares of key facts after each turn, as steps.
fn curve(transcript: &Transcript) -> Value {
    let turns = transcript.turns.len().max(1) as f64;
    let steps = |share: fn(&potstill::data::Turn) -> f64| {
        let mut points = format!("0,{}", PLOT.1);
        let mut height = PLOT.1;
        for (number, turn) in transcript.turns.iter().enumerate() {
            let x = PLOT.0 * (number + 1) as f64 / turns;
            points.push_str(&format!(" {x:.1},{height:.1}"));
            height = PLOT.1 * (1.0 - share(turn));
            points.push_str(&format!(" {x:.1},{height:.1}"));
        }
        points
    };
    json!({
        "told": steps(|turn| turn.told),
        "said_back": steps(|turn| turn.said_back),
        "turns": transcript.turns.len(),
        "told_percent": 100.0 * transcript.coverage.told(),
        "said_back_percent": 100.0 * transcript.coverage.said_back(),
    })
}

fn questions(page: &Page<'_>, syllabus: &Syllabus) -> Vec<Value> {
    let listed = syllabus.quiz.iter().take(page.listed);
    listed
        .map(|question| {
            let right = match &question.answer {
                Answer::Number { value, .. } => value.to_string(),
                Answer::Text { accepted } => accepted.join(" or "),
                Answer::Choice { options, correct } => options[*correct].clone(),
                Answer::Judged { reference } => reference.clone(),
            };
            let answers: Vec<Value> = page
                .quizzes
                .iter()
                .filter_map(|(_, result)| {
                    let mut answers = result.answers.iter();
                    let answer = answers.find(|answer| answer.question == question.id)?;
                    Some(json!({"text": answer.answer, "correct": answer.correct}))
                })
                .collect();
            json!({"question": question.prompt, "right": right, "answers": answers})
        })
        .collect()
}
