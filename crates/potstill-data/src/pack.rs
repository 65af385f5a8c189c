//! Documents to rows of a fixed length.

use std::collections::BTreeMap;
use std::fmt;

use potstill_core::TokenRow;
use serde::{Deserialize, Serialize};

use crate::{Document, Error};

mod stream;

pub use stream::{PackedStream, StreamOptions, pack_stream};

/// How documents share rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Longest first, each into the fullest row that still has room (best-fit decreasing).
    #[default]
    BestFit,
    /// One document a row, in order.
    OnePerRow,
}

/// Settings of [`pack`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PackOptions {
    /// How documents share rows.
    pub packing: Packing,
    /// Positions that each window of a document longer than a row repeats of the one before, as
    /// context. They count only in the first of the two.
    pub overlap: usize,
}

impl PackOptions {
    fn check(&self, seq_len: usize) -> Result<(), Error> {
        if seq_len > self.overlap {
            return Ok(());
        }
        Err(Error::RowLength {
            seq_len,
            overlap: self.overlap,
        })
    }
}

/// Rows, and what is in them.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Rows of at most the asked-for length.
    pub rows: Vec<TokenRow>,
    /// How full they are.
    pub report: PackReport,
}

/// What packing did with the documents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackReport {
    /// Documents that went in.
    pub documents: usize,
    /// Of these, without a token that counts; they are in no row.
    pub documents_left_out: usize,
    /// Of these, longer than a row and split into windows.
    pub documents_split: usize,
    /// Windows of split documents without a token that counts; they are in no row.
    pub windows_left_out: usize,
    /// Rows that came out.
    pub rows: usize,
    /// Positions of a row.
    pub seq_len: usize,
    /// Positions that hold a token.
    pub positions: usize,
    /// Positions that count towards the loss.
    pub positions_counted: usize,
}

impl PackReport {
    /// Adds what was done with further documents, for rows of the same length.
    fn add(&mut self, other: &Self) {
        self.documents += other.documents;
        self.documents_left_out += other.documents_left_out;
        self.documents_split += other.documents_split;
        self.windows_left_out += other.windows_left_out;
        self.rows += other.rows;
        self.positions += other.positions;
        self.positions_counted += other.positions_counted;
    }

    /// Share of the rows' positions that hold nothing, when all rows are filled up to their length.
    #[must_use]
    pub fn padding_share(&self) -> f64 {
        match self.rows * self.seq_len {
            0 => 0.0,
            capacity => 1.0 - self.positions as f64 / capacity as f64,
        }
    }
}

impl fmt::Display for PackReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} documents in {} rows of {} positions, {} filled ({} count), {:.1} % padding",
            self.documents,
            self.rows,
            self.seq_len,
            self.positions,
            self.positions_counted,
            100.0 * self.padding_share()
        )?;
        if self.documents_split > 0 {
            write!(f, "; {} documents split", self.documents_split)?;
        }
        if self.documents_left_out + self.windows_left_out > 0 {
            write!(
                f,
                "; {} documents and {} windows left out, nothing in them counts",
                self.documents_left_out, self.windows_left_out
            )?;
        }
        Ok(())
    }
}

/// Packs documents into rows of at most `seq_len` positions. A document of `n` tokens takes `n - 1`.
///
/// A document that is longer than a row is split into windows, each of which begins with the last
/// token of the one before, so that every token that counts is predicted exactly once.
///
/// # Errors
///
/// When `seq_len` is not larger than the overlap.
///
/// # Examples
///
/// ```
/// use potstill_data::{Document, PackOptions, pack};
///
/// let document = |len: u32| Document::new((0..len).collect(), vec![1.0; len as usize]);
/// let packed = pack(&[document(4), document(7), document(3)], 6, &PackOptions::default())?;
/// assert_eq!(packed.rows.len(), 2);
/// assert_eq!(packed.rows[1].segments(), [1, 1, 1, 2, 2]);
/// # Ok::<(), potstill_data::Error>(())
/// ```
///
/// # Panics
///
/// Panics if a document has not as many weights as tokens.
pub fn pack(
    documents: &[Document],
    seq_len: usize,
    options: &PackOptions,
) -> Result<Packed, Error> {
    options.check(seq_len)?;
    let packed = fill(documents, seq_len, options);
    tracing::info!(report = %packed.report, "packed");
    Ok(packed)
}

fn fill(documents: &[Document], seq_len: usize, options: &PackOptions) -> Packed {
    let mut report = PackReport {
        documents: documents.len(),
        seq_len,
        ..PackReport::default()
    };
    let mut windows = Vec::with_capacity(documents.len());
    for document in documents {
        if document.counted() == 0 {
            report.documents_left_out += 1;
        } else if document.tokens.len() - 1 > seq_len {
            report.documents_split += 1;
            split(
                document,
                seq_len,
                options.overlap,
                &mut windows,
                &mut report,
            );
        } else {
            windows.push(Window {
                tokens: &document.tokens,
                weights: &document.weights,
                context: 0,
            });
        }
    }
    let rows = match options.packing {
        Packing::BestFit => best_fit(windows, seq_len),
        Packing::OnePerRow => windows
            .iter()
            .map(|window| window.append_to(TokenRow::default()))
            .collect(),
    };
    report.rows = rows.len();
    report.positions = rows.iter().map(TokenRow::len).sum();
    report.positions_counted = rows
        .iter()
        .flat_map(TokenRow::weights)
        .filter(|weight| **weight != 0.0)
        .count();
    Packed { rows, report }
}

/// A part of a document. The first `context` of its predictions belong to the window before.
struct Window<'a> {
    tokens: &'a [u32],
    weights: &'a [f32],
    context: usize,
}

impl Window<'_> {
    fn positions(&self) -> usize {
        self.tokens.len() - 1
    }

    fn append_to(&self, mut row: TokenRow) -> TokenRow {
        if self.context == 0 {
            row.push_document(self.tokens, self.weights);
        } else {
            let mut weights = self.weights.to_vec();
            weights[..=self.context].fill(0.0);
            row.push_document(self.tokens, &weights);
        }
        row
    }
}

fn split<'a>(
    document: &'a Document,
    seq_len: usize,
    overlap: usize,
    windows: &mut Vec<Window<'a>>,
    report: &mut PackReport,
) {
    let positions = document.tokens.len() - 1;
    let mut start = 0;
    let mut predicted = 0;
    while predicted < positions {
        let end = (start + seq_len).min(positions);
        let range = start..=end;
        let context = predicted - start;
        let weights = &document.weights[range.clone()];
        if weights[context + 1..].iter().any(|weight| *weight != 0.0) {
            windows.push(Window {
                tokens: &document.tokens[range],
                weights,
                context,
            });
        } else {
            report.windows_left_out += 1;
        }
        predicted = end;
        start = end - overlap.min(end);
    }
}

fn best_fit(mut windows: Vec<Window<'_>>, seq_len: usize) -> Vec<TokenRow> {
    // Stable, so that documents of one length keep their order.
    windows.sort_by_key(|window| std::cmp::Reverse(window.positions()));
    let mut rows: Vec<TokenRow> = Vec::new();
    let mut by_room: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for window in windows {
        let needed = window.positions();
        let fullest = by_room
            .range_mut(needed..)
            .next()
            .and_then(|(&room, candidates)| {
                let row = candidates.pop()?;
                Some((room, row, candidates.is_empty()))
            });
        let (room, row) = match fullest {
            Some((room, row, was_last)) => {
                if was_last {
                    by_room.remove(&room);
                }
                (room, row)
            }
            None => {
                rows.push(TokenRow::default());
                (seq_len, rows.len() - 1)
            }
        };
        rows[row] = window.append_to(std::mem::take(&mut rows[row]));
        if room > needed {
            by_room.entry(room - needed).or_default().push(row);
        }
    }
    rows
}

#[cfg(test)]
mod tests;
