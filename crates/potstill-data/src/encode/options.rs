//! Which tokens count, and how long a document may be.

use potstill_core::Role;
use serde::{Deserialize, Serialize};

/// Which tokens of a record count towards the loss.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossOn {
    /// What the model has to write: the assistant's turns, completions, and plain text as a whole.
    #[default]
    Completions,
    /// Every token, also of prompts and of the template.
    Everything,
    /// The turns of these roles. A prompt is the user's turn and a completion the assistant's; plain
    /// text has no role and does not count.
    Roles(Vec<Role>),
}

impl LossOn {
    pub(super) fn counts(&self, role: &Role) -> bool {
        match self {
            Self::Completions => *role == Role::Assistant,
            Self::Everything => true,
            Self::Roles(roles) => roles.contains(role),
        }
    }
}

/// Which end of a document survives when it is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The beginning.
    #[default]
    Start,
    /// The end.
    End,
}

/// How records are encoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EncodeOptions {
    /// Which tokens count.
    pub loss_on: LossOn,
    /// Appends the end-of-text token to completions and to plain text, so that the student learns
    /// where to stop. A conversation ends as its template says.
    pub append_eos: bool,
    /// Most tokens of a document; longer ones are cut. Without it they stay whole, and packing
    /// splits them.
    pub max_tokens: Option<usize>,
    /// What survives a cut.
    pub keep: Keep,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self {
            loss_on: LossOn::default(),
            append_eos: true,
            max_tokens: None,
            keep: Keep::Start,
        }
    }
}
