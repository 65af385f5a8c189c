//! Rows from a stream.

use proptest::prelude::*;

use super::*;
use crate::sample_tokenizers::byte_level;
use crate::{Content, PackOptions, Rejection, encode_records, pack};

fn record(text: impl Into<String>) -> Record {
    Content::Text(text.into()).into()
}

fn options(batch_records: usize) -> StreamOptions {
    StreamOptions {
        batch_records,
        ..StreamOptions::default()
    }
}

fn rows(
    records: Vec<Result<Record, Error>>,
    options: StreamOptions,
) -> (Vec<TokenRow>, EncodeReport, PackReport) {
    let tokenizer = byte_level();
    let mut stream = pack_stream(records, &tokenizer, None, 16, options).unwrap();
    let rows = stream.by_ref().filter_map(Result::ok).collect();
    (rows, stream.encode_report.clone(), stream.pack_report)
}

#[test]
fn one_batch_is_what_encode_and_pack_make() {
    let records: Vec<Record> = (0..40).map(|i| record("ab ".repeat(1 + i % 9))).collect();
    let tokenizer = byte_level();
    let encoded = encode_records(&records, &tokenizer, None, &EncodeOptions::default()).unwrap();
    let packed = pack(&encoded.documents, 16, &PackOptions::default()).unwrap();
    let (streamed, encode_report, pack_report) =
        rows(records.into_iter().map(Ok).collect(), options(100));
    assert_eq!(streamed, packed.rows);
    assert_eq!(encode_report, encoded.report);
    assert_eq!(pack_report, packed.report);
}

#[test]
fn a_batch_also_ends_at_its_bytes() {
    let records = (0..10).map(|_| Ok(record("a".repeat(10)))).collect();
    let small = StreamOptions {
        batch_bytes: 1,
        ..StreamOptions::default()
    };
    // One document of 12 tokens a row, since no two are in a batch.
    assert_eq!(rows(records, small).0.len(), 10);
}

#[test]
fn an_unreadable_record_is_passed_on_and_the_rest_is_packed() {
    let unreadable = || Error::EmptyCorpus { path: "x".into() };
    let records = [
        Err(unreadable()),
        Ok(record("aa")),
        Err(unreadable()),
        Ok(record("bb")),
    ];
    let tokenizer = byte_level();
    for batch in [1, 2, 9] {
        let records = records.iter().map(|record| match record {
            Ok(record) => Ok(record.clone()),
            Err(_) => Err(unreadable()),
        });
        let found: Vec<bool> = pack_stream(records, &tokenizer, None, 16, options(batch))
            .unwrap()
            .map(|row| row.is_ok())
            .collect();
        assert_eq!(found.iter().filter(|ok| !**ok).count(), 2, "{batch}");
        assert!(found.iter().any(|ok| *ok), "{batch}");
    }
}

#[test]
fn what_would_meet_every_record_ends_the_rows() {
    let conversation = || Ok(Content::Messages(vec![potstill_core::Message::user("hi")]).into());
    let tokenizer = byte_level();
    let records = (0..100).map(|_| conversation());
    let found: Vec<_> = pack_stream(records, &tokenizer, None, 16, options(4))
        .unwrap()
        .collect();
    assert!(matches!(found[..], [Err(Error::NoTemplate)]));
}

#[test]
fn records_that_cannot_be_used_are_counted() {
    let mut records: Vec<Result<Record, Error>> = (0..9).map(|_| Ok(record("word"))).collect();
    records.push(Ok(record("")));
    let mut options = options(3);
    options.encode.append_eos = false;
    let (_, report, _) = rows(records, options);
    assert_eq!(report.records, 10);
    assert_eq!(report.rejected[&Rejection::TooShort], 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn rows_are_the_same_whatever_the_number_of_threads(
        texts in prop::collection::vec("[a-e ]{0,30}", 0..60),
        batch in 1usize..20,
    ) {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let records = texts.iter().map(|text| Ok(record(text.as_str()))).collect();
            pool.install(|| rows(records, options(batch)))
        };
        let (one, report, packed) = run(1);
        prop_assert_eq!(report.documents, packed.documents);
        prop_assert_eq!(run(3), (one, report, packed));
    }
}
