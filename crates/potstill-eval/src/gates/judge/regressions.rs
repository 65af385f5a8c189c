//! Nothing became worse.

use super::compared::Compared;
use super::{Bench, Found, Unjudged, enough, figure, outcome, unset};
use crate::gates::rules::{FEWEST_ITEMS, NoRegression};
use crate::gates::{GateKind, GateOutcome};
use crate::{Better, SignFlips, holm, number};

impl Bench<'_> {
    /// All regressions together, because the tests among them share a level.
    pub(super) fn regressions(&self) -> Vec<GateOutcome> {
        let mut found: Vec<Result<Found, Unjudged>> = self
            .gates
            .no_regression
            .iter()
            .map(|gate| self.regression(gate))
            .collect();
        let tests: Vec<&mut Found> = found
            .iter_mut()
            .filter_map(|found| found.as_mut().ok().filter(|found| found.p_value.is_some()))
            .collect();
        let p_values: Vec<f64> = tests.iter().filter_map(|found| found.p_value).collect();
        let flips = SignFlips::new(self.gates.seed);
        let adjusted = holm(&p_values);
        for ((found, alone), p) in tests.into_iter().zip(p_values).zip(adjusted) {
            found.p_value = Some(p);
            // Until here it said whether the model is at least as good.
            found.holds |= p >= self.gates.alpha;
            let p = number::p_value(p, flips.is_bound(alone));
            found.text = format!("{}, {p}", found.text);
        }
        let gates = self.gates.no_regression.iter().zip(found);
        gates
            .map(|(gate, found)| {
                let tolerance = gate.tolerance.map(|by| format!(" by more than {by}"));
                let rule = format!(
                    "{} is not worse than {}'s{}",
                    gate.metric,
                    gate.to,
                    tolerance.unwrap_or_default()
                );
                outcome(GateKind::NoRegression, rule, found)
            })
            .collect()
    }

    fn regression(&self, gate: &NoRegression) -> Result<Found, Unjudged> {
        let compared = match self.compared(&gate.metric, &gate.to)? {
            Compared::With(pair) => pair,
            Compared::Unset => return unset(gate.unset_alias, &gate.to),
        };
        let difference = compared.difference();
        let gain = match compared.better() {
            Better::Higher => difference,
            Better::Lower => -difference,
        };
        let text = format!("difference {}", figure(difference));
        let value = Some(difference);
        if let Some(tolerance) = gate.tolerance {
            let independent = compared.independent();
            match (gate.min_items, independent) {
                (None, None) => {}
                (fewest, found) => enough(found.unwrap_or(1), fewest.unwrap_or(FEWEST_ITEMS))?,
            }
            return Ok(Found {
                holds: gain >= -tolerance,
                text,
                value,
                items: compared.items(),
                ..Found::default()
            });
        }
        let pairs = compared.pairs()?;
        enough(pairs.clusters(), gate.min_items.unwrap_or(FEWEST_ITEMS))?;
        let flips = SignFlips::new(self.gates.seed);
        self.could_fail(&flips, pairs.clusters())?;
        let p_value = pairs.p_value(&flips).map_err(|error| error.to_string())?;
        // What a test did not find may still be there: say how large it would have to be.
        let visible = pairs
            .smallest_detectable_effect(self.gates.alpha, 0.8)
            .map(|effect| format!(" ({} would likely have shown)", figure(effect)));
        Ok(Found {
            holds: gain >= 0.0,
            text: text + &visible.unwrap_or_default(),
            value,
            p_value: Some(p_value),
            items: Some(pairs.items()),
            ..Found::default()
        })
    }

    /// A test that no result could fail says nothing.
    fn could_fail(&self, flips: &SignFlips, independent: usize) -> Result<(), Unjudged> {
        let gates = self.gates.no_regression.iter();
        let tests = gates.filter(|gate| gate.tolerance.is_none()).count();
        let smallest = tests as f64 * flips.smallest_p_value(independent);
        if smallest < self.gates.alpha {
            return Ok(());
        }
        Err(format!(
            "nothing could fail: among {tests} tests, {independent} independent items give no p-value below \
             {smallest:.2e}, and alpha is {}; measure on more items",
            self.gates.alpha
        ))
    }
}
