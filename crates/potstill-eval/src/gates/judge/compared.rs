//! A metric of two models that may be compared.

use super::{Bench, Unjudged, metric_of};
use crate::paired::Pairs;
use crate::{Baseline, Better, Metric, Scores};

/// A metric and the same of a baseline.
pub(super) enum Compared<'a> {
    With(Pair<'a>),
    /// The alias of the baseline points nowhere yet.
    Unset,
}

/// Two metrics of the same task.
pub(super) struct Pair<'a> {
    name: &'a str,
    own: &'a Metric,
    theirs: &'a Metric,
}

impl Bench<'_> {
    pub(super) fn compared<'a>(
        &'a self,
        name: &'a str,
        to: &str,
    ) -> Result<Compared<'a>, Unjudged> {
        let own = self.metric(name)?;
        let theirs = match &self.baselines[to] {
            Baseline::Results(results) => metric_of(results, name, to)?,
            Baseline::Unset => return Ok(Compared::Unset),
            Baseline::Unreadable(reason) => return Err(reason.clone()),
        };
        if own.better != theirs.better {
            return Err(format!(
                "the results and {to} do not agree whether more of {name} is better"
            ));
        }
        if own.task != theirs.task {
            return Err(stale(name, own, theirs, to));
        }
        Ok(Compared::With(Pair { name, own, theirs }))
    }
}

/// What tells the tasks apart.
fn stale(name: &str, own: &Metric, theirs: &Metric, to: &str) -> Unjudged {
    let difference = match (&own.task, &theirs.task) {
        (Some(own), Some(theirs)) if own.name != theirs.name => {
            format!("on the task {}, here on {}", theirs.name, own.name)
        }
        (Some(own), Some(theirs)) if own.version != theirs.version => {
            format!(
                "on version {} of the task, here on {}",
                theirs.version, own.version
            )
        }
        (Some(own), Some(theirs)) => format!(
            "on other data ({:.8}…, here {:.8}…)",
            theirs.data_sha256, own.data_sha256
        ),
        _ => "without saying on what, or only here".into(),
    };
    format!("{to} is stale: {name} was measured there {difference}; measure the baseline again")
}

impl<'a> Pair<'a> {
    pub(super) fn better(&self) -> Better {
        self.own.better
    }

    /// The model's value less the baseline's.
    pub(super) fn difference(&self) -> f64 {
        self.own.value - self.theirs.value
    }

    /// Number of items, where the model's metric has some.
    pub(super) fn items(&self) -> Option<usize> {
        Some(self.own.scores.as_ref()?.items().len())
    }

    /// Number of items of the side that has fewer, clusters counting as one; a side without items counts
    /// as one, unless both are.
    pub(super) fn independent(&self) -> Option<usize> {
        let sides = [&self.own.scores, &self.theirs.scores];
        let count = |scores: &Option<Scores>| scores.as_ref().map(|it| it.clusters().count());
        let [own, theirs] = sides.map(count);
        (own.is_some() || theirs.is_some()).then(|| own.unwrap_or(1).min(theirs.unwrap_or(1)))
    }

    /// The model's scores and the baseline's.
    pub(super) fn scores(&self) -> Result<(&'a Scores, &'a Scores), Unjudged> {
        match (&self.own.scores, &self.theirs.scores) {
            (Some(own), Some(theirs)) if self.own.task.is_some() => Ok((own, theirs)),
            _ => Err(format!(
                "{} has no items on both sides, so nobody can say what is chance",
                self.name
            )),
        }
    }

    pub(super) fn pairs(&self) -> Result<Pairs, Unjudged> {
        let (own, theirs) = self.scores()?;
        Pairs::of(own, theirs).map_err(|error| error.to_string())
    }
}
