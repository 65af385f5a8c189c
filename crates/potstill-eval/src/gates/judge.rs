//! Each rule against the results.

mod compared;
mod regressions;

use std::collections::{BTreeMap, BTreeSet};

use self::compared::Compared;
use super::report::SCHEMA;
use super::rules::{Bound, Gates, NonInferior, Retained, Threshold, UnsetAlias};
use super::{Baseline, GateError, GateKind, GateOutcome, GateReport, Verdict};
use crate::number::significant;
use crate::{Better, Comparison, Interval, Metric, PairedBootstrap, Results, Scores, sha256};

/// What was found of a rule that could be judged.
#[derive(Debug, Default)]
struct Found {
    holds: bool,
    text: String,
    value: Option<f64>,
    interval: Option<Interval>,
    p_value: Option<f64>,
    items: Option<usize>,
}

/// Why a rule could not be judged.
type Unjudged = String;

impl Gates {
    /// Says of every gate whether it holds for `results`.
    ///
    /// `baseline` is asked once for each baseline that the gates name; see [`Baseline::of_file`] and
    /// [`Registry::baseline`](crate::Registry::baseline).
    ///
    /// # Errors
    ///
    /// When there are no gates, or one makes no sense. What is wrong with results and baselines is no
    /// error but [`Verdict::Unjudged`].
    pub fn judge(
        &self,
        results: &Results,
        mut baseline: impl FnMut(&str) -> Baseline,
    ) -> Result<GateReport, GateError> {
        self.validate()?;
        let compared = self.non_inferior.iter().map(|gate| &gate.to);
        let compared = compared.chain(self.retained.iter().map(|gate| &gate.of));
        let compared = compared.chain(self.no_regression.iter().map(|gate| &gate.to));
        let names: BTreeSet<&str> = compared.map(String::as_str).collect();
        let baselines: BTreeMap<&str, Baseline> = names
            .into_iter()
            .map(|name| (name, baseline(name)))
            .collect();
        let bench = Bench {
            gates: self,
            results,
            baselines,
        };
        let json = |error: serde_json::Error| GateError::Render(error.into());
        let gates = serde_json::to_vec(self).map_err(json)?;
        Ok(GateReport {
            schema: SCHEMA.into(),
            model: results.model.clone(),
            files_sha256: results.files_sha256.clone(),
            gates_sha256: sha256::of_bytes(&gates),
            results_sha256: sha256::of_bytes(&serde_json::to_vec(results).map_err(json)?),
            outcomes: bench.outcomes(),
        })
    }
}

/// Everything that the gates look at.
struct Bench<'a> {
    gates: &'a Gates,
    results: &'a Results,
    baselines: BTreeMap<&'a str, Baseline>,
}

impl Bench<'_> {
    fn outcomes(&self) -> Vec<GateOutcome> {
        let thresholds = self.gates.threshold.iter().map(|gate| {
            let rule = threshold_rule(gate);
            outcome(GateKind::Threshold, rule, self.threshold(gate))
        });
        let non_inferior = self.gates.non_inferior.iter().map(|gate| {
            let rule = format!(
                "{} is at most {} worse than {}'s",
                gate.metric, gate.margin, gate.to
            );
            outcome(GateKind::NonInferior, rule, self.non_inferior(gate))
        });
        let retained = self.gates.retained.iter().map(|gate| {
            let share = format!("{} is at least {} of {}'s", gate.metric, gate.min, gate.of);
            let rule = share + interval_clause(gate.bound);
            outcome(GateKind::Retained, rule, self.retained(gate))
        });
        thresholds
            .chain(non_inferior)
            .chain(retained)
            .chain(self.regressions())
            .collect()
    }

    fn metric(&self, name: &str) -> Result<&Metric, Unjudged> {
        metric_of(self.results, name, "the results")
    }

    fn bootstrap(&self) -> PairedBootstrap {
        PairedBootstrap::new(self.gates.seed)
    }

    fn threshold(&self, gate: &Threshold) -> Result<Found, Unjudged> {
        let metric = self.metric(&gate.metric)?;
        let scores = metric.scores.as_ref();
        let items = scores.map(|scores| scores.items().len());
        let independent = scores.map_or(1, |scores| scores.clusters().count());
        enough(independent, gate.min_items)?;
        let interval = match &metric.scores {
            Some(scores) => scores.interval(),
            None => metric
                .interval
                .filter(|interval| holds(*interval, metric.value)),
        };
        let (low, high) = match (gate.bound, interval) {
            (Bound::Value, _) => (metric.value, metric.value),
            (Bound::Interval, Some(interval)) => (interval.low, interval.high),
            (Bound::Interval, None) => {
                return Err(format!("{} has no interval around it", gate.metric));
            }
        };
        Ok(Found {
            holds: gate.min.is_none_or(|min| low >= min) && gate.max.is_none_or(|max| high <= max),
            text: with_interval(metric.value, interval),
            value: Some(metric.value),
            interval,
            items,
            ..Found::default()
        })
    }

    fn non_inferior(&self, gate: &NonInferior) -> Result<Found, Unjudged> {
        let compared = match self.compared(&gate.metric, &gate.to)? {
            Compared::With(pair) => pair,
            Compared::Unset => return unset(gate.unset_alias, &gate.to),
        };
        let pairs = compared.pairs()?;
        enough(pairs.clusters(), gate.min_items)?;
        let interval = match pairs.agreement() {
            Some(found) => found.difference_95(),
            None => pairs
                .interval(&self.bootstrap())
                .map_err(|error| error.to_string())?
                .ok_or("all items are in one cluster, which has no interval")?,
        };
        let difference = compared.difference();
        Ok(Found {
            holds: match compared.better() {
                Better::Higher => interval.low > -gate.margin,
                Better::Lower => interval.high < gate.margin,
            },
            text: format!("difference {}", with_interval(difference, Some(interval))),
            value: Some(difference),
            interval: Some(interval),
            items: Some(pairs.items()),
            ..Found::default()
        })
    }

    fn retained(&self, gate: &Retained) -> Result<Found, Unjudged> {
        let compared = match self.compared(&gate.metric, &gate.of)? {
            Compared::With(pair) => pair,
            Compared::Unset => return unset(gate.unset_alias, &gate.of),
        };
        if compared.better() == Better::Lower {
            let metric = &gate.metric;
            return Err(format!(
                "less of {metric} is better, so there is no share to keep"
            ));
        }
        let (own, theirs) = compared.scores()?;
        let pairs = compared.pairs()?;
        enough(pairs.clusters(), gate.min_items)?;
        let share = Comparison::of_scores(theirs, own, None, self.bootstrap())
            .map_err(|error| error.to_string())?
            .retained;
        let reason = share.reason.unwrap_or_default();
        let value = share.value.ok_or_else(|| reason.clone())?;
        let interval = match pairs.agreement() {
            Some(found) => found.ratio_95(),
            None => share.interval,
        };
        let held = match (gate.bound, interval) {
            (Bound::Value, _) => value,
            (Bound::Interval, Some(interval)) => interval.low,
            (Bound::Interval, None) => return Err(reason),
        };
        Ok(Found {
            holds: held >= gate.min,
            text: format!("share {}", with_interval(value, interval)),
            value: Some(value),
            interval,
            items: Some(pairs.items()),
            ..Found::default()
        })
    }
}

/// Whether a stored interval can be that of the value.
fn holds(interval: Interval, value: f64) -> bool {
    let slack = 1e-9 * value.abs().max(1.0);
    interval.low <= value + slack && value - slack <= interval.high
}

fn outcome(kind: GateKind, rule: String, found: Result<Found, Unjudged>) -> GateOutcome {
    let (verdict, found) = match found {
        Ok(found) if found.holds => (Verdict::Passed, found),
        Ok(found) => (Verdict::Failed, found),
        Err(text) => (
            Verdict::Unjudged,
            Found {
                text,
                ..Found::default()
            },
        ),
    };
    GateOutcome {
        kind,
        rule,
        verdict,
        found: found.text,
        value: found.value,
        interval: found.interval,
        p_value: found.p_value,
        items: found.items,
    }
}

fn threshold_rule(gate: &Threshold) -> String {
    let metric = &gate.metric;
    let limits = match (gate.min, gate.max) {
        (Some(min), Some(max)) => format!("{metric} is between {min} and {max}"),
        (Some(min), None) => format!("{metric} is at least {min}"),
        (None, Some(max)) => format!("{metric} is at most {max}"),
        (None, None) => metric.clone(),
    };
    limits + interval_clause(gate.bound)
}

fn interval_clause(bound: Bound) -> &'static str {
    match bound {
        Bound::Value => "",
        Bound::Interval => " over its whole 95 % interval",
    }
}

/// A metric that can be judged: it is there, it is a number, and it is what its items say.
fn metric_of<'a>(results: &'a Results, name: &str, whose: &str) -> Result<&'a Metric, Unjudged> {
    let metric = results.metrics.get(name).ok_or_else(|| {
        let known: Vec<&str> = results.metrics.keys().map(String::as_str).collect();
        let known = if known.is_empty() {
            "none".into()
        } else {
            known.join(", ")
        };
        format!("{whose} have no metric {name}; they have {known}")
    })?;
    if !metric.value.is_finite() {
        return Err(format!("{name} is {} in {whose}", metric.value));
    }
    if let Some(mean) = metric.scores.as_ref().map(Scores::mean)
        && (mean - metric.value).abs() > 1e-9 * mean.abs().max(1.0)
    {
        let value = metric.value;
        return Err(format!(
            "{name} is {value} in {whose}, but the mean of its items is {mean}"
        ));
    }
    Ok(metric)
}

fn enough(items: usize, fewest: usize) -> Result<(), Unjudged> {
    if items < fewest {
        return Err(format!(
            "measured on {items} independent items, the gate asks for {fewest} (min_items)"
        ));
    }
    Ok(())
}

fn unset(policy: UnsetAlias, alias: &str) -> Result<Found, Unjudged> {
    match policy {
        UnsetAlias::Refuse => Err(format!(
            "{alias} points nowhere yet; unset_alias = \"pass\" lets the first model through"
        )),
        UnsetAlias::Pass => Ok(Found {
            holds: true,
            text: format!("{alias} points nowhere yet, which the gate allows"),
            ..Found::default()
        }),
    }
}

fn with_interval(value: f64, interval: Option<Interval>) -> String {
    let value = figure(value);
    match interval {
        Some(Interval { low, high }) => format!("{value} ({} to {})", figure(low), figure(high)),
        None => value,
    }
}

/// Four decimals, since limits are often close; none where they say nothing.
fn figure(value: f64) -> String {
    if value.abs() >= 1000.0 {
        significant(value)
    } else {
        format!("{value:.4}")
    }
}
