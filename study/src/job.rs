//! What a worker is asked to do, and what it answers: one JSON object a line.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use potstill::losses::Divergence;
use serde::{Deserialize, Serialize};

/// What is learned.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task {
    /// Adding two numbers, from the quickstart's teacher.
    Addition,
    /// English, from SmolLM2-135M.
    Language,
}

impl Task {
    /// Of folders and commands.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Addition => "addition",
            Self::Language => "language",
        }
    }
}

/// A way of learning it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arm {
    /// The few labels there are, no teacher.
    LabelsOnly,
    /// The right answers to the questions that the other arms ask the teacher: what the questions alone
    /// are worth. No teacher.
    GoldAnswers,
    /// The teacher's text as labels (Kim and Rush, arXiv:1606.07947).
    SequenceLevel,
    /// KL(p‖q).
    ForwardKl,
    /// KL(q‖p).
    ReverseKl,
    /// The generalized Jensen-Shannon divergence with β = ½.
    Jsd,
    /// KL(p‖αp + (1−α)q) with α = 0.1 (arXiv:2402.03898).
    Skew,
    /// Half of the answers are the student's own, with the divergence of the arm before: TRL's
    /// defaults for GKD (arXiv:2306.13649).
    OnPolicy,
    /// The same with hints from within.
    OnPolicyHints,
    /// Forward KL from the other initialization: pruned where the task starts at random, random where
    /// it starts pruned.
    OtherStart,
}

impl Arm {
    /// The arms of a task, in the order of the tables.
    pub(crate) fn of(task: Task) -> Vec<Self> {
        let mut arms = vec![
            Self::LabelsOnly,
            Self::GoldAnswers,
            Self::SequenceLevel,
            Self::ForwardKl,
            Self::ReverseKl,
            Self::Jsd,
            Self::Skew,
            Self::OnPolicy,
            Self::OnPolicyHints,
            Self::OtherStart,
        ];
        if task == Task::Language {
            // Text is its own label: there are no questions with an answer that somebody withheld.
            arms.retain(|arm| *arm != Self::GoldAnswers);
        }
        arms
    }

    /// What it minimizes between teacher and student; nothing where labels are learned.
    pub(crate) fn divergence(self) -> Result<Option<Divergence>> {
        Ok(match self {
            Self::LabelsOnly | Self::GoldAnswers | Self::SequenceLevel => None,
            Self::ForwardKl | Self::OtherStart => Some(Divergence::ForwardKl),
            Self::ReverseKl => Some(Divergence::ReverseKl),
            Self::Skew => Some(Divergence::skew_forward_kl(0.1)?),
            Self::Jsd | Self::OnPolicy | Self::OnPolicyHints => {
                Some(Divergence::generalized_jsd(0.5)?)
            }
        })
    }

    /// Whether a part of the text is the student's own.
    pub(crate) fn is_on_policy(self) -> bool {
        matches!(self, Self::OnPolicy | Self::OnPolicyHints)
    }

    /// How tables call it.
    pub(crate) fn title(self, task: Task) -> &'static str {
        match (self, task) {
            (Self::LabelsOnly, _) => "labels only",
            (Self::GoldAnswers, _) => "right answers (control)",
            (Self::SequenceLevel, _) => "sequence level",
            (Self::ForwardKl, _) => "forward KL",
            (Self::ReverseKl, _) => "reverse KL",
            (Self::Jsd, _) => "JSD ½",
            (Self::Skew, _) => "skew 0.1",
            (Self::OnPolicy, _) => "on-policy, JSD ½",
            (Self::OnPolicyHints, _) => "on-policy + hints",
            (Self::OtherStart, Task::Addition) => "forward KL, pruned start",
            (Self::OtherStart, Task::Language) => "forward KL, random start",
        }
    }
}

/// One student to be trained and measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) task: Task,
    pub(crate) arm: Arm,
    /// Of weights, order and labels; 0 is for choosing the learning rate, and nothing else.
    pub(crate) seed: u64,
    pub(crate) learning_rate: f64,
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arm = self.arm.title(self.task);
        write!(
            f,
            "{arm}, seed {}, rate {:.0e}",
            self.seed, self.learning_rate
        )
    }
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// On items that serve to choose the learning rate.
    pub(crate) validation: f64,
    /// On items that serve nothing else, by name.
    pub(crate) test: BTreeMap<String, f64>,
    /// Processor time of training, the teacher's share not included.
    pub(crate) student_seconds: f64,
    /// Processor time of asking the teacher.
    pub(crate) teacher_seconds: f64,
    /// Positions that the teacher read.
    pub(crate) teacher_positions: usize,
    /// Positions that counted for the student.
    pub(crate) rows: usize,
}
