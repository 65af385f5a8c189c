//! Task files that name each other.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::suite::Loader;
use super::{TaskError, TaskSuite, yaml};

/// Folders that hold copies.
const IGNORED: [&str; 2] = ["__pycache__", ".ipynb_checkpoints"];

/// Files in which tasks, groups of tasks and tags are found by name.
///
/// A file with the key `task` is a task, with the key `group` a group:
///
/// | keys of a group | |
/// |---|---|
/// | `group`, `group_alias`, `metadata.version` | what it is called |
/// | `task` | its members: names of tasks, groups and tags; a task or group of other files with keys of its own (`{task: NAME, num_fewshot: 5}`, `{group: NAME, num_fewshot: 5}`); a task or group that is written here, which is then called `GROUP::NAME` |
/// | `aggregate_metric_list` | what is averaged over its tasks: `metric`, `filter_list`, `weight_by_size`, `aggregation: mean` |
/// | `include` | other files, whose keys this one can replace |
/// | keys of tasks | what every task in it is given; an outer group's win over them, a member's own over all |
///
/// Files that need Python are known by their names and refused when they are asked for.
///
/// ```
/// use potstill_eval::TaskFiles;
///
/// # let folder = tempfile::tempdir()?;
/// # let path = |name: &str| folder.path().join(name);
/// # std::fs::write(path("things.jsonl"), r#"{"thing": "sky", "color": "blue", "sound": "wind"}"#)?;
/// # for (name, target) in [("colors", "color"), ("sounds", "sound")] {
/// #     std::fs::write(path(&format!("{name}.yaml")), format!("task: {name}\ndataset_path: json\n\
/// #         dataset_kwargs: {{data_files: {{test: things.jsonl}}}}\ntest_split: test\n\
/// #         doc_to_text: thing\ndoc_to_target: {target}\n"))?;
/// # }
/// std::fs::write(
///     path("everyday.yaml"),
///     "
/// group: everyday
/// task:
///   - colors
///   - {task: sounds, description: 'Which sound is it?'}
/// aggregate_metric_list:
///   - metric: exact_match
/// ",
/// )?;
/// let suite = TaskFiles::read([folder.path()])?.suite(&["everyday"])?;
/// let names: Vec<&str> = suite.tasks().iter().map(|task| task.name()).collect();
/// assert_eq!(names, ["colors", "sounds"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct TaskFiles {
    searched: Vec<PathBuf>,
    named: BTreeMap<String, Vec<Found>>,
    /// Tasks by tag.
    tags: BTreeMap<String, BTreeSet<String>>,
    /// Files of a folder that are no YAML, or cannot be read.
    unread: Vec<PathBuf>,
}

/// A file that a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Found {
    Task(PathBuf),
    Group(PathBuf),
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Named<'a> {
    Task(&'a Path),
    Group(&'a Path),
    Tag(&'a BTreeSet<String>),
}

impl TaskFiles {
    /// Looks into files, and into folders for files that end in `.yaml`.
    ///
    /// In a folder, a file that cannot be read has no name; one that is named here has to be readable.
    ///
    /// # Errors
    ///
    /// When a folder or a file cannot be read.
    pub fn read<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, TaskError> {
        let mut files = Self {
            searched: Vec::new(),
            named: BTreeMap::new(),
            tags: BTreeMap::new(),
            unread: Vec::new(),
        };
        for path in paths {
            let path = path.as_ref();
            if path.is_dir() {
                files.read_folder(path)?;
            } else {
                files.read_file(path)?;
            }
            files.searched.push(path.into());
        }
        Ok(files)
    }

    fn read_folder(&mut self, folder: &Path) -> Result<(), TaskError> {
        let failed = |source| TaskError::Read {
            path: folder.into(),
            source,
        };
        let mut entries = fs::read_dir(folder)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let name = entry.file_name();
            // A linked folder may lead back here; a linked file cannot.
            if entry.file_type().map_err(failed)?.is_dir() {
                if !IGNORED.iter().any(|ignored| name == *ignored) {
                    self.read_folder(&path)?;
                }
            } else if path.extension().is_some_and(|end| end == "yaml")
                && self.read_file(&path).is_err()
            {
                self.unread.push(path);
            }
        }
        Ok(())
    }

    fn read_file(&mut self, path: &Path) -> Result<(), TaskError> {
        let outline = yaml::outline(path)?;
        let name = |key: &str| outline.get(key).and_then(Value::as_str);
        let (name, found) = match (name("task"), outline.get("group").is_some()) {
            (_, true) => (name("group"), Found::Group(path.into())),
            (task, false) => (task, Found::Task(path.into())),
        };
        // What others include needs no name.
        let Some(name) = name else { return Ok(()) };
        if matches!(found, Found::Task(_)) {
            let tags = match outline.get("tag") {
                Some(Value::Array(tags)) => tags.iter().filter_map(Value::as_str).collect(),
                Some(Value::String(tag)) => vec![tag.as_str()],
                _ => Vec::new(),
            };
            for tag in tags {
                let tasks = self.tags.entry(tag.to_owned()).or_default();
                tasks.insert(name.to_owned());
            }
        }
        self.named.entry(name.to_owned()).or_default().push(found);
        Ok(())
    }

    /// The names of tasks, groups and tags.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = self.named.keys().chain(self.tags.keys());
        names
            .map(String::as_str)
            .collect::<BTreeSet<&str>>()
            .into_iter()
    }

    /// The tasks and groups that are called so, or have such a tag, with their documents.
    ///
    /// # Errors
    ///
    /// When a name is in no file or in several, a group holds itself, a task comes twice, or a file is
    /// refused as [`Task::read`](crate::Task::read) refuses it.
    ///
    /// # Panics
    ///
    /// Panics if there are no names.
    pub fn suite(&self, names: &[&str]) -> Result<TaskSuite, TaskError> {
        assert!(!names.is_empty(), "a suite needs at least one name");
        let mut loader = Loader::new(self);
        for name in names {
            loader.add(name)?;
        }
        Ok(loader.finish())
    }

    /// What `name` stands for, if anything.
    pub(super) fn find(&self, name: &str) -> Result<Option<Named<'_>>, TaskError> {
        let found = self.named.get(name).map(Vec::as_slice).unwrap_or_default();
        let path = |found: &Found| match found {
            Found::Task(path) | Found::Group(path) => path.clone(),
        };
        match (found, self.tags.get(name)) {
            ([], None) => Ok(None),
            ([], Some(tasks)) => Ok(Some(Named::Tag(tasks))),
            ([Found::Task(path)], None) => Ok(Some(Named::Task(path))),
            ([Found::Group(path)], None) => Ok(Some(Named::Group(path))),
            ([one], Some(_)) => Err(TaskError::TagOfAnother {
                name: name.into(),
                path: path(one),
            }),
            ([first, second, ..], _) => Err(TaskError::SameName {
                name: name.into(),
                paths: [path(first), path(second)],
            }),
        }
    }

    /// That `wanted_by` needs a name which nothing here has.
    pub(super) fn missing(&self, name: &str, wanted_by: Option<&str>) -> TaskError {
        let alike = |known: &str| {
            let pairs = name.chars().zip(known.chars());
            pairs.take_while(|(a, b)| a == b).count()
        };
        let mut known: Vec<String> = self.names().map(str::to_owned).collect();
        known.sort_by_key(|known| Reverse(alike(known)));
        TaskError::NoSuchName {
            name: name.into(),
            wanted_by: wanted_by.map(str::to_owned),
            known,
            searched: self.searched.clone(),
            unread: self.unread.clone(),
        }
    }
}
