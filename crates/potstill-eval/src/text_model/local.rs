//! A model in this process as a model of text.

use burn::prelude::*;
use burn::tensor::Transaction;
use burn::tensor::activation::log_softmax;
use potstill_core::{CausalLm, Generate, GenerateOptions, LmHead, Taps, TokenBatch, TokenRow};
use potstill_data::{StopStrings, TextTokenizer};

use super::{GenerateUntil, LogLikelihood, ScoredTokens, TextModel};
use crate::Error;
use crate::held_out::CHUNK_LOGITS;

/// Most positions of a batch, padding included.
const BATCH_POSITIONS: usize = 1 << 12;

/// A model in this process with its tokenizer.
///
/// Texts of about the same length are read together, and one that begins another is read there: four
/// answers of one token to a question cost one pass over the question.
#[derive(Clone, Debug)]
pub struct LocalTextModel<M> {
    name: String,
    model: M,
    tokenizer: TextTokenizer,
    window: usize,
}

impl<M: CausalLm + Generate> LocalTextModel<M> {
    /// A model that reads as much at once as it can, taken as it is in validation.
    ///
    /// # Errors
    ///
    /// When the tokenizer has more tokens than the model.
    pub fn new(
        name: impl Into<String>,
        model: &M,
        tokenizer: TextTokenizer,
    ) -> Result<Self, Error> {
        let name = name.into();
        if let Err(source) = tokenizer.check_fits(model.vocab_size()) {
            return Err(Error::Tokenizer {
                model: name,
                source: Box::new(source),
            });
        }
        Ok(Self {
            name,
            model: model.valid(),
            tokenizer,
            window: model.max_positions(),
        })
    }

    /// The same reading at most `window` tokens at once.
    ///
    /// # Panics
    ///
    /// Panics if that is 0 or more than the model has positions.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        let most = self.model.max_positions();
        assert!(
            (1..=most).contains(&window),
            "the model has 1 to {most} positions, not {window}"
        );
        self.window = window;
        self
    }

    fn score_batch(
        &self,
        sequences: &[Sequence<'_>],
        scores: &mut [LogLikelihood],
    ) -> Result<(), Error> {
        let head = self.model.head().truncated(self.tokenizer.vocab_size());
        let rows: Vec<TokenRow> = sequences.iter().map(Sequence::row).collect();
        let device = head.weight.device();
        let batch = TokenBatch::from_rows(&rows, self.tokenizer.pad_id(), &device);
        let encoded = self.model.encode(&batch, &Taps::default());
        let hidden = batch.rows.select(encoded.hidden);
        let mut first = 0;
        let mut targets = Vec::new();
        for sequence in sequences {
            first += sequence.targets(first, &mut targets);
        }
        targets.sort_by_key(|target| target.row);
        let chunk = (CHUNK_LOGITS / head.vocab_size()).max(1);
        for targets in targets.chunk_by(|a, b| a.row / chunk == b.row / chunk) {
            let start = targets[0].row / chunk * chunk;
            let rows = chunk.min(first - start);
            score_rows(
                &head,
                hidden.clone().narrow(0, start, rows),
                start,
                targets,
                scores,
            )?;
        }
        Ok(())
    }
}

impl<M: CausalLm + Generate> TextModel for LocalTextModel<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    fn window(&self) -> usize {
        self.window
    }

    fn score(&self, spans: &[ScoredTokens]) -> Result<Vec<LogLikelihood>, Error> {
        let mut sequences = Sequence::shared(spans);
        sequences.sort_by_key(Sequence::len);
        let mut scores = vec![
            LogLikelihood {
                log_prob: 0.0,
                is_greedy: true,
            };
            spans.len()
        ];
        let mut rest = sequences.as_slice();
        while !rest.is_empty() {
            let fits = |count: &usize| count * rest[count - 1].len() <= BATCH_POSITIONS;
            let count = (2..=rest.len()).take_while(fits).last().unwrap_or(1);
            let (batch, later) = rest.split_at(count);
            self.score_batch(batch, &mut scores)?;
            rest = later;
        }
        Ok(scores)
    }

    fn write(&self, prompts: Vec<Vec<u32>>, options: &GenerateUntil) -> Result<Vec<String>, Error> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Error::TextModel {
            model: self.name.clone(),
            source,
        };
        let stop = StopStrings::new(&self.tokenizer, &options.until)
            .map_err(|source| failed(source.into()))?;
        let generate = GenerateOptions {
            max_new_tokens: options.max_new_tokens,
            sampling: options.sampling,
            stop_tokens: self.tokenizer.eos_id().into_iter().collect(),
            stop_rule: Some(stop.rule()),
            seed: options.seed,
        };
        let generations = self
            .model
            .generate(&prompts, &generate)
            .map_err(|source| failed(source.into()))?;
        if generations.len() != prompts.len() {
            return Err(Error::AnswerCount {
                asked: prompts.len(),
                given: generations.len(),
            });
        }
        let text = |tokens: &[u32]| {
            let text = self.tokenizer.decode(tokens, true);
            text.map(|text| stop.cut(&text).to_owned())
                .map_err(|source| failed(source.into()))
        };
        generations
            .iter()
            .map(|generation| text(&generation.tokens))
            .collect()
    }
}

/// The longest of some spans of which each begins the next.
struct Sequence<'a> {
    longest: &'a ScoredTokens,
    /// All of them, with their place among the spans.
    members: Vec<(usize, &'a ScoredTokens)>,
}

/// A token whose probability is asked for.
struct Target {
    /// Among the rows of the batch that count.
    row: usize,
    token: u32,
    /// Place of the span.
    span: usize,
}

/// What the model reads: the last token is only predicted.
fn input(span: &ScoredTokens) -> &[u32] {
    &span.tokens[..span.tokens.len() - 1]
}

/// The positions behind which a token is scored.
fn positions(span: &ScoredTokens) -> std::ops::Range<usize> {
    let read = span.tokens.len() - 1;
    read - span.scored..read
}

impl<'a> Sequence<'a> {
    fn shared(spans: &'a [ScoredTokens]) -> Vec<Self> {
        let mut order: Vec<(usize, &ScoredTokens)> = spans.iter().enumerate().collect();
        // In descending order, what an input begins comes directly before it.
        order.sort_by(|(_, a), (_, b)| input(b).cmp(input(a)));
        let mut sequences: Vec<Self> = Vec::new();
        for member in order {
            match sequences.last_mut() {
                Some(last) if input(last.longest).starts_with(input(member.1)) => {
                    last.members.push(member);
                }
                _ => sequences.push(Self {
                    longest: member.1,
                    members: vec![member],
                }),
            }
        }
        sequences
    }

    fn len(&self) -> usize {
        input(self.longest).len()
    }

    fn counts(&self) -> Vec<bool> {
        let mut counts = vec![false; self.len()];
        for (_, span) in &self.members {
            counts[positions(span)].fill(true);
        }
        counts
    }

    fn row(&self) -> TokenRow {
        let weights: Vec<f32> = std::iter::once(false)
            .chain(self.counts())
            .map(|counts| if counts { 1.0 } else { 0.0 })
            .collect();
        TokenRow::document(&self.longest.tokens, &weights)
    }

    /// Appends what is asked of this sequence, whose first row is `first`, and returns the number of
    /// its rows.
    fn targets(&self, first: usize, targets: &mut Vec<Target>) -> usize {
        let counts = self.counts();
        let mut rows = Vec::with_capacity(counts.len());
        let mut next = first;
        for counts in counts {
            rows.push(next);
            next += usize::from(counts);
        }
        for &(place, span) in &self.members {
            targets.extend(positions(span).map(|position| Target {
                row: rows[position],
                token: span.tokens[position + 1],
                span: place,
            }));
        }
        next - first
    }
}

/// Adds what some rows say, of which the first is row `start` of the batch.
fn score_rows(
    head: &LmHead,
    hidden: Tensor<2>,
    start: usize,
    targets: &[Target],
    scores: &mut [LogLikelihood],
) -> Result<(), Error> {
    let log_probs = log_softmax(head.logits(hidden), 1);
    let [rows, vocab_size] = log_probs.dims();
    let places: Vec<i32> = targets
        .iter()
        .map(|target| (target.row - start) * vocab_size + target.token as usize)
        .map(|place| i32::try_from(place).expect("a chunk has fewer than 2^31 logits"))
        .collect();
    let places = Tensor::<1, Int>::from_data(
        TensorData::new(places, [targets.len()]),
        &log_probs.device(),
    );
    let likeliest = log_probs.clone().argmax(1);
    let asked = log_probs.reshape([rows * vocab_size]).select(0, places);
    let [likeliest, asked] = Transaction::default()
        .register(likeliest)
        .register(asked)
        .execute()
        .try_into()
        .expect("two tensors were registered");
    let likeliest: Vec<i64> = likeliest.iter::<i64>().collect();
    for (target, log_prob) in targets.iter().zip(asked.iter::<f64>()) {
        if log_prob.is_nan() {
            return Err(Error::NoLikelihood { index: target.span });
        }
        let score = &mut scores[target.span];
        score.log_prob += log_prob;
        score.is_greedy &= likeliest[target.row - start] == i64::from(target.token);
    }
    Ok(())
}
