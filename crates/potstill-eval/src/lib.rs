//! Is the student good, and may it ship: metrics, statistics, profiles, reports, gates and a registry.
//!
//! - [`held_out`] compares student and teacher token by token: forward KL, top-1 agreement,
//!   likelihood of the targets.
//! - [`exact_match`] lets a model answer [`Item`]s and counts the right ones; [`Proportion`] knows
//!   what chance may have done to the count.
//! - [`ChatTrial`] puts [`ChatItem`]s to anything that can be talked to and keeps the answers before
//!   anyone judges them; [`Scores`] are what a model got, item by item.
//! - [`Task`] is an evaluation task in the files of lm-evaluation-harness, for any [`TextModel`]: one in
//!   this process ([`LocalTextModel`]) or behind a server ([`EndpointTextModel`]). [`TaskFiles`] finds tasks
//!   and groups of them by name, a [`PromptFormat`] makes conversations of prompts; [`HarnessResults`]
//!   writes what it gave in the harness' files, [`TaskRun::add_to`] as [`Results`].
//! - [`BleuCounts`], [`ChrfCounts`], [`TerCounts`], [`rouge_n`], [`token_f1`], [`AnswerMatch`] and
//!   [`final_number`] judge written answers; [`win_rate`] has a judge compare those of two models, in both orders.
//! - [`PairedComparison`] is A/B on the same items: bootstrap, permutation and McNemar's test, errors
//!   that know of clusters, the smallest effect that could have been seen; [`holm`] and
//!   [`benjamini_hochberg`] are for many tests at once.
//! - [`Calibration`] says whether a model is right as often as it claims.
//! - [`Comparison`] says what the student kept of its teacher and how much of the gap distillation
//!   closed, with intervals of a [`PairedBootstrap`].
//! - [`Gates`] say whether [`Results`] are good enough, and fail closed; a [`Registry`] keeps versions of
//!   models that never change, and moves an alias only to one that passed; [`MlflowClient`] shows them
//!   to others (feature `mlflow`, on by default).
//! - [`ModelCard`] is the `README.md` of a model's folder, from what is known of it; what is not known is
//!   said to be missing.
//! - [`profile`] measures what a model costs: parameters, bytes, arithmetic, time to the first token and
//!   between tokens, throughput, memory, energy, money.
//! - [`Sweep`] measures several students, each once; [`Pareto`] says which are worth what they cost,
//!   [`MinimalViable`] which is the smallest that passes the gates, and a [`Suggestion`] what the numbers
//!   call for.
//! - [`MetricsLog`] reads the `metrics.jsonl` of a training run and makes [`Chart`]s of it.
//! - [`Report`] holds all of that, and is written as JSON, as a table for terminals and as one
//!   self-contained HTML page.
//!
//! ```
//! use potstill_eval::{
//!     Comparison, ExactMatch, ItemResult, ModelReport, ModelRole, PairedBootstrap, Provenance, Report,
//! };
//!
//! // Normally what `exact_match` returns.
//! let measured = |right: usize| ExactMatch {
//!     results: (0..100)
//!         .map(|n| ItemResult {
//!             id: n.to_string(),
//!             problem: format!("{n}+{n}="),
//!             expected: (2 * n).to_string(),
//!             answer: if n < right { (2 * n).to_string() } else { "?".into() },
//!             correct: n < right,
//!             new_tokens: 3,
//!             cut_off: false,
//!         })
//!         .collect(),
//! };
//! let (teacher, student, baseline) = (measured(96), measured(93), measured(60));
//!
//! let model = |name: &str, role, measured: &ExactMatch| ModelReport {
//!     exact_match: Some(measured.accuracy()),
//!     ..ModelReport::new(name, role)
//! };
//! let mut report = Report::new(
//!     "Addition",
//!     "Sums of two numbers.",
//!     vec![
//!         model("teacher", ModelRole::Teacher, &teacher),
//!         model("distilled", ModelRole::Student, &student),
//!         model("labels only", ModelRole::Baseline, &baseline),
//!     ],
//!     Provenance::new("cargo run --release -p quickstart"),
//! );
//! report.comparison =
//!     Some(Comparison::new(&teacher, &student, Some(&baseline), PairedBootstrap::new(0))?);
//!
//! assert!(report.table().contains("Kept of the teacher's accuracy: 96.9 %"));
//! assert!(report.to_html()?.starts_with("<!doctype html>"));
//! # Ok::<(), potstill_eval::Error>(())
//! ```

mod bootstrap;
mod calibration;
mod chart;
mod chat_trial;
mod clusters;
mod comparison;
mod correction;
mod error;
mod exact_match;
mod file;
mod gates;
mod held_out;
mod interval;
mod markdown;
mod mcnemar;
mod metrics_log;
#[cfg(feature = "mlflow")]
mod mlflow;
mod model_card;
mod number;
mod paired;
mod pareto;
mod peak_memory;
mod permutation;
mod power;
mod profile;
mod provenance;
mod rank_correlation;
mod registry;
mod report;
mod results;
mod samples;
mod scores;
mod sha256;
mod suggestions;
mod sweep;
mod tasks;
mod text_metrics;
mod text_model;
mod win_rate;

pub use bootstrap::{PairedBootstrap, Resampled};
pub use calibration::{Calibration, ReliabilityBin};
pub use chart::{Chart, Point, Scale, Series};
pub use chat_trial::{ChatItem, ChatTrial};
pub use comparison::{Comparison, Share};
pub use correction::{benjamini_hochberg, holm};
pub use error::Error;
pub use exact_match::{ExactMatch, ExactMatchOptions, Expected, Item, ItemResult, exact_match};
pub use gates::{
    Baseline, Bound, GateError, GateKind, GateOutcome, GateReport, Gates, NoRegression,
    NonInferior, Retained, Threshold, UnsetAlias, Verdict,
};
pub use held_out::{HeldOut, held_out};
pub use interval::{Interval, Proportion};
pub use mcnemar::McNemar;
pub use metrics_log::{LineProblem, LogKind, LogLine, MetricsLog};
#[cfg(feature = "mlflow")]
pub use mlflow::{
    MlflowClient, MlflowError, MlflowMetric, MlflowPushed, MlflowRun, MlflowStatus, MlflowVersion,
};
pub use model_card::{CardFile, CardSource, ModelCard};
pub use paired::{PairedComparison, PairedOptions, PairedTest};
pub use pareto::{CostAxis, Pareto, ParetoPoint, Standing};
pub use peak_memory::peak_rss_bytes;
pub use permutation::SignFlips;
pub use power::{items_needed, smallest_detectable_effect};
pub use profile::{
    EnergyMeter, EnergyReading, MachinePrice, Profile, ProfileOptions, Quantiles, TokenLatency,
    TokenWork, bytes_in_memory, bytes_on_disk, memory_bandwidth, profile,
};
pub use provenance::Provenance;
pub use rank_correlation::{kendall, spearman};
pub use registry::{
    Collected, Damage, Ingredient, IngredientKind, Lineage, Manifest, Move, MoveReason, NewVersion,
    Registry, RegistryError, StoredFile, VersionId, files_sha256,
};
pub use report::{ModelReport, ModelRole, Report};
pub use results::{Better, Metric, Results, TaskIdentity};
pub use samples::{Sample, SampleAnswer, samples};
pub use scores::{ItemScore, Scores};
pub use suggestions::{Evidence, Suggestion, SuggestionKind};
pub use sweep::{
    AnswerLengths, Candidate, JudgedCandidate, MinimalViable, Origin, Outcome, Sweep, SweepError,
};
pub use tasks::{
    GroupMetric, GroupRun, HarnessResults, PromptFormat, SuiteRun, Task, TaskError, TaskFiles,
    TaskMetric, TaskRun, TaskSample, TaskSuite,
};
pub use text_metrics::{
    AnswerMatch, BleuCounts, ChrfCounts, ChrfWords, Rouge, TerCounts, final_number, rouge_l,
    rouge_n, same_final_number, token_f1,
};
pub use text_model::{
    EndpointTextModel, GenerateUntil, LocalTextModel, LogLikelihood, ScoredTokens, TextModel,
};
pub use win_rate::{AnswerPair, Preference, WinCounts, WinRate, win_rate, win_rate_with};
