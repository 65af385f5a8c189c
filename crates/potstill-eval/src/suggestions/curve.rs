//! What the sizes of a sweep suggest together.

use super::{Evidence, Suggestion, SuggestionKind};
use crate::number::significant;
use crate::{
    Better, Candidate, Interval, PairedComparison, PairedOptions, Scores, Sweep, SweepError,
};

/// A smaller model that keeps this share of the best one's quality is enough.
const KEPT: f64 = 0.97;

impl Sweep {
    /// What each candidate's numbers suggest, and what their sizes suggest together by `metric`: that a
    /// smaller one would do, or that a larger one would do better.
    ///
    /// The latter compare candidates item by item, so that they need the metric's scores.
    ///
    /// # Errors
    ///
    /// When no candidate has the metric, or the candidates were measured on different tasks or items.
    pub fn suggestions(
        &self,
        metric: &str,
        options: &PairedOptions,
    ) -> Result<Vec<Suggestion>, SweepError> {
        let better = self.direction(metric)?;
        let mut scored: Vec<Scored> = self
            .candidates()
            .iter()
            .filter_map(|candidate| Scored::of(candidate, metric))
            .collect();
        scored.sort_by_key(|scored| scored.candidate.outcome.profile.parameter_bytes);
        let mut all = Vec::new();
        for candidate in self.candidates() {
            let own = candidate.outcome.suggestions().into_iter();
            all.extend(own.map(|suggestion| Suggestion {
                model: candidate.name.clone(),
                ..suggestion
            }));
        }
        // A step up from a dip is no reason to go on where a smaller one does as well.
        let flat = saturated(&scored, metric, better, options)?;
        all.extend(match flat {
            Some(flat) => Some(flat),
            None => still_rising(&scored, metric, better, options)?,
        });
        Ok(all)
    }
}

/// A candidate with the scores that its metric is the mean of.
struct Scored<'a> {
    candidate: &'a Candidate,
    scores: &'a Scores,
    mean: f64,
}

impl<'a> Scored<'a> {
    fn of(candidate: &'a Candidate, metric: &str) -> Option<Self> {
        let metric = candidate.outcome.results.metrics.get(metric)?;
        let scores = metric.scores.as_ref()?;
        Some(Self {
            candidate,
            scores,
            mean: metric.value,
        })
    }

    fn bytes(&self) -> f64 {
        self.candidate.outcome.profile.parameter_bytes as f64
    }

    /// By how much it is better than `other`, with its interval.
    fn gain_over(
        &self,
        other: &Self,
        better: Better,
        options: &PairedOptions,
    ) -> Result<Option<(f64, Interval)>, SweepError> {
        let test = PairedComparison::new(self.scores, other.scores, options)?.overall;
        let gain = test.interval.map(|interval| match better {
            Better::Higher => (test.difference, interval),
            Better::Lower => {
                let (low, high) = (-interval.high, -interval.low);
                (-test.difference, Interval { low, high })
            }
        });
        Ok(gain)
    }
}

/// The smallest candidate that keeps almost everything of the best.
fn saturated(
    scored: &[Scored],
    metric: &str,
    better: Better,
    options: &PairedOptions,
) -> Result<Option<Suggestion>, SweepError> {
    let height = |scored: &&Scored| match better {
        Better::Higher => scored.mean,
        Better::Lower => -scored.mean,
    };
    let Some(best) = scored.iter().max_by(|a, b| height(a).total_cmp(&height(b))) else {
        return Ok(None);
    };
    let allowed = (1.0 - KEPT) * best.mean.abs();
    for smaller in scored.iter().filter(|other| other.bytes() < best.bytes()) {
        let Some((gain, interval)) = best.gain_over(smaller, better, options)? else {
            continue;
        };
        // Of what solves nothing, nothing is left to keep.
        if interval.high > allowed || allowed == 0.0 {
            continue;
        }
        let (name, of_best) = (&smaller.candidate.name, &best.candidate.name);
        let times = best.bytes() / smaller.bytes();
        let text = format!(
            "{of_best} is better than {name} in {metric} by {} (95 % interval {} to {}), at {} times the \
             size: the smaller one is enough.",
            significant(gain),
            significant(interval.low),
            significant(interval.high),
            significant(times)
        );
        let evidence = vec![
            Evidence::new("loss, at most", interval.high).against(allowed),
            Evidence::new(&format!("{metric} of {of_best}"), best.mean),
            Evidence::new(&format!("{metric} of {name}"), smaller.mean),
            Evidence::new("times the size", times),
        ];
        return Ok(Some(Suggestion {
            model: of_best.clone(),
            kind: SuggestionKind::Saturated,
            text,
            evidence,
        }));
    }
    Ok(None)
}

/// Whether the largest candidate is still better than the next.
fn still_rising(
    scored: &[Scored],
    metric: &str,
    better: Better,
    options: &PairedOptions,
) -> Result<Option<Suggestion>, SweepError> {
    let [.., next, largest] = scored else {
        return Ok(None);
    };
    let gain = largest.gain_over(next, better, options)?;
    let rising = gain.filter(|(_, interval)| interval.low > 0.0 && largest.bytes() > next.bytes());
    Ok(rising.map(|(gain, interval)| {
        let (name, before) = (&largest.candidate.name, &next.candidate.name);
        let times = largest.bytes() / next.bytes();
        let text = format!(
            "{name} gains {} in {metric} over {before} (95 % interval {} to {}) at {} times the size, so \
             the curve has not flattened: a larger one may gain more.",
            significant(gain),
            significant(interval.low),
            significant(interval.high),
            significant(times)
        );
        let evidence = vec![
            Evidence::new("gain, at least", interval.low).against(0.0),
            Evidence::new(&format!("{metric} of {name}"), largest.mean),
            Evidence::new(&format!("{metric} of {before}"), next.mean),
            Evidence::new("times the size", times),
        ];
        Suggestion {
            model: name.clone(),
            kind: SuggestionKind::StillRising,
            text,
            evidence,
        }
    }))
}
