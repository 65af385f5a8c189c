//! A version of a registry, and what is known about it, as a run and a version there.

use std::collections::BTreeMap;

use super::{MlflowClient, MlflowError, MlflowMetric, MlflowStatus};
use crate::{Manifest, Registry, Results, VersionId};

/// Tag that names the version in the registry that it comes from.
const VERSION: &str = "potstill.version";

/// Where a version went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlflowPushed {
    /// Id of the run.
    pub run_id: String,
    /// Number of the version there; MLflow counts for itself.
    pub version: u64,
}

impl MlflowClient {
    /// Puts a version of a registry on the server: a run in `experiment` with its hashes, license and
    /// ingredients as parameters and its results as metrics, a version of the registered model of the
    /// same name, and the aliases that point to it.
    ///
    /// `source` says where its files are, see [`create_version`](Self::create_version). In names of
    /// metrics and notes, what MLflow does not take (`chrf++`) becomes an underscore.
    /// Pushing a version again makes another run and another version.
    ///
    /// # Errors
    ///
    /// When the version cannot be read, or the server does not answer or refuses.
    pub fn push(
        &self,
        registry: &Registry,
        id: &VersionId,
        experiment: &str,
        source: &str,
    ) -> Result<MlflowPushed, MlflowError> {
        let (manifest, results) = (registry.manifest(id)?, registry.results(id)?);
        let name = id.to_string();
        let tags = BTreeMap::from([(VERSION.to_owned(), name.clone())]);
        let run_id = self.start_run(&self.experiment(experiment)?, &name, &tags)?;
        let metrics = results.as_ref().map(metrics).unwrap_or_default();
        self.log(&run_id, &params(&manifest), &metrics)?;
        self.end_run(&run_id, MlflowStatus::Finished)?;

        self.register_model(&id.model)?;
        let tags = BTreeMap::from([
            (VERSION.to_owned(), name),
            ("potstill.files_sha256".to_owned(), manifest.files_sha256),
            ("license".to_owned(), manifest.license),
        ]);
        let version = self
            .create_version(&id.model, source, Some(&run_id), &tags)?
            .version;
        for (alias, target) in registry.aliases(&id.model)? {
            if target == *id {
                self.set_alias(&id.model, &alias, version)?;
            }
        }
        Ok(MlflowPushed { run_id, version })
    }
}

fn params(manifest: &Manifest) -> BTreeMap<String, String> {
    let mut params = BTreeMap::from([
        ("license".to_owned(), manifest.license.clone()),
        ("files_sha256".to_owned(), manifest.files_sha256.clone()),
    ]);
    for (n, ingredient) in manifest.ingredients.iter().enumerate() {
        let what = format!("{} {}", ingredient.name, ingredient.sha256);
        params.insert(format!("ingredient.{n}.{}", ingredient.kind.name()), what);
    }
    let notes = manifest.notes.iter();
    params.extend(notes.map(|(name, value)| (format!("note.{}", key(name)), value.clone())));
    params
}

fn metrics(results: &Results) -> Vec<MlflowMetric> {
    let mut metrics = Vec::new();
    for (name, metric) in &results.metrics {
        let name = key(name);
        metrics.push(MlflowMetric::new(&name, metric.value));
        if let Some(interval) = metric.interval {
            metrics.push(MlflowMetric::new(format!("{name}.low"), interval.low));
            metrics.push(MlflowMetric::new(format!("{name}.high"), interval.high));
        }
        if let Some(scores) = &metric.scores {
            let items = scores.items().len() as f64;
            metrics.push(MlflowMetric::new(format!("{name}.items"), items));
        }
    }
    metrics
}

/// A name that MLflow takes.
fn key(name: &str) -> String {
    let is_taken = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ' | '/');
    name.chars()
        .map(|c| if is_taken(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Better, Metric};

    #[test]
    fn names_that_mlflow_refuses_are_pushed_under_others() {
        let value = |value| Metric::of_value(Better::Higher, value);
        let results = Results::new("student")
            .with_metric("sums/chrf++,clean", value(18.5))
            .with_metric("exact_match @5", value(0.5))
            .with_metric("Länge/p95 s", value(2.0));
        let keys: Vec<String> = metrics(&results).into_iter().map(|it| it.key).collect();
        assert_eq!(keys, ["Länge/p95 s", "exact_match _5", "sums/chrf___clean"]);
    }
}
