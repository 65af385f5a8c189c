//! Records that are learned from together: each becomes several documents of one row.
//!
//! A row is what a [`Loader`](crate::Loader) shuffles, so what shares one stays together, in its order.

mod tasks;

use potstill_core::{Message, Role, TokenRow};
use rayon::prelude::*;
use serde_json::Value;

use crate::{
    ChatTemplate, Content, Document, EncodeOptions, EncodeReport, Error, Record, Rejection,
    TextTokenizer, encode_record,
};

pub use tasks::{TaskPrefixes, encode_rationales};

/// Rows of documents that belong together, and what became of the others.
#[derive(Clone, Debug)]
pub struct GroupedRows {
    /// The rows, in the order of their records.
    pub rows: Vec<TokenRow>,
    /// How many documents there are. What cannot be a document takes those with it that belong to it;
    /// they are counted with its reason.
    pub report: EncodeReport,
}

/// Encodes the better and the worse answer of each record as two documents of one row, the better one
/// first: what [`PreferencePairs`](crate::PreferencePairs) leaves in a record, the worse answer under
/// `meta.rejected_completion`.
///
/// Only answers count, whatever the options say, and the weights of both together add up to the record's,
/// so that each pair counts the same however long it is.
///
/// # Errors
///
/// As [`encode_records`](crate::encode_records).
///
/// # Examples
///
/// ```
/// use potstill_core::SpecialTokens;
/// use potstill_data::{EncodeOptions, Record, TextTokenizer, encode_preferences};
///
/// # use potstill_testkit as _;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let specials = SpecialTokens { eos: Some("end".into()), ..SpecialTokens::default() };
/// let tokenizer = TextTokenizer::from_json(
///     r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
///         "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
///         "decoder": null, "model": {"type": "WordLevel", "unk_token": "unknown",
///         "vocab": {"unknown": 0, "end": 1, "two": 2, "and": 3, "is": 4, "four": 5}}}"#,
/// )?
/// .with_special_tokens(specials)?;
/// let record = Record::from_json(
///     r#"{"prompt": "two and two is", "completion": " four", "rejected_completion": " two"}"#,
/// )?;
/// let pairs = encode_preferences(&[record], &tokenizer, None, &EncodeOptions::default())?;
/// let row = &pairs.rows[0];
/// assert_eq!(row.segments(), [1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
/// assert_eq!(row.targets()[3..5], [5, 1]);
/// assert_eq!(row.targets()[8..], [2, 1]);
/// assert_eq!(row.weights().iter().sum::<f32>(), 1.0);
/// # Ok(())
/// # }
/// ```
pub fn encode_preferences(
    records: &[Record],
    tokenizer: &TextTokenizer,
    template: Option<&ChatTemplate>,
    options: &EncodeOptions,
) -> Result<GroupedRows, Error> {
    let options = EncodeOptions {
        loss_on: crate::LossOn::Completions,
        ..options.clone()
    };
    encode_groups(records, |record| {
        let worse = meta_text(record, "rejected_completion")?;
        let worse = Record {
            content: with_completion(&record.content, worse),
            ..record.clone()
        };
        let mut documents = [record, &worse]
            .map(|record| encode_record(record, tokenizer, template, &options))
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?;
        // Nothing predicts the first token of a document.
        let weights = documents.iter().flat_map(|document| &document.weights[1..]);
        let share = record.weight / weights.sum::<f32>();
        for document in &mut documents {
            document
                .weights
                .iter_mut()
                .for_each(|weight| *weight *= share);
        }
        Ok(documents)
    })
}

/// A row for each record, of the two documents that `encode` makes of it.
fn encode_groups(
    records: &[Record],
    encode: impl Fn(&Record) -> Result<Vec<Document>, Error> + Send + Sync,
) -> Result<GroupedRows, Error> {
    let encoded: Vec<_> = records.par_iter().map(encode).collect();
    let (mut rows, mut report) = (Vec::with_capacity(records.len()), EncodeReport::default());
    for documents in encoded {
        match documents {
            Ok(documents) => {
                let mut row = TokenRow::default();
                for document in &documents {
                    report.accept(document);
                    row.push_document(&document.tokens, &document.weights);
                }
                rows.push(row);
            }
            Err(error) => match Rejection::of(&error) {
                Some(reason) => (0..2).for_each(|_| report.reject(reason, &error)),
                None => return Err(error),
            },
        }
    }
    tracing::info!(%report, "encoded");
    if rows.is_empty() {
        return Err(Error::AllRejected {
            report: Box::new(report),
        });
    }
    Ok(GroupedRows { rows, report })
}

fn meta_text<'a>(record: &'a Record, key: &'static str) -> Result<&'a str, Error> {
    let text = record.meta.get(key).and_then(Value::as_str);
    text.ok_or(Error::NoCounterpart { key })
}

/// The same prompt with another answer.
fn with_completion(content: &Content, completion: &str) -> Content {
    match content {
        Content::Completion { prompt, .. } => Content::completion(prompt, completion),
        Content::Text(_) => Content::Text(completion.to_owned()),
        Content::Messages(messages) => {
            let mut messages = messages.clone();
            messages.pop_if(|last| last.role == Role::Assistant);
            messages.push(Message::assistant(completion));
            Content::Messages(messages)
        }
    }
}

#[cfg(test)]
mod tests;
