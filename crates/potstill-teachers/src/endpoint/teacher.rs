//! An endpoint that teaches.

use std::sync::Arc;

use burn::prelude::*;
use potstill_core::{
    Prediction, Support, Tapped, Taps, Teacher, TeacherError, TeacherSignal, TokenBatch, Vocabulary,
};

use super::Endpoint;
use super::scoring::NextToken;
use crate::Error;
use crate::segments::{HostBatch, Segment};

/// Tokens of the trial with which a vocabulary is compared.
const TRIAL_TOKENS: usize = 8;

/// A teacher behind a server, on the likeliest tokens of each row.
///
/// The segments of a batch are scored as they are, whoever wrote them: a data set, or the student
/// itself. What a server says is used only where it read exactly the tokens that were sent.
///
/// The prediction is [`Prediction::Sparse`] with [`Support::TopK`]: log-probabilities at temperature
/// 1 under the teacher's whole distribution, and in the tail what all other tokens have. The token
/// that follows in the text is among them, in place of the least likely one if it has to be, so that
/// what needs the probability of the text itself (`SampledReverseKl`, `SequenceReverseKl`) gets the
/// server's. Only a server that takes nothing but text does not tell it for the last row of a segment.
#[derive(Debug)]
pub struct EndpointTeacher {
    endpoint: Arc<Endpoint>,
    vocabulary: Vocabulary,
    top: usize,
    max_positions: Option<usize>,
}

impl EndpointTeacher {
    /// A teacher for students of `vocabulary`, whose predictions name `top` tokens.
    ///
    /// The endpoint must know the bytes of the student's tokens. Where the server reads token ids, a
    /// few tokens of the vocabulary are scored to see that it reads the same ones.
    ///
    /// # Errors
    ///
    /// When the server does not score text or names fewer tokens, or its vocabulary is another one.
    pub fn new(
        endpoint: impl Into<Arc<Endpoint>>,
        vocabulary: Vocabulary,
        top: usize,
    ) -> Result<Self, Error> {
        let endpoint = endpoint.into();
        let scoring = endpoint.scoring(top)?;
        let known = endpoint.known.as_ref();
        let known = known.ok_or_else(|| endpoint.no_token_bytes())?;
        if known.len() > vocabulary.head_size {
            return Err(Error::TokenBytes {
                reason: format!(
                    "there are bytes of {} tokens, but the student's head has {}; give the bytes of the \
                     student's own tokenizer",
                    known.len(),
                    vocabulary.head_size
                ),
            });
        }
        if scoring.takes_ids {
            let size = u32::try_from(known.len()).unwrap_or(u32::MAX);
            let named: Vec<u32> = (0..size)
                .filter(|&id| !known.bytes(id).is_empty())
                .collect();
            let step = named.len().div_ceil(TRIAL_TOKENS);
            let trial: Vec<u32> = named.into_iter().step_by(step).collect();
            endpoint
                .score(&[trial], top)
                .into_iter()
                .collect::<Result<Vec<_>, _>>()?;
        }
        Ok(Self {
            max_positions: endpoint.capabilities()?.max_positions,
            endpoint,
            vocabulary,
            top,
        })
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// What is scored of a segment: up to its last row that counts.
    fn document<'a>(
        &self,
        tokens: &'a [u32],
        segment: &Segment,
    ) -> Result<&'a [u32], TeacherError> {
        let length = segment
            .positions
            .last()
            .map_or(0, |&last| last as usize + 1);
        // One more position is needed for what follows the last token.
        match self.max_positions {
            Some(most) if length + 1 > most => Err(TeacherError::TooLong {
                length: length + 1,
                max_positions: most,
            }),
            _ => Ok(&tokens[..length]),
        }
    }
}

impl Teacher for EndpointTeacher {
    fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    fn max_positions(&self) -> Option<usize> {
        self.max_positions.map(|most| most.saturating_sub(1))
    }

    fn signal(&mut self, batch: &TokenBatch, taps: &Taps) -> Result<TeacherSignal, TeacherError> {
        if *taps != Taps::default() {
            return Err(source(Error::Unsupported {
                server: self.endpoint.config().base_url.clone(),
                feature: "hidden states and attention maps".into(),
                alternative:
                    "use an objective that reads predictions only, or run the teacher here".into(),
            }));
        }
        let device = batch.tokens.device().without_autodiff();
        let host = HostBatch::read(batch).map_err(source)?;
        let segments: Vec<&Segment> = host
            .segments()
            .iter()
            .filter(|segment| !segment.positions.is_empty())
            .collect();
        // What follows each row; that of the last one is no token of the batch.
        let targets = batch.row_targets().try_into_data().map_err(source)?;
        let targets: Vec<Option<u32>> = targets
            .iter::<i64>()
            .map(|target| u32::try_from(target).ok())
            .collect();
        let documents = segments.iter().map(|segment| {
            let follower = targets[segment.rows.clone()].last().copied().flatten();
            let document = self.document(host.tokens(segment), segment);
            document.map(|tokens| (tokens, follower))
        });
        let documents: Vec<_> = documents.collect::<Result<_, _>>()?;
        let scored = self.endpoint.score_cut(&documents, self.top);
        let mut rows = Vec::with_capacity(host.rows());
        for (segment, scored) in segments.iter().zip(scored) {
            let scored = scored.map_err(source)?;
            let positions = segment.positions.iter();
            let own = &targets[segment.rows.clone()];
            rows.extend(
                positions
                    .zip(own)
                    .map(|(&at, &own)| (scored[at as usize].clone(), own)),
            );
        }
        Ok(TeacherSignal {
            prediction: sparse(rows, self.top, &device),
            tapped: Tapped::default(),
        })
    }
}

fn source(error: impl std::error::Error + Send + Sync + 'static) -> TeacherError {
    TeacherError::Source(Box::new(error))
}

/// One rectangle: as many tokens in each row as all rows have and were asked for, the one of the text
/// among them, the others in the tail.
fn sparse(rows: Vec<(NextToken, Option<u32>)>, top: usize, device: &Device) -> Prediction {
    let n = rows.len();
    let named = rows.iter().map(|(row, _)| row.token_ids.len());
    let k = named.min().unwrap_or(1).min(top);
    let rows: Vec<NextToken> = rows
        .into_iter()
        .map(|(row, own)| row.narrowed(k, own))
        .collect();
    let ids = rows.iter().flat_map(|row| &row.token_ids);
    let ids: Vec<i32> = ids.map(|id| id.cast_signed()).collect();
    let log_probs: Vec<f32> = rows.iter().flat_map(|row| row.log_probs.clone()).collect();
    let tail: Vec<f32> = rows.iter().map(|row| row.tail).collect();
    Prediction::Sparse {
        token_ids: Tensor::from_data(TensorData::new(ids, [n, k]), device),
        log_probs: Tensor::from_data(TensorData::new(log_probs, [n, k]), device),
        support: Support::TopK {
            tail: Tensor::from_data(TensorData::new(tail, [n]), device),
        },
    }
}
