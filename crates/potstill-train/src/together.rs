//! Several students that learn at the same time.

use crate::{Error, Outcome, Trainer};
use potstill_core::{CausalLm, Objective};

/// A run that is taken forward step by step, whatever its student and its objective are: a
/// [`Trainer`], for [`run_together`].
pub trait Learner {
    /// Steps finished.
    fn finished_steps(&self) -> usize;

    /// Makes the run ready for its first step.
    ///
    /// # Errors
    ///
    /// As [`Trainer::begin`].
    fn begin(&mut self) -> Result<(), Error>;

    /// Takes one step, or gives the outcome when the run is over.
    ///
    /// # Errors
    ///
    /// As [`Trainer::advance`].
    fn advance(&mut self) -> Result<Option<Outcome>, Error>;
}

impl<S: CausalLm, O: Objective> Learner for Trainer<S, O> {
    fn finished_steps(&self) -> usize {
        Self::finished_steps(self)
    }

    fn begin(&mut self) -> Result<(), Error> {
        Self::begin(self)
    }

    fn advance(&mut self) -> Result<Option<Outcome>, Error> {
        Self::advance(self)
    }
}

/// Runs all of them to their ends, a step of each in turns; gives the outcomes in their order.
///
/// Whoever has taken the fewest steps comes next, so that students of one interrupted course meet
/// again wherever their checkpoints were. Each keeps its own configuration, log and run folder, and trains
/// as it would alone; what they have in common is in their teachers:
///
/// - one teacher whose forward pass is paid once: give each a clone of one `SharedTeacher`, and sources
///   that give the same batches;
/// - no teacher but each other, as in deep mutual learning (arXiv:1706.00384): give each the others as a
///   `PeerGroup` has them, and let the group look on through [`Trainer::onlooker`].
///
/// Students that teach each other go on exactly as without an interruption when their newest checkpoints are
/// of the same step; a kill between two of them leaves one behind, which then catches up with the
/// others as they are.
///
/// # Errors
///
/// The first one that any of them runs into.
///
/// # Examples
///
/// ```
/// use potstill_core::{TokenBatch, TokenRow};
/// use potstill_losses::{Divergence, SoftTarget};
/// use potstill_teachers::{ModelTeacher, SharedTeacher};
/// use potstill_testkit::{TinyLm, plain_device};
/// use potstill_train::{FixedBatches, Trainer, TrainerConfig, run_together};
///
/// let device = plain_device();
/// let teacher = SharedTeacher::new(ModelTeacher::new(&TinyLm::new(11, 8, 2, 0, &device)));
/// let row = TokenRow::document(&[3, 1, 4, 1, 5, 9, 2, 6], &[1.0; 8]);
/// let source = FixedBatches::new(vec![TokenBatch::from_rows(&[row], 0, &device)]);
/// let trainer = |d_model| {
///     let student = TinyLm::new(11, d_model, 1, 1, &device);
///     let objective = SoftTarget::new(Divergence::ForwardKl);
///     let config = TrainerConfig::steps(20);
///     Trainer::new(config, student, objective, teacher.clone(), source.clone())
/// };
/// let (mut small, mut large) = (trainer(4)?, trainer(6)?);
/// run_together(&mut [&mut small, &mut large])?;
/// assert_eq!(teacher.passes(), 1, "there is one batch, and both have learned from it");
/// # Ok::<(), potstill_train::Error>(())
/// ```
pub fn run_together(learners: &mut [&mut dyn Learner]) -> Result<Vec<Outcome>, Error> {
    for learner in &mut *learners {
        learner.begin()?;
    }
    let mut outcomes = vec![None; learners.len()];
    loop {
        let learning = (0..learners.len()).filter(|&number| outcomes[number].is_none());
        let Some(next) = learning.min_by_key(|&number| learners[number].finished_steps()) else {
            return Ok(outcomes.into_iter().flatten().collect());
        };
        outcomes[next] = learners[next].advance()?;
    }
}
