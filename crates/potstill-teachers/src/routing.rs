//! Each segment to the teacher that knows about it.
//!
//! One student learns from monolingual specialists without parallel data: every document has its
//! own teacher, and the rows come back in the order of the batch. Tan et al., *Multilingual Neural
//! Machine Translation with Knowledge Distillation*, arXiv:1902.10461.

mod language;
mod merge;

use std::fmt;

use potstill_core::{Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary};

use crate::ensemble::{BoxedTeacher, EnsembleError, common_positions, common_vocabulary};
use crate::segments::{HostBatch, Part};
pub use language::Languages;
use merge::{Answer, merge};

/// Teachers of which one is asked about each segment.
///
/// A teacher reads the segments that are its own and nothing else. Rows of several teachers in one
/// batch need predictions of one kind: whole distributions become [`Prediction::Dense`], rows ×
/// vocabulary f32; a batch that is one teacher's alone keeps its signal as it is.
///
/// [`Prediction::Dense`]: potstill_core::Prediction::Dense
///
/// # Examples
///
/// ```
/// use potstill_core::{Taps, Teacher, TokenBatch, TokenRow};
/// use potstill_teachers::{BoxedTeacher, ModelTeacher, RoutedTeachers};
/// use potstill_testkit::{TinyLm, plain_device};
///
/// let device = plain_device();
/// let teacher = |seed| -> BoxedTeacher {
///     Box::new(ModelTeacher::new(&TinyLm::new(11, 8, 2, seed, &device)))
/// };
/// // Texts that begin with token 1 belong to the first teacher.
/// let mut routed = RoutedTeachers::new(vec![teacher(0), teacher(1)], |tokens| {
///     usize::from(tokens[0] != 1)
/// })?;
///
/// let rows = [[1, 5, 6], [2, 5, 6]].map(|text| TokenRow::document(&text, &[1.0; 3]));
/// let batch = TokenBatch::from_rows(&rows, 0, &device);
/// let signal = routed.signal(&batch, &Taps::default())?;
/// assert_eq!(signal.prediction.kind(), "dense");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct RoutedTeachers {
    teachers: Vec<BoxedTeacher>,
    vocabulary: Vocabulary,
    route: Route,
}

/// The teacher of a segment, from 0.
type Route = Box<dyn FnMut(&[u32]) -> usize + Send>;

impl RoutedTeachers {
    /// Sends each segment to the teacher whose number, from 0, `route` gives for the tokens that a
    /// model reads of it.
    ///
    /// # Errors
    ///
    /// When there is no teacher, or their vocabularies differ (names both).
    pub fn new(
        teachers: Vec<BoxedTeacher>,
        route: impl FnMut(&[u32]) -> usize + Send + 'static,
    ) -> Result<Self, EnsembleError> {
        Ok(Self {
            vocabulary: common_vocabulary(&teachers)?,
            teachers,
            route: Box::new(route),
        })
    }

    /// Sends each segment to the teacher of its language, an ISO 639-3 code such as `"eng"`.
    ///
    /// `decode` makes text of tokens. Only the given languages are considered, since short texts are
    /// easily mistaken; text in no language at all, such as numbers, goes to the first teacher.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new), and when a code is not that of a language that can be detected.
    pub fn by_language(
        specialists: Vec<(&str, BoxedTeacher)>,
        decode: impl Fn(&[u32]) -> String + Send + 'static,
    ) -> Result<Self, EnsembleError> {
        let (codes, teachers): (Vec<&str>, _) = specialists.into_iter().unzip();
        let languages = Languages::new(&codes)?;
        Self::new(teachers, move |tokens| languages.of(&decode(tokens)))
    }

    /// The segments of each teacher.
    fn owners(&mut self, host: &HostBatch) -> Result<Vec<Vec<usize>>, EnsembleError> {
        let teachers = self.teachers.len();
        let mut owned = vec![Vec::new(); teachers];
        for (number, segment) in host.segments().iter().enumerate() {
            if segment.rows.is_empty() {
                continue;
            }
            let teacher = (self.route)(host.tokens(segment));
            owned
                .get_mut(teacher)
                .ok_or(EnsembleError::Route {
                    number: teacher,
                    teachers,
                })?
                .push(number);
        }
        Ok(owned)
    }
}

impl fmt::Debug for RoutedTeachers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoutedTeachers")
            .field("teachers", &self.teachers.len())
            .field("vocabulary", &self.vocabulary)
            .finish_non_exhaustive()
    }
}

impl Teacher for RoutedTeachers {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        common_positions(&self.teachers)
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        let vocab = self.vocabulary.head_size;
        let host = HostBatch::read(batch).map_err(EnsembleError::device)?;
        let owned = self.owners(&host)?;
        let mut asked = (0..owned.len()).filter(|&number| !owned[number].is_empty());
        if let (only, None) = (asked.next().unwrap_or(0), asked.next()) {
            let signal = self.teachers[only].signal(batch, taps)?;
            return Ok(TeacherSignal {
                prediction: signal.prediction.truncated(vocab),
                ..signal
            });
        }
        if !taps.attention_layers().is_empty() {
            return Err(EnsembleError::NothingToTap {
                what: "attention map",
                instead: "drop the objective that taps it",
            }
            .into());
        }
        let device = batch.tokens.device().without_autodiff();
        let mut answers = Vec::new();
        for (number, segments) in owned.iter().enumerate() {
            let Some(Part { batch, places }) = host.only(segments, &device) else {
                continue;
            };
            let signal = self.teachers[number].signal(&batch, taps)?;
            let rows = segments
                .iter()
                .flat_map(|&segment| host.segments()[segment].rows.clone());
            answers.push(Answer {
                number: number + 1,
                prediction: signal.prediction.truncated(vocab),
                tapped: signal.tapped,
                rows: rows.collect(),
                places,
            });
        }
        Ok(merge(answers, host.shape(), &device)?)
    }
}

#[cfg(test)]
mod tests;
