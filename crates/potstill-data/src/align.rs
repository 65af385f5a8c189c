//! Where two tokenizers cut a text at the same place.
//!
//! ```text
//! student   |the| qu|ick| fox|
//! teacher   |th|e| quick| fox|
//! spans     |the | quick| fox|
//! ```
//!
//! What cross-tokenizer losses compare: the likelihood that either model gives a span.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::{Error, TextTokenizer};

/// First byte of a token and the one behind it.
type ByteRange = (usize, usize);

/// Finds the pieces of a text that two tokenizers agree on.
#[derive(Clone, Debug)]
pub struct TokenAligner {
    student: Ranges,
    teacher: Ranges,
}

impl TokenAligner {
    /// An aligner, which can be used for any number of texts.
    #[must_use]
    pub fn new(student: TextTokenizer, teacher: TextTokenizer) -> Self {
        Self {
            student: Ranges::new(student),
            teacher: Ranges::new(teacher),
        }
    }

    /// Aligns what both tokenizers make of `text`, without special tokens around it.
    ///
    /// # Errors
    ///
    /// When a tokenizer cannot encode the text.
    pub fn align(&self, text: &str) -> Result<TokenAlignment, Error> {
        let (student_ids, student) = self.student.of(text)?;
        let (teacher_ids, teacher) = self.teacher.of(text)?;
        Ok(TokenAlignment {
            student_ids,
            teacher_ids,
            spans: spans(&student, &teacher),
        })
    }
}

/// A tokenizer that says which bytes of a text each token is.
#[derive(Clone, Debug)]
struct Ranges {
    tokenizer: TextTokenizer,
    token_bytes: Vec<Vec<u8>>,
}

impl Ranges {
    fn new(tokenizer: TextTokenizer) -> Self {
        Self {
            token_bytes: tokenizer.token_bytes(),
            tokenizer,
        }
    }

    /// Ids and ranges.
    fn of(&self, text: &str) -> Result<(Vec<u32>, Vec<ByteRange>), Error> {
        let encoding = self.tokenizer.encode_with_offsets(text, false)?;
        let ids = encoding.get_ids().to_vec();
        // Offsets leave out spaces at the ends of a token and do not cut characters, so the bytes are
        // better where they are the text.
        let ranges = self.exact(text, &ids);
        Ok((
            ids,
            ranges.unwrap_or_else(|| encoding.get_offsets().to_vec()),
        ))
    }

    fn exact(&self, text: &str, ids: &[u32]) -> Option<Vec<ByteRange>> {
        let mut rest = text.as_bytes();
        let ranges = ids
            .iter()
            .map(|&id| {
                let token = self.token_bytes.get(id as usize)?;
                let start = text.len() - rest.len();
                rest = rest.strip_prefix(token.as_slice())?;
                Some((start, start + token.len()))
            })
            .collect::<Option<Vec<_>>>()?;
        rest.is_empty().then_some(ranges)
    }
}

/// The smallest pieces of a text that two tokenizers agree on.
///
/// Tokens without text are in no span; neither are tokens whose text the other tokenizer leaves out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenAlignment {
    /// The student's tokens.
    pub student_ids: Vec<u32>,
    /// The teacher's tokens.
    pub teacher_ids: Vec<u32>,
    /// The spans, in order.
    pub spans: Vec<AlignedSpan>,
}

/// A piece of text that is whole tokens for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlignedSpan {
    /// Its bytes, which may be a part of a character.
    pub bytes: Range<usize>,
    /// The student's tokens.
    pub student: Range<usize>,
    /// The teacher's tokens.
    pub teacher: Range<usize>,
}

impl TokenAlignment {
    /// Index of the span of each of the student's tokens.
    #[must_use]
    pub fn student_spans(&self) -> Vec<Option<usize>> {
        self.span_of_each(self.student_ids.len(), |span| span.student.clone())
    }

    /// Index of the span of each of the teacher's tokens.
    #[must_use]
    pub fn teacher_spans(&self) -> Vec<Option<usize>> {
        self.span_of_each(self.teacher_ids.len(), |span| span.teacher.clone())
    }

    fn span_of_each(
        &self,
        tokens: usize,
        side: impl Fn(&AlignedSpan) -> Range<usize>,
    ) -> Vec<Option<usize>> {
        let mut of_each = vec![None; tokens];
        for (index, span) in self.spans.iter().enumerate() {
            of_each[side(span)].fill(Some(index));
        }
        of_each
    }
}

/// The smallest spans between places that are inside no token of either side.
fn spans(student: &[ByteRange], teacher: &[ByteRange]) -> Vec<AlignedSpan> {
    let cuts: Vec<usize> = cuts(student)
        .intersection(&cuts(teacher))
        .copied()
        .collect();
    let (mut at_student, mut at_teacher) = (0, 0);
    let mut spans = Vec::new();
    for pair in cuts.windows(2) {
        let student = tokens_within(student, &mut at_student, pair[1]);
        let teacher = tokens_within(teacher, &mut at_teacher, pair[1]);
        if !student.is_empty() && !teacher.is_empty() {
            spans.push(AlignedSpan {
                bytes: pair[0]..pair[1],
                student,
                teacher,
            });
        }
    }
    spans
}

/// Ends of text that is covered, and every place between two tokens.
fn cuts(tokens: &[ByteRange]) -> BTreeSet<usize> {
    let mut cuts = BTreeSet::from([0]);
    let mut covered = 0;
    for (index, &(start, end)) in tokens.iter().enumerate() {
        if start >= covered {
            // The gap before a token may be cut at either side.
            cuts.extend([covered, start]);
        }
        covered = covered.max(end);
        let next = tokens[index + 1..].iter().find(|(start, end)| start < end);
        if next.is_none_or(|&(start, _)| start >= covered) {
            cuts.insert(covered);
        }
    }
    cuts
}

/// The tokens from `at` on that end at or before `end`; those without text in front are passed over.
fn tokens_within(tokens: &[ByteRange], at: &mut usize, end: usize) -> Range<usize> {
    while tokens.get(*at).is_some_and(|(start, end)| start == end) {
        *at += 1;
    }
    let first = *at;
    let mut last = first;
    while let Some(&(start, stop)) = tokens.get(*at).filter(|&&(_, stop)| stop <= end) {
        *at += 1;
        if start < stop {
            last = *at;
        }
    }
    first..last
}

#[cfg(test)]
mod tests;
