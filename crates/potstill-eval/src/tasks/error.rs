//! What can go wrong between a task file and its numbers.

use std::fmt::Display;
use std::path::PathBuf;

/// Why a task has no numbers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A task file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A task file is not YAML.
    #[error("{}: {problem}", path.display())]
    Yaml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        problem: String,
    },
    /// Files that include each other.
    #[error("{} includes itself", path.display())]
    IncludeCycle {
        /// The file.
        path: PathBuf,
    },
    /// A task that is not only data.
    #[error(
        "{}: `{key}` needs Python ({what}); only task files that are data alone can be run here",
        path.display()
    )]
    Python {
        /// The file.
        path: PathBuf,
        /// The key, with those around it.
        key: String,
        /// The function, or what the key is for.
        what: String,
    },
    /// A key that is unknown, missing, or has a value of the wrong kind.
    #[error("{} is not a task", path.display())]
    Keys {
        /// The file.
        path: PathBuf,
        /// Which key, and what would be right.
        #[source]
        source: serde_json::Error,
    },
    /// A key of a group that is unknown, missing, or has a value of the wrong kind.
    #[error("{} is not a group of tasks", path.display())]
    Group {
        /// The file.
        path: PathBuf,
        /// Which key, and what would be right.
        #[source]
        source: serde_json::Error,
    },
    /// A name that no file has.
    #[error(
        "{}`{name}` is not the name of a task, a group or a tag in {}{}; there are {}",
        wanted_by.as_ref().map(|group| format!("{group}: ")).unwrap_or_default(),
        listed(searched.iter().map(|path| path.display())),
        unread_note(unread),
        listed(known),
    )]
    NoSuchName {
        /// The name.
        name: String,
        /// The group that has it as a member; `None` if it was asked for.
        wanted_by: Option<String>,
        /// The names that there are, those that begin alike first.
        known: Vec<String>,
        /// Where they were looked for.
        searched: Vec<PathBuf>,
        /// Files there that cannot be read.
        unread: Vec<PathBuf>,
    },
    /// A name that two files have.
    #[error(
        "{} and {} are both called `{name}`; leave one of them out",
        paths[0].display(),
        paths[1].display()
    )]
    SameName {
        /// The name.
        name: String,
        /// Two of the files.
        paths: [PathBuf; 2],
    },
    /// A tag that is also a name.
    #[error(
        "`{name}` is a tag of tasks and the name of {}; call one of them otherwise",
        path.display()
    )]
    TagOfAnother {
        /// The tag.
        name: String,
        /// The file.
        path: PathBuf,
    },
    /// A group that is a member of itself.
    #[error("the group `{}` holds itself: {}", names[0], names.join(" > "))]
    GroupCycle {
        /// The way from the group to itself.
        names: Vec<String>,
    },
    /// A task or group that comes twice.
    #[error(
        "`{name}` comes twice, and results have room for one of that name; leave one of them out, or \
         call it otherwise"
    )]
    Twice {
        /// Its name.
        name: String,
    },
    /// A value that is not supported, or makes no sense.
    #[error("{}: `{key}` {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// A file of documents cannot be read.
    #[error("{task} has no documents")]
    Documents {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<potstill_data::Error>,
    },
    /// A document that the task cannot use.
    #[error("{task}, document {document}: {problem}")]
    Document {
        /// The task.
        task: String,
        /// Index of the document.
        document: usize,
        /// What is wrong.
        problem: String,
    },
    /// The model failed.
    #[error("{model} cannot do {task}")]
    Model {
        /// The model.
        model: String,
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<crate::Error>,
    },
    /// What came out has no scores.
    #[error("{task} has no scores")]
    Scores {
        /// The task.
        task: String,
        /// Why.
        #[source]
        source: Box<crate::Error>,
    },
}

/// Most names that a message lists.
const MOST_LISTED: usize = 20;

fn listed<T: Display>(names: impl IntoIterator<Item = T>) -> String {
    let mut names: Vec<String> = names.into_iter().map(|name| name.to_string()).collect();
    let more = names.len().saturating_sub(MOST_LISTED);
    names.truncate(MOST_LISTED);
    match (names.is_empty(), more) {
        (true, _) => "none".into(),
        (false, 0) => names.join(", "),
        (false, more) => format!("{} and {more} more", names.join(", ")),
    }
}

fn unread_note(unread: &[PathBuf]) -> String {
    match unread {
        [] => String::new(),
        [first, rest @ ..] => format!(
            " ({} there cannot be read{})",
            first.display(),
            match rest.len() {
                0 => String::new(),
                more => format!(", nor can {more} more"),
            }
        ),
    }
}
