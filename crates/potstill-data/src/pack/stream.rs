//! Records to packed rows, a batch at a time.
//!
//! ```text
//! calling thread:  read batch 2 ─────▶ pack batch 1 ─▶ read batch 3 ─▶ …
//! other threads:   encode batch 1 ───▶                 encode batch 2 ─▶ …
//! ```

use std::collections::VecDeque;
use std::fmt;

use potstill_core::TokenRow;
use serde::{Deserialize, Serialize};

use super::{PackOptions, PackReport, fill};
use crate::encode::encode_into;
use crate::{ChatTemplate, Document, EncodeOptions, EncodeReport, Error, Record, TextTokenizer};

/// Settings of [`pack_stream`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    /// Which tokens count.
    pub encode: EncodeOptions,
    /// How documents share rows. Only documents of one batch do.
    pub pack: PackOptions,
    /// Most records of a batch.
    pub batch_records: usize,
    /// Bytes of text after which a batch is full.
    pub batch_bytes: usize,
}

impl Default for StreamOptions {
    /// 8,192 records or 16 MiB of text, whichever comes first.
    fn default() -> Self {
        Self {
            encode: EncodeOptions::default(),
            pack: PackOptions::default(),
            batch_records: 8192,
            batch_bytes: 16 << 20,
        }
    }
}

/// Encodes and packs records that memory need not hold all at once.
///
/// A batch is encoded by all threads while the next one is read. Batches are cut by what the records
/// say, so that the rows are the same whatever the number of threads. In memory are two batches of
/// records, and the documents and rows of one.
///
/// # Errors
///
/// When `seq_len` is not larger than the overlap.
///
/// # Panics
///
/// Panics if a batch has no records.
///
/// # Examples
///
/// ```
/// use potstill_data::{Content, Error, Record, StreamOptions, TextTokenizer, pack_stream};
/// # use potstill_testkit as _;
///
/// let tokenizer = TextTokenizer::from_json(
///     r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
///         "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null,
///         "decoder": null, "model": {"type": "WordLevel", "unk_token": "?", "vocab": {"?": 0, "a": 1}}}"#,
/// )?;
/// let mut options = StreamOptions::default();
/// options.encode.append_eos = false;
/// let records = (0..100).map(|_| Ok::<Record, Error>(Content::Text("a a a".into()).into()));
/// let mut rows = pack_stream(records, &tokenizer, None, 8, options)?;
/// assert_eq!(rows.by_ref().filter_map(Result::ok).count(), 25);
/// assert_eq!(rows.encode_report().tokens, 300);
/// # Ok::<(), Error>(())
/// ```
pub fn pack_stream<'a, I>(
    records: I,
    tokenizer: &'a TextTokenizer,
    template: Option<&'a ChatTemplate>,
    seq_len: usize,
    options: StreamOptions,
) -> Result<PackedStream<'a, I::IntoIter>, Error>
where
    I: IntoIterator<Item = Result<Record, Error>>,
{
    options.pack.check(seq_len)?;
    assert!(
        options.batch_records > 0,
        "a batch needs at least one record"
    );
    Ok(PackedStream {
        records: records.into_iter(),
        tokenizer,
        template,
        options,
        batch: Vec::new(),
        ready: VecDeque::new(),
        encode_report: EncodeReport::default(),
        pack_report: PackReport {
            seq_len,
            ..PackReport::default()
        },
        ended: false,
    })
}

/// Packed rows, from [`pack_stream`].
///
/// A record that cannot be read is passed on as its error; one that cannot be used is counted in the
/// report. After an error that would meet every record, such as a missing template, the rows end.
pub struct PackedStream<'a, I> {
    records: I,
    tokenizer: &'a TextTokenizer,
    template: Option<&'a ChatTemplate>,
    options: StreamOptions,
    /// What was read and is not yet encoded.
    batch: Vec<Record>,
    ready: VecDeque<Result<TokenRow, Error>>,
    encode_report: EncodeReport,
    pack_report: PackReport,
    ended: bool,
}

impl<I> fmt::Debug for PackedStream<'_, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PackedStream")
            .field("options", &self.options)
            .field("encoded", &self.encode_report)
            .field("packed", &self.pack_report)
            .finish_non_exhaustive()
    }
}

impl<I> PackedStream<'_, I> {
    /// What became of the records so far.
    #[must_use]
    pub fn encode_report(&self) -> &EncodeReport {
        &self.encode_report
    }

    /// What was packed so far.
    #[must_use]
    pub fn pack_report(&self) -> &PackReport {
        &self.pack_report
    }
}

impl<I: Iterator<Item = Result<Record, Error>>> PackedStream<'_, I> {
    /// Encodes the batch that was read while the next one is read, and packs it.
    fn advance(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        let ended = self.ended;
        let mut next = Batch {
            is_last: ended,
            ..Batch::default()
        };
        let mut encoded = Ok(Vec::new());
        let (tokenizer, template, options) = (self.tokenizer, self.template, &self.options);
        let (records, report) = (&mut self.records, &mut self.encode_report);
        let encoded_batch = &mut encoded;
        rayon::in_place_scope(|scope| {
            scope.spawn(move |_| {
                *encoded_batch = encode_into(&batch, tokenizer, template, &options.encode, report);
            });
            if !ended {
                next = Batch::read(records, options);
            }
        });
        self.batch = next.records;
        self.ended = next.is_last;
        match encoded {
            Ok(documents) => self.pack(&documents),
            Err(error) => {
                self.ready.push_back(Err(error));
                self.batch.clear();
                self.ended = true;
            }
        }
        self.ready.extend(next.unreadable.into_iter().map(Err));
    }

    fn pack(&mut self, documents: &[Document]) {
        let packed = fill(documents, self.pack_report.seq_len, &self.options.pack);
        self.pack_report.add(&packed.report);
        self.ready.extend(packed.rows.into_iter().map(Ok));
    }
}

#[derive(Debug, Default)]
struct Batch {
    records: Vec<Record>,
    unreadable: Vec<Error>,
    is_last: bool,
}

impl Batch {
    fn read(
        records: &mut impl Iterator<Item = Result<Record, Error>>,
        options: &StreamOptions,
    ) -> Self {
        let mut batch = Self::default();
        let mut bytes = 0;
        while batch.records.len() + batch.unreadable.len() < options.batch_records
            && bytes < options.batch_bytes
        {
            match records.next() {
                Some(Ok(record)) => {
                    bytes += record.text_bytes();
                    batch.records.push(record);
                }
                Some(Err(error)) => batch.unreadable.push(error),
                None => {
                    batch.is_last = true;
                    break;
                }
            }
        }
        batch
    }
}

impl<I: Iterator<Item = Result<Record, Error>>> Iterator for PackedStream<'_, I> {
    type Item = Result<TokenRow, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !(self.ended && self.batch.is_empty()) {
            self.advance();
        }
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests;
