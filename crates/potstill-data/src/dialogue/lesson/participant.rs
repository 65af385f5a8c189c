//! Who takes part in a lesson.

use std::fmt;
use std::sync::Arc;

use potstill_core::ChatModel;

use super::super::Part;
use crate::Price;

/// A model with a part in a lesson.
#[derive(Clone)]
pub struct Participant {
    /// Its name in the lesson.
    pub name: String,
    /// What it does.
    pub part: Part,
    /// The model.
    pub model: Arc<dyn ChatModel>,
    /// How it speaks, such as "You love examples from cooking."
    pub style: Option<String>,
    /// Ids of the topics that a teacher teaches; `None` teaches all.
    pub topics: Option<Vec<String>>,
    /// Id of the terms under which the model answers, for the policy.
    pub terms: Option<String>,
    /// What its tokens cost, where that is known.
    pub price: Option<Price>,
}

impl fmt::Debug for Participant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Participant")
            .field("name", &self.name)
            .field("part", &self.part)
            .field("model", &self.model.name())
            .finish_non_exhaustive()
    }
}

impl Participant {
    /// Somebody who teaches every topic.
    pub fn teacher(name: impl Into<String>, model: Arc<dyn ChatModel>) -> Self {
        Self {
            name: name.into(),
            part: Part::Teacher,
            model,
            style: None,
            topics: None,
            terms: None,
            price: None,
        }
    }

    /// Somebody who learns.
    pub fn student(name: impl Into<String>, model: Arc<dyn ChatModel>) -> Self {
        Self {
            part: Part::Student,
            ..Self::teacher(name, model)
        }
    }

    /// Says how it speaks.
    #[must_use]
    pub fn with_style(mut self, style: impl Into<String>) -> Self {
        self.style = Some(style.into());
        self
    }

    /// Names the terms under which the model answers.
    #[must_use]
    pub fn with_terms(mut self, terms: impl Into<String>) -> Self {
        self.terms = Some(terms.into());
        self
    }

    /// Says what its tokens cost.
    #[must_use]
    pub fn with_price(mut self, price: Price) -> Self {
        self.price = Some(price);
        self
    }

    /// Teaches only these topics.
    #[must_use]
    pub fn with_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.topics = Some(topics.into_iter().map(Into::into).collect());
        self
    }
}
