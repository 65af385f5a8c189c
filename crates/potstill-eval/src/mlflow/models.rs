//! Registered models, their versions, aliases and tags.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::client::{Entry, entries};
use super::{MlflowClient, MlflowError};

/// A version of a registered model as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MlflowVersion {
    /// Name of the registered model.
    pub name: String,
    /// Number of the version.
    pub version: u64,
    /// Where its files are.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The aliases that point to it.
    pub aliases: Vec<String>,
}

#[derive(Deserialize)]
struct VersionAnswer {
    model_version: VersionBody,
}

#[derive(Deserialize)]
struct VersionBody {
    name: String,
    version: String,
    #[serde(default)]
    source: String,
    run_id: Option<String>,
    #[serde(default)]
    tags: Vec<Entry>,
    #[serde(default)]
    aliases: Vec<String>,
}

impl VersionAnswer {
    fn version(self, call: &str) -> Result<MlflowVersion, MlflowError> {
        let body = self.model_version;
        Ok(MlflowVersion {
            version: body.version.parse().map_err(|_| MlflowError::Answer {
                call: call.into(),
                problem: format!("{:?} is no number of a version", body.version),
            })?,
            name: body.name,
            source: body.source,
            run_id: body.run_id.filter(|id| !id.is_empty()),
            tags: body
                .tags
                .into_iter()
                .map(|tag| (tag.key, tag.value))
                .collect(),
            aliases: body.aliases,
        })
    }
}

impl MlflowClient {
    /// Registers a model of this name, unless there is one.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub fn register_model(&self, name: &str) -> Result<(), MlflowError> {
        let created = self.post::<Value>("registered-models/create", &json!({"name": name}));
        match created {
            Err(error) if !error.is_presence() => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds a version to a registered model. `source` says where its files are; the server wants it to
    /// be an address with an absolute path, and a folder of its own machine only inside of a run.
    ///
    /// # Errors
    ///
    /// When the server does not answer, has no such model, or does not like the source.
    pub fn create_version(
        &self,
        name: &str,
        source: &str,
        run_id: Option<&str>,
        tags: &BTreeMap<String, String>,
    ) -> Result<MlflowVersion, MlflowError> {
        let call = "model-versions/create";
        let body = json!({
            "name": name,
            "source": source,
            "run_id": run_id,
            "tags": entries(tags),
        });
        self.post::<VersionAnswer>(call, &body)?.version(call)
    }

    /// A version of a registered model; `None` if there is none of this number.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub fn version(&self, name: &str, version: u64) -> Result<Option<MlflowVersion>, MlflowError> {
        let number = version.to_string();
        self.find(
            "model-versions/get",
            &[("name", name), ("version", &number)],
        )
    }

    /// The version that an alias points to; `None` if it is not set.
    ///
    /// # Errors
    ///
    /// When the server does not answer or refuses.
    pub fn alias(&self, name: &str, alias: &str) -> Result<Option<MlflowVersion>, MlflowError> {
        self.find(
            "registered-models/alias",
            &[("name", name), ("alias", alias)],
        )
    }

    /// Lets an alias point to a version.
    ///
    /// # Errors
    ///
    /// When the server does not answer or has no such version.
    pub fn set_alias(&self, name: &str, alias: &str, version: u64) -> Result<(), MlflowError> {
        let body = json!({"name": name, "alias": alias, "version": version.to_string()});
        self.post::<Value>("registered-models/alias", &body)
            .map(drop)
    }

    /// Sets a tag of a version.
    ///
    /// # Errors
    ///
    /// When the server does not answer or has no such version.
    pub fn tag_version(
        &self,
        name: &str,
        version: u64,
        key: &str,
        value: &str,
    ) -> Result<(), MlflowError> {
        let version = version.to_string();
        let body = json!({"name": name, "version": version, "key": key, "value": value});
        self.post::<Value>("model-versions/set-tag", &body)
            .map(drop)
    }

    fn find(
        &self,
        call: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<MlflowVersion>, MlflowError> {
        match self.get::<VersionAnswer>(call, query) {
            Ok(answer) => answer.version(call).map(Some),
            Err(error) if error.is_absence() => Ok(None),
            Err(error) => Err(error),
        }
    }
}
