//! Is what the student writes still text worth learning from?

use std::collections::VecDeque;
use std::fmt;

use potstill_core::Rollout;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::BoxError;

/// Tokens of the n-grams that are counted for repetition.
const N_GRAM: usize = 3;

/// When to warn about rollouts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HealthLimits {
    /// Rollouts that are judged together; the first as many are what later ones are compared with.
    pub rollouts: usize,
    /// Largest share that hits `max_new_tokens`, where anything can end a rollout before.
    pub truncated: f64,
    /// Largest mean length, as a multiple of the first.
    pub length_growth: f64,
    /// Least entropy, as a share of the first.
    pub entropy_left: f64,
    /// Largest share of trigrams that were in the same rollout before.
    pub repetition: f64,
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self {
            rollouts: 256,
            truncated: 0.5,
            length_growth: 2.0,
            entropy_left: 0.2,
            repetition: 0.3,
        }
    }
}

impl HealthLimits {
    /// A fifth of the way from each limit to what is sound.
    fn clearly_kept(self) -> Self {
        let towards = |limit: f64, sound: f64| limit + 0.2 * (sound - limit);
        Self {
            truncated: towards(self.truncated, 0.0),
            length_growth: towards(self.length_growth, 1.0),
            entropy_left: towards(self.entropy_left, 1.0),
            repetition: towards(self.repetition, 0.0),
            ..self
        }
    }
}

/// Means over some rollouts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolloutVitals {
    /// New tokens.
    pub length: f64,
    /// Share that hit `max_new_tokens`.
    pub truncated: f64,
    /// `−mean log q` over the tokens: estimates the student's entropy, in nats per token.
    pub entropy: f64,
    /// Share of trigrams that were in the same rollout before.
    pub repetition: f64,
}

/// What there is to know of one rollout.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vital {
    length: usize,
    is_truncated: bool,
    /// `−Σ log q`.
    surprise: f64,
    repeated: f64,
}

impl Vital {
    pub(super) fn of(rollout: &Rollout) -> Self {
        let mut grams: Vec<&[u32]> = rollout.tokens.windows(N_GRAM).collect();
        let all = grams.len().max(1);
        grams.sort_unstable();
        let before = grams.len();
        grams.dedup();
        let surprise = rollout.draws.iter().map(|draw| -f64::from(draw.policy));
        Self {
            length: rollout.tokens.len(),
            is_truncated: rollout.is_truncated(),
            surprise: surprise.sum(),
            repeated: (before - grams.len()) as f64 / all as f64,
        }
    }

    pub(super) fn mean<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<RolloutVitals> {
        let (mut count, mut tokens, mut truncated) = (0, 0, 0);
        let (mut surprise, mut repeated) = (0.0, 0.0);
        for vital in all {
            count += 1;
            tokens += vital.length;
            truncated += usize::from(vital.is_truncated);
            surprise += vital.surprise;
            repeated += vital.repeated;
        }
        let of_all = |sum: f64| sum / count as f64;
        (count > 0).then(|| RolloutVitals {
            length: of_all(tokens as f64),
            truncated: of_all(truncated as f64),
            entropy: surprise / tokens.max(1) as f64,
            repetition: of_all(repeated),
        })
    }
}

/// Something that usually gets worse unless a setting is changed; says which.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum RolloutWarning {
    /// Rollouts do not end, or grow longer and longer.
    LengthExplosion {
        /// At the beginning.
        first: RolloutVitals,
        /// Now.
        now: RolloutVitals,
    },
    /// The student writes the same few things.
    EntropyCollapse {
        /// At the beginning.
        first: RolloutVitals,
        /// Now.
        now: RolloutVitals,
    },
    /// Rollouts go round in circles.
    Repetition {
        /// Now.
        now: RolloutVitals,
    },
}

impl RolloutWarning {
    /// The name under which it is logged.
    #[must_use]
    pub fn name(&self) -> &'static str {
        NAMES[self.index()]
    }

    fn index(&self) -> usize {
        match self {
            Self::LengthExplosion { .. } => 0,
            Self::EntropyCollapse { .. } => 1,
            Self::Repetition { .. } => 2,
        }
    }
}

const NAMES: [&str; 3] = ["length_explosion", "entropy_collapse", "repetition_loop"];

impl fmt::Display for RolloutWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LengthExplosion { first, now } => write!(
                f,
                "rollouts have {:.0} tokens on average ({:.0} at the beginning) and {:.0} % of them hit \
                 `max_new_tokens`: lower the student's share so that data show how answers end, see that \
                 the teacher ends them with one of the stop tokens, normalize returns by length; raise \
                 `max_new_tokens` only if the teacher's own answers are that long",
                now.length,
                first.length,
                100.0 * now.truncated
            ),
            Self::EntropyCollapse { first, now } => write!(
                f,
                "the student's entropy fell from {:.3} to {:.3} nats a token: give the divergence a share \
                 of forward KL (JSD, skew, symmetric), lower the student's share or the learning rate, \
                 sample at temperature 1 without filters; change nothing if the teacher is as certain",
                first.entropy, now.entropy
            ),
            Self::Repetition { now } => write!(
                f,
                "{:.0} % of the trigrams of a rollout were in it before: lower the student's share, give \
                 the divergence a share of forward KL, mix the teacher into the sampling",
                100.0 * now.repetition
            ),
        }
    }
}

/// Watches rollouts and warns when they get too long, too certain or go round in circles.
///
/// A warning is given when a limit is crossed. It ends when as many rollouts as are judged together were
/// clearly better, a fifth of the way from the limit to what is sound, and may be given again only then:
/// what hovers at a limit is said once.
#[derive(Clone, Debug)]
pub struct RolloutHealth {
    limits: HealthLimits,
    can_end: bool,
    seen: Seen,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    recent: VecDeque<Vital>,
    first: Option<RolloutVitals>,
    /// For how many more rollouts each warning holds.
    holds: [usize; 3],
}

impl RolloutHealth {
    /// `can_end` says whether anything but `max_new_tokens` ends a rollout.
    #[must_use]
    pub fn new(limits: HealthLimits, can_end: bool) -> Self {
        Self {
            limits,
            can_end,
            seen: Seen::default(),
        }
    }

    /// Looks at another rollout; new warnings also go to the log.
    pub fn see(&mut self, rollout: &Rollout) -> Vec<RolloutWarning> {
        let most = self.limits.rollouts.max(1);
        let recent = &mut self.seen.recent;
        recent.push_back(Vital::of(rollout));
        if recent.len() > most {
            recent.pop_front();
        }
        if recent.len() < most {
            return Vec::new();
        }
        let Some(now) = Vital::mean(&*recent) else {
            return Vec::new();
        };
        let first = *self.seen.first.get_or_insert(now);
        let before = self.seen.holds;
        self.seen.holds = before.map(|rollouts| rollouts.saturating_sub(1));
        for warning in self.judge(self.limits.clearly_kept(), first, now) {
            if before[warning.index()] > 0 {
                self.seen.holds[warning.index()] = most;
            }
        }
        let mut new = Vec::new();
        for warning in self.judge(self.limits, first, now) {
            self.seen.holds[warning.index()] = most;
            if before[warning.index()] == 0 {
                tracing::warn!(warning = warning.name(), "{warning}");
                new.push(warning);
            }
        }
        new
    }

    fn judge(
        &self,
        limits: HealthLimits,
        first: RolloutVitals,
        now: RolloutVitals,
    ) -> impl Iterator<Item = RolloutWarning> + use<> {
        let too_long = (self.can_end && now.truncated > limits.truncated)
            || now.length > limits.length_growth * first.length;
        let too_certain = now.entropy < limits.entropy_left * first.entropy;
        let in_circles = now.repetition > limits.repetition;
        [
            too_long.then_some(RolloutWarning::LengthExplosion { first, now }),
            too_certain.then_some(RolloutWarning::EntropyCollapse { first, now }),
            in_circles.then_some(RolloutWarning::Repetition { now }),
        ]
        .into_iter()
        .flatten()
    }

    /// 1 for each warning that holds, 0 for the others.
    pub(super) fn observations(&self) -> impl Iterator<Item = (String, f64)> {
        let holds = NAMES.into_iter().zip(self.seen.holds);
        holds.map(|(name, rollouts)| (name.to_owned(), f64::from(u8::from(rollouts > 0))))
    }

    pub(super) fn state(&self) -> Result<Value, BoxError> {
        Ok(serde_json::to_value(&self.seen)?)
    }

    pub(super) fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        self.seen = serde_json::from_value(state.clone())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use potstill_core::{Draw, FinishReason};

    use super::*;

    const END: u32 = 99;

    fn rollout(tokens: Vec<u32>, log_q: f32) -> Rollout {
        let draw = Draw {
            policy: log_q,
            sampler: log_q,
        };
        Rollout {
            prompt: vec![1],
            draws: vec![draw; tokens.len()],
            finish: if tokens.ends_with(&[END]) {
                FinishReason::StopToken(END)
            } else {
                FinishReason::Length
            },
            tokens,
        }
    }

    fn sound() -> Rollout {
        rollout(vec![1, 2, 3, 4, 5, END], -1.0)
    }

    fn health() -> RolloutHealth {
        let limits = HealthLimits {
            rollouts: 8,
            ..HealthLimits::default()
        };
        let mut health = RolloutHealth::new(limits, true);
        for _ in 0..16 {
            assert_eq!(health.see(&sound()), []);
        }
        health
    }

    /// What 16 of `rollout` lead to, after 16 sound ones.
    #[track_caller]
    fn check(rollout: &Rollout, name: &str, advice: &str) {
        let mut health = health();
        let warnings: Vec<_> = (0..16).flat_map(|_| health.see(rollout)).collect();
        let names: Vec<&str> = warnings.iter().map(RolloutWarning::name).collect();
        assert_eq!(names, [name]);
        let text = warnings[0].to_string();
        assert!(text.contains(advice), "{text}");
        let observed = health.observations().find(|(found, _)| found == name);
        assert_eq!(observed, Some((name.to_owned(), 1.0)));
        // It goes away once a limit was kept for as long as is judged together, and may come again.
        assert!((0..16).all(|_| health.see(&sound()).is_empty()));
        assert!(health.observations().all(|(_, value)| value == 0.0));
        assert!((0..8).any(|_| !health.see(rollout).is_empty()));
    }

    #[test]
    fn rollouts_that_do_not_end_are_a_length_explosion() {
        let endless = rollout((0..6).collect(), -1.0);
        check(&endless, "length_explosion", "how answers end");
    }

    #[test]
    fn rollouts_that_grow_are_a_length_explosion() {
        let longer = rollout((0..18).chain([END]).collect(), -1.0);
        check(&longer, "length_explosion", "(6 at the beginning)");
    }

    #[test]
    fn a_student_that_became_certain_has_collapsed() {
        let certain = rollout(vec![1, 2, 3, 4, 5, END], -0.1);
        check(&certain, "entropy_collapse", "from 1.000 to 0.1");
    }

    #[test]
    fn rollouts_that_go_round_in_circles_are_noticed() {
        let circle = rollout(vec![7, 8, 7, 8, 7, 8, 7, 8, 7, END], -1.0);
        check(
            &circle,
            "repetition_loop",
            "mix the teacher into the sampling",
        );
    }

    #[test]
    fn what_hovers_at_a_limit_is_said_once() {
        let limits = HealthLimits {
            rollouts: 32,
            ..HealthLimits::default()
        };
        let mut health = RolloutHealth::new(limits, true);
        // 0.625 of its trigrams were in it before: 16 of 32 such are over 0.3, 15 are below.
        let circle = rollout(vec![7, 8, 7, 8, 7, 8, 7, 8, 7, END], -1.0);
        // For far longer than is judged together in turns, so that its mean settles on either side.
        let mut seen = |of_32: usize| -> Vec<&'static str> {
            let is_circle = |i: usize| (i + 1) * of_32 / 32 > i * of_32 / 32;
            let rollouts = (0..128).map(|i| {
                if is_circle(i) {
                    circle.clone()
                } else {
                    sound()
                }
            });
            let warnings: Vec<_> = rollouts.flat_map(|rollout| health.see(&rollout)).collect();
            warnings.iter().map(RolloutWarning::name).collect()
        };
        assert_eq!(seen(15), [""; 0]);
        assert_eq!(seen(16), ["repetition_loop"]);
        for _ in 0..5 {
            assert_eq!(seen(15), [""; 0]);
            assert_eq!(seen(16), [""; 0]);
        }
        // 12 of 32 are clearly below.
        assert_eq!(seen(12), [""; 0]);
        assert_eq!(seen(16), ["repetition_loop"]);
    }

    #[test]
    fn what_can_only_end_by_its_length_may_do_so() {
        let limits = HealthLimits {
            rollouts: 4,
            ..HealthLimits::default()
        };
        let mut health = RolloutHealth::new(limits, false);
        let endless = rollout((0..6).collect(), -1.0);
        assert!((0..20).all(|_| health.see(&endless).is_empty()));
    }

    #[test]
    fn means_are_over_rollouts_and_entropy_over_tokens() {
        let all = [
            Vital::of(&rollout(vec![1, END], -2.0)),
            Vital::of(&rollout(vec![1, 2, 1, 2, 1, 2], -1.0)),
        ];
        let expected = RolloutVitals {
            length: 4.0,
            truncated: 0.5,
            entropy: 10.0 / 8.0,
            repetition: 0.25,
        };
        assert_eq!(Vital::mean(&all), Some(expected));
        assert_eq!(Vital::mean(&[]), None);
    }

    #[test]
    fn a_restored_watcher_remembers() {
        let mut health = health();
        let mut other = RolloutHealth::new(health.limits, true);
        other.restore(&health.state().unwrap()).unwrap();
        let circle = rollout(vec![7, 8, 7, 8, 7, 8, 7, 8, 7, END], -1.0);
        for _ in 0..16 {
            assert_eq!(health.see(&circle), other.see(&circle));
        }
        assert_eq!(health.seen, other.seen);
    }
}
