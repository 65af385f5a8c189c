//! Tests of text stream.

use proptest::prelude::*;

use super::*;

fn tokenizer() -> TextTokenizer {
    TextTokenizer::from_json(include_str!("../../tests/fixtures/byte_level.json")).unwrap()
}

/// The pieces of `text`, and what was left at the end.
fn pieces(text: &str, stop: &[&str]) -> (Vec<Piece>, String) {
    let tokenizer = tokenizer();
    let stop = stop.iter().map(|&stop| stop.to_owned()).collect();
    let mut stream = TextStream::new(&tokenizer, stop, true);
    let mut pieces = Vec::new();
    for id in tokenizer.encode(text, false).unwrap() {
        pieces.push(stream.push(id).unwrap());
        if pieces.last().is_some_and(|piece| piece.stops) {
            break;
        }
    }
    (pieces, stream.finish().unwrap())
}

fn texts(text: &str, stop: &[&str]) -> Vec<String> {
    let (pieces, rest) = pieces(text, stop);
    let texts = pieces.into_iter().map(|piece| piece.text);
    texts.chain([rest]).collect()
}

#[test]
fn a_character_comes_with_its_last_byte() {
    assert_eq!(texts("aé🦀", &[]), ["a", "", "é", "", "", "", "🦀", ""]);
}

#[test]
fn bytes_that_never_become_a_character_come_at_the_end() {
    let tokenizer = tokenizer();
    let mut stream = TextStream::new(&tokenizer, vec![], true);
    let first = tokenizer.encode("é", false).unwrap()[0];
    assert_eq!(stream.push(first).unwrap(), Piece::default());
    assert_eq!(stream.finish().unwrap(), "\u{fffd}");
}

#[test]
fn a_run_of_broken_bytes_is_not_held_back_for_ever() {
    let tokenizer = tokenizer();
    let mut stream = TextStream::new(&tokenizer, vec![], true);
    let first = tokenizer.encode("é", false).unwrap()[0];
    let given: usize = (0..100)
        .map(|_| stream.push(first).unwrap().text.chars().count())
        .sum();
    assert!(given > 80, "{given}");
}

#[test]
fn what_could_be_a_stop_string_is_held_back() {
    assert_eq!(texts("a\nUs", &["\nUser"]), ["a", "", "", "", "\nUs"]);
    assert_eq!(texts("a\nUx", &["\nUser"]), ["a", "", "", "\nUx", ""]);
    let (pieces, rest) = pieces("a\nUserb", &["\nUser"]);
    assert!(pieces.last().unwrap().stops);
    let text: String = pieces.into_iter().map(|piece| piece.text).collect();
    assert_eq!((text.as_str(), rest.as_str()), ("a", ""));
}

#[test]
fn special_tokens_have_no_text_unless_asked_for() {
    let tokenizer = tokenizer();
    let ids = tokenizer.encode("a<|im_end|>b", false).unwrap();
    for (skip, expected) in [(true, "ab"), (false, "a<|im_end|>b")] {
        let mut stream = TextStream::new(&tokenizer, vec![], skip);
        let text: String = ids
            .iter()
            .map(|&id| stream.push(id).unwrap().text)
            .collect();
        assert_eq!(text, expected);
    }
}

proptest! {
    #[test]
    fn pieces_make_up_the_text_before_the_first_stop_string(
        text in "[ab user\n🦀]{0,40}",
        stop in "[ab user\n🦀]{1,4}",
    ) {
        let (pieces, rest) = pieces(&text, &[&stop]);
        let stopped = pieces.iter().any(|piece| piece.stops);
        let joined: String = pieces.into_iter().map(|piece| piece.text).chain([rest]).collect();
        prop_assert_eq!(stopped, text.contains(&stop));
        prop_assert_eq!(joined.as_str(), text.split(&stop).next().unwrap());
    }
}
