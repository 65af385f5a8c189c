//! Where the next batch comes from.

use std::fmt;

use burn::prelude::Device;
use potstill_core::TokenBatch;
use potstill_data::{Loader, LoaderState};
use serde_json::{Value, json};

use crate::{BoxError, Demands};

/// Gives the next batch, and may look at the student to do so.
///
/// Off-policy, on-policy and mixed training differ in their source, not in the trainer.
pub trait BatchSource<S> {
    /// The next micro-batch, on the student's device without autodiff; `None` ends the run.
    ///
    /// `student` is the model in training. To generate with it, take `student.valid()`.
    ///
    /// # Errors
    ///
    /// When there should be a batch, but it cannot be made.
    fn next_batch(&mut self, student: &S) -> Result<Option<TokenBatch>, BoxError>;

    /// Micro-batches of one pass over the data, where that means something.
    fn batches_per_epoch(&self) -> Option<usize> {
        None
    }

    /// What the batches ask of the models, where that is known before the first one: data that they
    /// cannot read is then refused before training starts, not in the middle of it.
    fn demands(&self) -> Option<Demands> {
        None
    }

    /// What it has to say about the batches since it was last asked, as names and values.
    ///
    /// The trainer asks after each step and logs them as `source/NAME`.
    fn observations(&mut self) -> Vec<(String, f64)> {
        Vec::new()
    }

    /// What the batches depend on beside the data and the position, such as their size: a run only
    /// continues with the same.
    fn settings(&self) -> Value {
        Value::Null
    }

    /// Everything needed to continue with the batch after the last one given.
    ///
    /// # Errors
    ///
    /// When the state cannot be expressed as JSON.
    fn state(&self) -> Result<Value, BoxError>;

    /// Continues from a [`state`](Self::state).
    ///
    /// # Errors
    ///
    /// When it is not a state of this source, or the data is not what it was.
    fn restore(&mut self, state: &Value) -> Result<(), BoxError>;
}

impl<S, T: BatchSource<S> + ?Sized> BatchSource<S> for Box<T> {
    fn next_batch(&mut self, student: &S) -> Result<Option<TokenBatch>, BoxError> {
        (**self).next_batch(student)
    }
    fn batches_per_epoch(&self) -> Option<usize> {
        (**self).batches_per_epoch()
    }
    fn demands(&self) -> Option<Demands> {
        (**self).demands()
    }
    fn observations(&mut self) -> Vec<(String, f64)> {
        (**self).observations()
    }
    fn settings(&self) -> Value {
        (**self).settings()
    }
    fn state(&self) -> Result<Value, BoxError> {
        (**self).state()
    }
    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        (**self).restore(state)
    }
}

/// The batches of a [`Loader`].
#[derive(Clone, Debug)]
pub struct LoaderBatches {
    loader: Loader,
    pad_token: u32,
    device: Device,
}

impl LoaderBatches {
    /// Batches on `device` (autodiff is switched off), padded with `pad_token`.
    #[must_use]
    pub fn new(loader: Loader, pad_token: u32, device: &Device) -> Self {
        Self {
            loader,
            pad_token,
            device: device.clone().without_autodiff(),
        }
    }
}

impl<S> BatchSource<S> for LoaderBatches {
    fn next_batch(&mut self, _: &S) -> Result<Option<TokenBatch>, BoxError> {
        Ok(self.loader.next_batch(self.pad_token, &self.device))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.loader.batches_per_epoch())
    }

    fn demands(&self) -> Option<Demands> {
        Some(Demands::of_rows(self.loader.rows(), self.pad_token))
    }

    // Not the seed of the shuffle: a loader takes over the one of its saved position.
    fn settings(&self) -> Value {
        let options = self.loader.options();
        json!({
            "batch_size": options.batch_size,
            "drop_last": options.drop_last,
            "epochs": options.epochs,
            "pad_token": self.pad_token,
        })
    }

    fn state(&self) -> Result<Value, BoxError> {
        Ok(serde_json::to_value(self.loader.state())?)
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        let state: LoaderState = serde_json::from_value(state.clone())?;
        Ok(self.loader.restore(&state)?)
    }
}

/// Ready-made batches, over and over in the same order.
#[derive(Clone, Debug)]
pub struct FixedBatches {
    batches: Vec<TokenBatch>,
    next: usize,
}

impl FixedBatches {
    /// Cycles through `batches`.
    ///
    /// # Panics
    ///
    /// Panics if `batches` is empty.
    #[must_use]
    pub fn new(batches: Vec<TokenBatch>) -> Self {
        assert!(!batches.is_empty(), "a source needs at least one batch");
        Self { batches, next: 0 }
    }
}

impl<S> BatchSource<S> for FixedBatches {
    fn next_batch(&mut self, _: &S) -> Result<Option<TokenBatch>, BoxError> {
        let batch = self.batches[self.next % self.batches.len()].clone();
        self.next += 1;
        Ok(Some(batch))
    }

    fn batches_per_epoch(&self) -> Option<usize> {
        Some(self.batches.len())
    }

    fn demands(&self) -> Option<Demands> {
        Some(Demands::of_batches(&self.batches))
    }

    fn settings(&self) -> Value {
        let rows: Vec<usize> = self
            .batches
            .iter()
            .map(|batch| batch.rows.count())
            .collect();
        json!({ "rows_that_count": rows })
    }

    fn state(&self) -> Result<Value, BoxError> {
        Ok(json!({ "next": self.next }))
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        self.next = position(state)?;
        Ok(())
    }
}

/// Batches made by a function of their number (from 0) and the student.
///
/// Resuming continues with the next number, so a function that depends on nothing else resumes
/// exactly.
pub struct BatchFn<F> {
    make: F,
    next: usize,
}

impl<F> BatchFn<F> {
    /// Asks `make` for each batch; `None` ends the run.
    pub fn new<S>(make: F) -> Self
    where
        F: FnMut(usize, &S) -> Result<Option<TokenBatch>, BoxError>,
    {
        Self { make, next: 0 }
    }
}

impl<F> fmt::Debug for BatchFn<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BatchFn")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl<S, F> BatchSource<S> for BatchFn<F>
where
    F: FnMut(usize, &S) -> Result<Option<TokenBatch>, BoxError>,
{
    fn next_batch(&mut self, student: &S) -> Result<Option<TokenBatch>, BoxError> {
        let batch = (self.make)(self.next, student)?;
        self.next += 1;
        Ok(batch)
    }

    fn state(&self) -> Result<Value, BoxError> {
        Ok(json!({ "next": self.next }))
    }

    fn restore(&mut self, state: &Value) -> Result<(), BoxError> {
        self.next = position(state)?;
        Ok(())
    }
}

fn position(state: &Value) -> Result<usize, BoxError> {
    let next = state.get("next").and_then(Value::as_u64);
    let next = next.and_then(|next| usize::try_from(next).ok());
    next.ok_or_else(|| format!("expected {{\"next\": position}}, found {state}").into())
}
