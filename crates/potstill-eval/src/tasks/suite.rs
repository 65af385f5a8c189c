//! Tasks and groups that are run together.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::files::Named;
use super::group::{Average, Group, GroupRun};
use super::keys::GroupKeys;
use super::{PromptFormat, Task, TaskError, TaskFiles, TaskRun, config, python, yaml};
use crate::{Results, TextModel};

/// Tasks, and the groups that they belong to, from [`TaskFiles::suite`].
#[derive(Debug)]
pub struct TaskSuite {
    tasks: Vec<Task>,
    /// Each in front of those that it holds.
    groups: Vec<Group>,
}

impl TaskSuite {
    /// The tasks, in the order in which they are run.
    #[must_use]
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// The same on the first `documents` of each task alone.
    ///
    /// # Panics
    ///
    /// Panics if that is none.
    #[must_use]
    pub fn with_limit(mut self, documents: usize) -> Self {
        let tasks = self.tasks.into_iter();
        self.tasks = tasks.map(|task| task.with_limit(documents)).collect();
        self
    }

    /// The same with prompts put in another way.
    #[must_use]
    pub fn with_prompt_format(mut self, format: &PromptFormat) -> Self {
        let tasks = self.tasks.into_iter();
        self.tasks = tasks.map(|task| task.with_prompt_format(format)).collect();
        self
    }

    /// Runs every task on `model`, and averages what groups average.
    ///
    /// # Errors
    ///
    /// When a task fails, as [`Task::run`] does. A group is never judged on some of its tasks alone.
    pub fn run(&self, model: &dyn TextModel) -> Result<SuiteRun, TaskError> {
        let runs = self.tasks.iter().map(|task| task.run(model));
        let runs: Vec<TaskRun> = runs.collect::<Result<_, _>>()?;
        let groups = self.groups.iter().map(|group| group.run(&runs));
        Ok(SuiteRun {
            groups: groups.collect::<Result<_, _>>()?,
            runs,
        })
    }
}

/// What a model got on a [`TaskSuite`].
#[derive(Clone, Debug, PartialEq)]
pub struct SuiteRun {
    /// What it got on each task.
    pub runs: Vec<TaskRun>,
    /// What that comes to in each group; a group stands in front of those that it holds.
    pub groups: Vec<GroupRun>,
}

impl SuiteRun {
    /// The task of that name.
    #[must_use]
    pub fn task(&self, name: &str) -> Option<&TaskRun> {
        self.runs.iter().find(|run| run.task == name)
    }

    /// The group of that name.
    #[must_use]
    pub fn group(&self, name: &str) -> Option<&GroupRun> {
        self.groups.iter().find(|run| run.group == name)
    }

    /// `results` with the numbers of all tasks and groups.
    #[must_use]
    pub fn add_to(&self, results: Results) -> Results {
        let runs = self.runs.iter();
        let results = runs.fold(results, |results, run| run.add_to(results));
        let groups = self.groups.iter();
        groups.fold(results, |results, group| group.add_to(results))
    }
}

/// Keys that a group gives to its tasks.
#[derive(Clone, Debug, Default)]
struct Given {
    keys: Map<String, Value>,
    /// The group's file, if it says where data is.
    data_from: Option<PathBuf>,
}

impl Given {
    /// What the group in `path` gives.
    fn new(keys: Map<String, Value>, path: &Path) -> Result<Self, TaskError> {
        let mut whole = keys.clone();
        whole.insert("task".into(), "".into());
        config::checked(&mut whole, path).map_err(|error| match error {
            TaskError::Keys { path, source } => TaskError::Group { path, source },
            other => other,
        })?;
        let data_from = keys.contains_key("dataset_kwargs").then(|| path.into());
        Ok(Self { keys, data_from })
    }

    /// The same with `more`, which wins.
    fn with(&self, more: &Self) -> Self {
        let mut keys = self.keys.clone();
        keys.extend(more.keys.clone());
        Self {
            keys,
            data_from: more.data_from.clone().or(self.data_from.clone()),
        }
    }
}

/// Collects tasks and groups by name.
pub(super) struct Loader<'a> {
    files: &'a TaskFiles,
    tasks: Vec<Task>,
    groups: Vec<Group>,
    taken: HashSet<String>,
    /// The groups around the one that is read.
    within: Vec<String>,
}

impl<'a> Loader<'a> {
    pub(super) fn new(files: &'a TaskFiles) -> Self {
        Self {
            files,
            tasks: Vec::new(),
            groups: Vec::new(),
            taken: HashSet::new(),
            within: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: &str) -> Result<(), TaskError> {
        self.named(name, &Given::default()).map(drop)
    }

    pub(super) fn finish(self) -> TaskSuite {
        TaskSuite {
            tasks: self.tasks,
            groups: self.groups,
        }
    }

    /// Adds what `name` stands for, and returns what that is called.
    fn named(&mut self, name: &str, given: &Given) -> Result<Vec<String>, TaskError> {
        match self.files.find(name)? {
            Some(Named::Task(path)) => {
                self.task(name.into(), yaml::read(path)?, path, given)?;
                Ok(vec![name.into()])
            }
            Some(Named::Group(path)) => {
                self.group(name.into(), yaml::read(path)?, path, given)?;
                Ok(vec![name.into()])
            }
            Some(Named::Tag(tasks)) => {
                for task in tasks {
                    self.named(task, given)?;
                }
                Ok(tasks.iter().cloned().collect())
            }
            None => Err(self.missing(name)),
        }
    }

    fn missing(&self, name: &str) -> TaskError {
        self.files
            .missing(name, self.within.last().map(String::as_str))
    }

    fn take(&mut self, name: &str) -> Result<(), TaskError> {
        match self.taken.insert(name.to_owned()) {
            true => Ok(()),
            false => Err(TaskError::Twice { name: name.into() }),
        }
    }

    fn task(
        &mut self,
        name: String,
        mut config: Map<String, Value>,
        path: &Path,
        given: &Given,
    ) -> Result<(), TaskError> {
        self.take(&name)?;
        config.extend(given.keys.clone());
        config.insert("task".into(), name.into());
        let data_from = given.data_from.as_deref().unwrap_or(path);
        self.tasks.push(Task::of(config, path, data_from)?);
        Ok(())
    }

    fn group(
        &mut self,
        name: String,
        mut config: Map<String, Value>,
        path: &Path,
        outer: &Given,
    ) -> Result<(), TaskError> {
        if let Some(first) = self.within.iter().position(|around| *around == name) {
            let mut names = self.within[first..].to_vec();
            names.push(name);
            return Err(TaskError::GroupCycle { names });
        }
        self.take(&name)?;
        let wrong = |key: String, problem: String| TaskError::Value {
            path: path.into(),
            key,
            problem,
        };
        let keys = GroupKeys::take(&mut config).map_err(|source| TaskError::Group {
            path: path.into(),
            source,
        })?;
        let averages = keys.aggregate_metric_list.into_iter().enumerate();
        let averages = averages.map(|(place, keys)| {
            Average::new(keys).map_err(|(key, problem)| {
                wrong(format!("aggregate_metric_list.{place}.{key}"), problem)
            })
        });
        let averages: Vec<Average> = averages.collect::<Result<_, _>>()?;
        if keys.task.is_empty() {
            return Err(wrong("task".into(), "names no member of the group".into()));
        }
        let given = Given::new(config, path)?.with(outer);
        let version = keys.metadata.as_ref().and_then(|data| data.get("version"));
        let place = self.groups.len();
        let first = self.tasks.len();
        self.groups.push(Group {
            alias: keys.group_alias.unwrap_or_else(|| name.clone()),
            version: version.map_or_else(|| "N/A".into(), python::text),
            members: Vec::new(),
            tasks: first..first,
            averages,
            name: name.clone(),
        });
        self.within.push(name);
        let mut members = Vec::new();
        for (place, member) in keys.task.into_iter().enumerate() {
            let wrong = |problem: String| wrong(format!("task.{place}"), problem);
            members.extend(self.member(member, path, &given, &wrong)?);
        }
        self.within.pop();
        let group = &mut self.groups[place];
        group.members = members;
        group.tasks.end = self.tasks.len();
        let tasks = &self.tasks[group.tasks.clone()];
        let problem = group.averages.iter().find_map(|one| one.problem(tasks));
        match problem {
            Some(problem) => Err(wrong("aggregate_metric_list".into(), problem)),
            None => Ok(()),
        }
    }

    /// A member as the file in `path` writes it.
    fn member(
        &mut self,
        member: Value,
        path: &Path,
        given: &Given,
        wrong: &dyn Fn(String) -> TaskError,
    ) -> Result<Vec<String>, TaskError> {
        let mut keys = match member {
            Value::String(name) => return self.named(&name, given),
            Value::Object(keys) => keys,
            other => {
                return Err(wrong(format!(
                    "is {other}; a member is a name or a mapping"
                )));
            }
        };
        let around = self.within.last().cloned().unwrap_or_default();
        let text = |value: Value| match value {
            Value::String(name) => Ok(name),
            other => Err(wrong(format!("is called {other}, which is no text"))),
        };
        if let Some(name) = keys.remove("group") {
            let name = text(name)?;
            return match self.files.find(&name)? {
                None => {
                    let name = format!("{around}::{name}");
                    self.group(name.clone(), keys, path, given)?;
                    Ok(vec![name])
                }
                Some(Named::Group(_)) if keys.contains_key("task") => Err(wrong(format!(
                    "has members for the group `{name}`, which has its own in another file"
                ))),
                Some(Named::Group(_)) => self.named(&name, &given.with(&Given::new(keys, path)?)),
                Some(_) => Err(wrong(format!("calls `{name}` a group, which it is not"))),
            };
        }
        let Some(name) = keys.remove("task") else {
            return Err(wrong("has neither the key `task` nor `group`".into()));
        };
        let name = text(name)?;
        let given = given.with(&Given::new(keys, path)?);
        match self.files.find(&name)? {
            Some(Named::Task(_)) => self.named(&name, &given),
            Some(_) => Err(wrong(format!(
                "calls `{name}` a task, which it is not; what groups are given stands beside `group`"
            ))),
            None if given.keys.contains_key("dataset_path") => {
                let name = format!("{around}::{name}");
                self.task(name.clone(), Map::new(), path, &given)?;
                Ok(vec![name])
            }
            None => Err(self.missing(&name)),
        }
    }
}
