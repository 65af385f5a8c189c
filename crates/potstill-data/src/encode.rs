//! Records to token ids, each with its weight in the loss.

mod options;
mod report;

use std::ops::Range;

use potstill_core::Role;
use rayon::prelude::*;
use tokenizers::Encoding;

use crate::turn_spans::render_turns;
use crate::{ChatTemplate, Content, Document, Error, Record, TextTokenizer};

pub use options::{EncodeOptions, Keep, LossOn};
pub use report::{EncodeReport, Rejection};

/// Encodes one record.
///
/// A conversation is rendered and then encoded as one text; a token counts when it overlaps a turn
/// that does. A prompt and its completion are encoded as one text where that keeps the prompt's own
/// tokens, and one after the other where it does not, since the student will see the prompt alone.
///
/// # Errors
///
/// When the record is a conversation and there is no template, when no end-of-text token is known,
/// or when this record cannot be used: the template refuses it, nothing in it counts, and so on.
/// [`Rejection::of`] tells the latter apart.
pub fn encode_record(
    record: &Record,
    tokenizer: &TextTokenizer,
    template: Option<&ChatTemplate>,
    options: &EncodeOptions,
) -> Result<Document, Error> {
    let mut document = match &record.content {
        Content::Messages(messages) => {
            let template = template.ok_or(Error::NoTemplate)?;
            if options.loss_on == LossOn::Everything {
                let tokens = tokenizer.encode(&template.render(messages, false)?, false)?;
                let weights = vec![1.0; tokens.len()];
                Document::new(tokens, weights)
            } else {
                let (text, spans) =
                    render_turns(template, messages, |role| options.loss_on.counts(role))?;
                let encoding = tokenizer.encode_with_offsets(&text, false)?;
                Document::new(encoding.get_ids().to_vec(), span_weights(&encoding, &spans))
            }
        }
        Content::Completion { prompt, completion } => encode_continuation(
            prompt,
            completion,
            tokenizer,
            options,
            [
                options.loss_on.counts(&Role::User),
                options.loss_on.counts(&Role::Assistant),
            ],
        )?,
        Content::Text(text) => {
            let counts = !matches!(options.loss_on, LossOn::Roles(_));
            encode_continuation("", text, tokenizer, options, [counts; 2])?
        }
    };
    document
        .weights
        .iter_mut()
        .for_each(|weight| *weight *= record.weight);
    cut(document, options)
}

/// Records that were encoded, and what became of the others.
#[derive(Clone, Debug)]
pub struct EncodedRecords {
    /// The documents, in the order of their records.
    pub documents: Vec<Document>,
    /// How many records became what.
    pub report: EncodeReport,
}

/// Encodes many records, in parallel. A record that cannot be used is counted, not dropped silently.
///
/// # Errors
///
/// When a conversation has no template, when no end-of-text token is known, or when nothing is left.
pub fn encode_records(
    records: &[Record],
    tokenizer: &TextTokenizer,
    template: Option<&ChatTemplate>,
    options: &EncodeOptions,
) -> Result<EncodedRecords, Error> {
    let mut report = EncodeReport::default();
    let documents = encode_into(records, tokenizer, template, options, &mut report)?;
    tracing::info!(%report, "encoded");
    if documents.is_empty() {
        return Err(Error::AllRejected {
            report: Box::new(report),
        });
    }
    Ok(EncodedRecords { documents, report })
}

/// Encodes records in parallel and adds them to a report. The order is that of the records, however
/// many threads there are.
pub(crate) fn encode_into(
    records: &[Record],
    tokenizer: &TextTokenizer,
    template: Option<&ChatTemplate>,
    options: &EncodeOptions,
    report: &mut EncodeReport,
) -> Result<Vec<Document>, Error> {
    let encoded: Vec<Result<Document, Error>> = records
        .par_iter()
        .map(|record| encode_record(record, tokenizer, template, options))
        .collect();
    let mut documents = Vec::with_capacity(records.len());
    for result in encoded {
        match result {
            Ok(document) => {
                report.accept(&document);
                documents.push(document);
            }
            Err(error) => match Rejection::of(&error) {
                Some(reason) => report.reject(reason, &error),
                None => return Err(error),
            },
        }
    }
    Ok(documents)
}

/// A prompt and what follows it, with what the tokenizer's definition puts around a text.
fn encode_continuation(
    prompt: &str,
    completion: &str,
    tokenizer: &TextTokenizer,
    options: &EncodeOptions,
    [prompt_counts, completion_counts]: [bool; 2],
) -> Result<Document, Error> {
    let whole = tokenizer.encode_with_mask(&[prompt, completion].concat(), true)?;
    let added = whole.get_special_tokens_mask();
    let before = added.iter().take_while(|mask| **mask == 1).count();
    let after = added[before..]
        .iter()
        .rev()
        .take_while(|mask| **mask == 1)
        .count();
    let ids = whole.get_ids();
    let body = &ids[before..ids.len() - after];

    let mut tokens = ids[..before].to_vec();
    let prompt_tokens = if prompt.is_empty() {
        Vec::new()
    } else {
        tokenizer.encode(prompt, false)?
    };
    let boundary = before + prompt_tokens.len();
    if body.starts_with(&prompt_tokens) {
        tokens.extend_from_slice(body);
    } else {
        tokens.extend(prompt_tokens);
        tokens.extend(tokenizer.encode(completion, false)?);
    }
    tokens.extend_from_slice(&ids[ids.len() - after..]);
    if options.append_eos {
        let eos = tokenizer.eos_id().ok_or(Error::NoEndOfText)?;
        if tokens.len() == boundary || tokens.last() != Some(&eos) {
            tokens.push(eos);
        }
    }
    let weight = |counts| if counts { 1.0 } else { 0.0 };
    let mut weights = vec![weight(prompt_counts); boundary];
    weights.resize(tokens.len(), weight(completion_counts));
    Ok(Document::new(tokens, weights))
}

/// 1 for each token that overlaps a span.
fn span_weights(encoding: &Encoding, spans: &[Range<usize>]) -> Vec<f32> {
    let mut previous_end = 0;
    let mut counted = false;
    encoding
        .get_offsets()
        .iter()
        .map(|&(start, end)| {
            // Byte-level tokenizers that trim offsets leave blanks an empty range at their end.
            let start = if start < end {
                start
            } else {
                previous_end.min(end)
            };
            if start < end {
                counted = spans
                    .iter()
                    .any(|span| start < span.end && span.start < end);
            }
            previous_end = previous_end.max(end);
            if counted { 1.0 } else { 0.0 }
        })
        .collect()
}

fn cut(mut document: Document, options: &EncodeOptions) -> Result<Document, Error> {
    let tokens = document.tokens.len();
    if tokens < 2 {
        return Err(Error::TooShort { tokens });
    }
    if document.counted() == 0 {
        return Err(Error::NothingCounts);
    }
    if let Some(max_tokens) = options.max_tokens.filter(|&max_tokens| max_tokens < tokens) {
        document.cut = tokens - max_tokens;
        match options.keep {
            Keep::Start => {
                document.tokens.truncate(max_tokens);
                document.weights.truncate(max_tokens);
            }
            Keep::End => {
                document.tokens.drain(..document.cut);
                document.weights.drain(..document.cut);
            }
        }
        if document.counted() == 0 {
            return Err(Error::CutAway { max_tokens });
        }
    }
    Ok(document)
}

#[cfg(test)]
mod tests;
