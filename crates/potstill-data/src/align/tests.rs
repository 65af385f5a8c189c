//! Tests of align.

use proptest::prelude::*;

use super::*;
use crate::sample_tokenizers::{byte_level, byte_level_with};

fn aligned(student: &[(usize, usize)], teacher: &[(usize, usize)]) -> Vec<[Range<usize>; 3]> {
    spans(student, teacher)
        .into_iter()
        .map(|span| [span.bytes, span.student, span.teacher])
        .collect()
}

#[test]
fn spans_are_as_small_as_both_sides_allow() {
    assert_eq!(
        aligned(
            &[(0, 3), (3, 6), (6, 9), (9, 13)],
            &[(0, 2), (2, 3), (3, 9), (9, 13)]
        ),
        [[0..3, 0..1, 0..2], [3..9, 1..3, 2..3], [9..13, 3..4, 3..4]]
    );
}

#[test]
fn the_parts_of_a_character_stay_together() {
    // Byte-level tokenizers give each part of a character the range of the whole.
    assert_eq!(
        aligned(&[(0, 4), (0, 4), (4, 5)], &[(0, 4), (4, 5)]),
        [[0..4, 0..2, 0..1], [4..5, 2..3, 1..2]]
    );
}

#[test]
fn text_that_one_side_leaves_out_is_in_no_span() {
    // The teacher has no token for the space.
    assert_eq!(
        aligned(&[(0, 1), (1, 2), (2, 3)], &[(0, 1), (2, 3)]),
        [[0..1, 0..1, 0..1], [2..3, 2..3, 1..2]]
    );
}

#[test]
fn tokens_without_text_are_in_no_span() {
    assert_eq!(
        aligned(&[(0, 0), (0, 2), (2, 2)], &[(0, 2)]),
        [[0..2, 1..2, 0..1]]
    );
    assert_eq!(aligned(&[], &[(0, 2)]), [] as [[Range<usize>; 3]; 0]);
}

fn text() -> impl Strategy<Value = String> {
    "(\\PC|[userand ä\n]){0,24}"
}

proptest! {
    #[test]
    fn spans_are_whole_tokens_that_cover_the_text_and_cannot_be_smaller(text in text()) {
        let merges = [["s", "e"], ["e", "r"], ["n", "d"], ["Ã", "¤"]];
        let aligner = TokenAligner::new(byte_level(), byte_level_with(&merges));
        let alignment = aligner.align(&text).unwrap();
        let ranges = [&aligner.student, &aligner.teacher].map(|side| side.of(&text).unwrap().1);
        let (mut end, mut next) = (0, [0, 0]);
        for span in &alignment.spans {
            prop_assert_eq!(span.bytes.start, end);
            end = span.bytes.end;
            for ((ranges, tokens), next) in
                ranges.iter().zip([&span.student, &span.teacher]).zip(&mut next)
            {
                prop_assert_eq!(tokens.start, *next);
                *next = tokens.end;
                prop_assert_eq!(ranges[tokens.start].0, span.bytes.start);
                prop_assert_eq!(ranges[tokens.end - 1].1, span.bytes.end);
            }
            for place in span.bytes.start + 1..span.bytes.end {
                let inside_a_token =
                    ranges.iter().flatten().any(|&(start, end)| start < place && place < end);
                prop_assert!(inside_a_token, "{} of {:?} in {:?}", place, span, text);
            }
        }
        prop_assert_eq!(end, text.len());
        prop_assert_eq!(next, [alignment.student_ids.len(), alignment.teacher_ids.len()]);
        prop_assert!(alignment.student_spans().iter().all(Option::is_some));
    }

    #[test]
    fn a_tokenizer_agrees_with_itself(text in text()) {
        let alignment = TokenAligner::new(byte_level(), byte_level()).align(&text).unwrap();
        prop_assert!(alignment.spans.iter().all(|span| span.student.len() == 1));
        prop_assert!(alignment.spans.iter().all(|span| span.student == span.teacher));
        prop_assert_eq!(alignment.spans.len(), alignment.student_ids.len());
    }
}
