//! The documents of a task.

use std::path::{Path, PathBuf};

use super::TaskError;
use super::keys::{DataFiles, Keys, OneOrMany};
use super::template::Document;

/// Ways in which Hugging Face's `datasets` reads local files.
const LOCAL: [&str; 3] = ["json", "csv", "parquet"];

/// Where the documents of each split are.
#[derive(Clone, Debug)]
pub(super) struct Dataset {
    splits: Vec<(String, Vec<PathBuf>)>,
}

impl Dataset {
    /// Paths are relative to `folder`.
    pub(super) fn new(keys: &Keys, folder: &Path, task_file: &Path) -> Result<Self, TaskError> {
        let wrong = |key: &str, problem: String| TaskError::Value {
            path: task_file.into(),
            key: key.into(),
            problem,
        };
        let path = keys.dataset_path.as_deref().unwrap_or_default();
        if !LOCAL.contains(&path) {
            return Err(wrong(
                "dataset_path",
                format!(
                    "is {path:?}; documents come from local files: make it one of {} and name the files in \
                     `dataset_kwargs.data_files`",
                    LOCAL.join(", ")
                ),
            ));
        }
        if let Some(name) = &keys.dataset_name {
            return Err(wrong(
                "dataset_name",
                format!("is {name:?}, but local files have no configurations; leave it out"),
            ));
        }
        let kwargs = keys.dataset_kwargs.clone();
        let folder = match kwargs.as_ref().and_then(|kwargs| kwargs.data_dir.as_ref()) {
            Some(data_dir) => folder.join(data_dir),
            None => folder.to_owned(),
        };
        let files = |files: OneOrMany| -> Vec<PathBuf> {
            let files: Vec<String> = files.into();
            files.iter().map(|file| folder.join(file)).collect()
        };
        let splits = match kwargs.and_then(|kwargs| kwargs.data_files) {
            None => {
                return Err(wrong(
                    "dataset_kwargs.data_files",
                    "is missing; name the files of each split".into(),
                ));
            }
            // As `datasets` calls the split of files that have none.
            Some(DataFiles::Files(all)) => vec![("train".into(), files(all))],
            Some(DataFiles::Splits(splits)) => splits
                .into_iter()
                .map(|(split, value)| {
                    let of_split: OneOrMany = serde_json::from_value(value).map_err(|error| {
                        wrong(
                            &format!("dataset_kwargs.data_files.{split}"),
                            error.to_string(),
                        )
                    })?;
                    Ok((split, files(of_split)))
                })
                .collect::<Result<_, TaskError>>()?,
        };
        Ok(Self { splits })
    }

    /// The documents of a split; `key` named it.
    pub(super) fn read(
        &self,
        task: &str,
        task_file: &Path,
        key: &str,
        split: &str,
    ) -> Result<Vec<Document>, TaskError> {
        let Some((_, files)) = self.splits.iter().find(|(name, _)| name == split) else {
            let names: Vec<&str> = self.splits.iter().map(|(name, _)| name.as_str()).collect();
            return Err(TaskError::Value {
                path: task_file.into(),
                key: key.into(),
                problem: format!("is {split:?}, but the files have {}", names.join(", ")),
            });
        };
        let documents = potstill_data::read_rows(files);
        documents.map_err(|source| TaskError::Documents {
            task: task.into(),
            source: Box::new(source),
        })
    }
}
