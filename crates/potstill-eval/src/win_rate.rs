//! How often a judge prefers one model's answers to another's.

use std::collections::BTreeMap;
use std::path::Path;

use potstill_core::{ChatModel, ChatRequest, Message};
use potstill_data::{PromptTemplate, rouge_tokens};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{ChatItem, ChatTrial, Error, Interval, ItemScore, Scores};

/// Tokens of a verdict: a word, and what a chatty judge says around it.
const VERDICT_TOKENS: usize = 16;

/// Two answers to one question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerPair {
    /// Tells the questions apart.
    pub id: String,
    /// The question.
    pub question: String,
    /// The answer of the model that is judged.
    pub candidate: String,
    /// The answer that it is compared with.
    pub reference: String,
    /// See [`ItemScore::category`].
    pub category: Option<String>,
}

impl AnswerPair {
    /// The answers of two trials on the same items; the question is the last turn of a conversation.
    ///
    /// # Errors
    ///
    /// When an item was put to only one of them.
    pub fn of_trials(
        candidate: &ChatTrial<'_>,
        reference: &ChatTrial<'_>,
    ) -> Result<Vec<Self>, Error> {
        let missing = |id: &str| Error::DifferentItems {
            id: id.into(),
            left: "the candidate",
            right: "the reference",
        };
        let mut references: BTreeMap<&str, &str> = reference
            .answers()
            .map(|(item, reply)| (item.id.as_str(), reply.text.as_str()))
            .collect();
        let mut pairs = Vec::new();
        for (item, reply) in candidate.answers() {
            let other = references.remove(item.id.as_str());
            let question = item.request.messages.last();
            pairs.push(Self {
                id: item.id.clone(),
                question: question.map_or_else(String::new, |turn| turn.content.clone()),
                candidate: reply.text.clone(),
                reference: other.ok_or_else(|| missing(&item.id))?.to_owned(),
                category: item.category.clone(),
            });
        }
        match references.keys().next() {
            Some(id) => Err(missing(id)),
            None => Ok(pairs),
        }
    }
}

/// What a judge who saw a pair in both orders decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preference {
    /// The candidate is better, in both orders.
    Candidate,
    /// The reference is better, in both orders.
    Reference,
    /// Neither, in both orders.
    Tie,
    /// Something else in one order than in the other: a tie, too, and a sign that the judge looks at
    /// positions.
    DependsOnOrder,
    /// At least one verdict is none. It counts for nobody.
    Unreadable,
}

/// How many pairs ended in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WinCounts {
    /// The candidate is better.
    pub wins: usize,
    /// The reference is better.
    pub losses: usize,
    /// Neither is; those that depend on the order are among them.
    pub ties: usize,
    /// The judge decided otherwise in the other order.
    pub depend_on_order: usize,
    /// No verdict could be read.
    pub unreadable: usize,
}

impl WinCounts {
    /// `(wins + ties / 2) / (wins + losses + ties)`; `None` if nothing could be read.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        let judged = self.wins + self.losses + self.ties;
        (judged > 0).then(|| (self.wins as f64 + 0.5 * self.ties as f64) / judged as f64)
    }

    fn add(&mut self, preference: Preference) {
        match preference {
            Preference::Candidate => self.wins += 1,
            Preference::Reference => self.losses += 1,
            Preference::Tie => self.ties += 1,
            Preference::DependsOnOrder => {
                self.ties += 1;
                self.depend_on_order += 1;
            }
            Preference::Unreadable => self.unreadable += 1,
        }
    }
}

/// How often a judge prefers a candidate's answers to those of a reference.
///
/// Judges prefer what stands first, what is long and what they would have written; asking in both
/// orders takes care of the first alone. Zheng et al., *Judging LLM-as-a-Judge*, 2023,
/// arXiv:2306.05685, section 3.4.
///
/// ```
/// use potstill_eval::{AnswerPair, win_rate};
/// use potstill_testkit::ScriptedChat;
///
/// let pair = |n: usize| AnswerPair {
///     id: n.to_string(),
///     question: "Why is the sky blue?".into(),
///     candidate: if n < 8 { "It scatters blue light more." } else { "No idea." }.into(),
///     reference: "It just is.".into(),
///     category: None,
/// };
/// let pairs: Vec<AnswerPair> = (0..10).map(pair).collect();
/// // One that likes to hear of light.
/// let judge = ScriptedChat::new("judge", |request| {
///     let prompt = &request.messages[0].content;
///     let (_, answers) = prompt.split_once("First answer:").unwrap_or_default();
///     let (first, second) = answers.split_once("Second answer:").unwrap_or_default();
///     match (first.contains("light"), second.contains("light")) {
///         (true, _) => "first",
///         (_, true) => "second",
///         _ => "tie",
///     }
///     .into()
/// });
/// let folder = tempfile::tempdir()?;
/// let found = win_rate(judge, &pairs, &folder.path().join("verdicts.jsonl"))?;
/// assert_eq!((found.overall.wins, found.overall.ties), (8, 2));
/// assert_eq!(found.scores.mean(), 0.9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct WinRate {
    /// All pairs.
    pub overall: WinCounts,
    /// The pairs of each category.
    pub categories: BTreeMap<String, WinCounts>,
    /// 1 for a win, 0.5 for a tie and 0 for a loss, for each pair that was judged: their mean is the
    /// rate.
    pub scores: Scores,
    /// The 95 % interval of the rate, from the spread of the scores.
    pub interval: Option<Interval>,
    /// What was decided, pair by pair.
    pub preferences: Vec<(String, Preference)>,
}

/// Has `judge` compare the answers of each of `pairs`, in both orders.
///
/// Each verdict is written to the [`ChatJournal`](potstill_data::ChatJournal) at `journal` before it is
/// read, and one that is there is not asked for again.
///
/// # Errors
///
/// When there are no pairs, two have the same id, the journal cannot be used, the judge does not answer,
/// or not one verdict can be read.
pub fn win_rate<M: ChatModel>(
    judge: M,
    pairs: &[AnswerPair],
    journal: &Path,
) -> Result<WinRate, Error> {
    let template = PromptTemplate::new("compare", include_str!("win_rate/compare.jinja"));
    win_rate_with(judge, pairs, &template, journal)
}

/// The same with another prompt, a template over `question`, `first` and `second` that asks for the
/// word "first", "second" or "tie".
///
/// # Errors
///
/// As [`win_rate`], or when the template cannot be rendered.
pub fn win_rate_with<M: ChatModel>(
    judge: M,
    pairs: &[AnswerPair],
    template: &PromptTemplate,
    journal: &Path,
) -> Result<WinRate, Error> {
    let mut items = Vec::with_capacity(2 * pairs.len());
    for pair in pairs {
        for (order, [first, second]) in [
            ("candidate first", [&pair.candidate, &pair.reference]),
            ("reference first", [&pair.reference, &pair.candidate]),
        ] {
            let values = json!({"question": pair.question, "first": first, "second": second});
            let prompt = template.render(values).map_err(Error::Prompt)?;
            let request = ChatRequest::new(vec![Message::user(prompt)], VERDICT_TOKENS);
            items.push(ChatItem::new(format!("{}, {order}", pair.id), request, ""));
        }
    }
    let trial = ChatTrial::run(judge, &items, journal)?;
    let verdicts: Vec<Option<Verdict>> = trial
        .answers()
        .map(|(_, reply)| Verdict::read(&reply.text))
        .collect();
    let mut overall = WinCounts::default();
    let mut categories = BTreeMap::<String, WinCounts>::new();
    let mut preferences = Vec::with_capacity(pairs.len());
    let mut scores = Vec::new();
    for (pair, verdicts) in pairs.iter().zip(verdicts.chunks(2)) {
        let preference = match *verdicts {
            [Some(first), Some(second)] => first.with_the_other_order(second),
            _ => Preference::Unreadable,
        };
        overall.add(preference);
        if let Some(category) = &pair.category {
            categories
                .entry(category.clone())
                .or_default()
                .add(preference);
        }
        let score = match preference {
            Preference::Candidate => Some(1.0),
            Preference::Reference => Some(0.0),
            Preference::Tie | Preference::DependsOnOrder => Some(0.5),
            Preference::Unreadable => None,
        };
        scores.extend(score.map(|score| ItemScore {
            id: pair.id.clone(),
            score,
            cluster: None,
            category: pair.category.clone(),
        }));
        preferences.push((pair.id.clone(), preference));
    }
    if scores.is_empty() {
        return Err(Error::Empty {
            what: "readable verdict",
        });
    }
    let scores = Scores::new(scores)?;
    Ok(WinRate {
        overall,
        categories,
        interval: scores.interval(),
        scores,
        preferences,
    })
}

/// What a judge said of one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    First,
    Second,
    Tie,
}

impl Verdict {
    /// The one verdict that a text holds; several are none.
    fn read(text: &str) -> Option<Self> {
        let mut found = None;
        for word in rouge_tokens(text) {
            let verdict = match word.as_str() {
                "first" => Self::First,
                "second" => Self::Second,
                "tie" => Self::Tie,
                _ => continue,
            };
            if found.is_some_and(|other| other != verdict) {
                return None;
            }
            found = Some(verdict);
        }
        found
    }

    /// This is said with the candidate first, `other` with the reference first.
    fn with_the_other_order(self, other: Self) -> Preference {
        match (self, other) {
            (Self::First, Self::Second) => Preference::Candidate,
            (Self::Second, Self::First) => Preference::Reference,
            (Self::Tie, Self::Tie) => Preference::Tie,
            _ => Preference::DependsOnOrder,
        }
    }
}

#[cfg(test)]
mod tests {
    use potstill_testkit::ScriptedChat;

    use super::*;

    fn pair(id: &str, candidate: &str, category: &str) -> AnswerPair {
        AnswerPair {
            id: id.into(),
            question: "Why?".into(),
            candidate: candidate.into(),
            reference: "because".into(),
            category: Some(category.into()),
        }
    }

    /// Says what the candidate's answer tells it to, about the candidate.
    fn obedient(request: &ChatRequest) -> String {
        let prompt = &request.messages[0].content;
        let candidate_is_first = prompt.find("say ") < prompt.find("because");
        let said = prompt.split("say ").nth(1).unwrap_or_default();
        let own = if candidate_is_first {
            "first"
        } else {
            "second"
        };
        let other = if candidate_is_first {
            "second"
        } else {
            "first"
        };
        match said.split_whitespace().next().unwrap_or_default() {
            "better" => format!("The {own} answer."),
            "worse" => other.to_uppercase(),
            "equal" => "Tie".into(),
            "position" => "first".into(),
            "both" => "first is good, second as well".into(),
            "sometimes" if candidate_is_first => own.into(),
            _ => "I cannot tell".into(),
        }
    }

    #[test]
    fn a_win_holds_in_both_orders_and_what_cannot_be_read_is_nobodys() {
        let pairs = [
            pair("a", "say better", "x"),
            pair("b", "say better", "y"),
            pair("c", "say worse", "x"),
            pair("d", "say equal", "y"),
            pair("e", "say position", "y"),
            pair("f", "say both", "x"),
            pair("g", "say sometimes", "x"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let journal = folder.path().join("verdicts.jsonl");
        let found = win_rate(ScriptedChat::new("judge", obedient), &pairs, &journal).unwrap();
        assert_eq!(
            found.overall,
            WinCounts {
                wins: 2,
                losses: 1,
                ties: 2,
                depend_on_order: 1,
                unreadable: 2
            }
        );
        assert_eq!(found.overall.rate(), Some(0.6));
        assert!((found.scores.mean() - 0.6).abs() < 1e-12);
        assert!(found.interval.is_some());
        assert_eq!(found.categories["x"].rate(), Some(0.5));
        assert_eq!(
            found.preferences[4],
            ("e".into(), Preference::DependsOnOrder)
        );
        assert_eq!(found.preferences[6], ("g".into(), Preference::Unreadable));

        // What is on disk is not asked for again.
        let silent = ScriptedChat::new("judge", |_| panic!("nobody shall ask"));
        assert_eq!(win_rate(silent, &pairs, &journal).unwrap(), found);
    }

    #[test]
    fn a_judge_without_a_readable_verdict_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let judge = ScriptedChat::new("judge", |_| "hm".into());
        let error = win_rate(judge, &[pair("a", "", "x")], &folder.path().join("v")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no readable verdict to evaluate on; give at least one"
        );
        assert_eq!(WinCounts::default().rate(), None);
    }

    #[test]
    fn trials_on_other_items_are_not_compared() {
        let folder = tempfile::tempdir().unwrap();
        let item =
            |id: &str| ChatItem::new(id, ChatRequest::new(vec![Message::user("Why?")], 4), "");
        let (all, some) = ([item("a"), item("b")], [item("a")]);
        let run = |name: &str, items| {
            let model = ScriptedChat::new(name, |_| "so".into());
            ChatTrial::run(model, items, &folder.path().join(name)).unwrap()
        };
        let (all, some) = (run("x", &all), run("y", &some));
        assert_eq!(
            AnswerPair::of_trials(&all, &all).unwrap()[1].question,
            "Why?"
        );
        for (candidate, reference) in [(&all, &some), (&some, &all)] {
            let error = AnswerPair::of_trials(candidate, reference).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("item b was put to only one of")
            );
        }
    }
}
