//! Records in files.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{Content, Error};

type Read = Vec<Result<Record, Error>>;

fn read(name: &str, bytes: &[u8]) -> Read {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    read_records(&path, Layout::Detect).unwrap().collect()
}

/// What went wrong, without the folder.
fn problems(records: Read) -> Vec<String> {
    let errors = records.into_iter().filter_map(Result::err);
    let message = |error: Error| {
        let text = error.to_string();
        text.rsplit_once('/')
            .map_or(text.clone(), |(_, end)| end.to_owned())
    };
    errors.map(message).collect()
}

fn write(path: &Path, records: &[Record]) -> usize {
    let mut writer = RecordWriter::create(path).unwrap();
    for record in records {
        writer.write(record).unwrap();
    }
    writer.finish().unwrap()
}

#[test]
fn an_array_is_read_element_by_element() {
    let records = read(
        "alpaca.json",
        "\u{feff} [\n {\"text\": \"a, ] \\\" {\"},\n{\"text\": \"b\", \"x\": [1, {\"y\": 2}]} ]\n"
            .as_bytes(),
    );
    let records: Vec<Record> = records.into_iter().map(Result::unwrap).collect();
    assert_eq!(records[0].content, Content::Text("a, ] \" {".into()));
    assert_eq!(records[1].meta["x"], json!([1, {"y": 2}]));
    assert_eq!(records.len(), 2);
}

#[test]
fn a_bad_element_is_named_and_the_next_one_is_read() {
    let records = read("a.json", br#"[{"text": "a"}, {"txt": "b"}, {"text": "c"}]"#);
    assert!(records[2].is_ok());
    let found = problems(records);
    assert!(
        found[0].starts_with("a.json, row 2: the record needs"),
        "{found:?}"
    );
    assert_eq!(
        problems(read("a.json", br#"[{"text": "a"}, {"text": "#)),
        ["a.json, row 2: the file ends within the record"]
    );
    assert_eq!(
        problems(read("a.json", b"[{\"text\": \"\xff\"}]")),
        ["a.json, row 1: the record is not UTF-8"]
    );
    assert_eq!(
        problems(read("a.json", b" [ ]")),
        ["a.json holds no record; a corpus needs at least one"]
    );
}

#[test]
fn json_may_also_be_one_object_a_line() {
    let records = read("a.json", b"{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
    assert_eq!(records.len(), 2);
}

#[test]
fn an_unknown_extension_is_refused() {
    let message = read_records("corpus.txt", Layout::Detect)
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("the name of corpus.txt does not say what it is"),
        "{message}"
    );
    assert!(matches!(
        RecordWriter::create("corpus.json"),
        Err(Error::UnknownFormat { .. })
    ));
}

#[test]
fn a_writer_that_is_dropped_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.jsonl", "a.parquet"] {
        let path = folder.path().join(name);
        let old = [Content::Text("old".into()).into()];
        write(&path, &old);
        let mut writer = RecordWriter::create(&path).unwrap();
        writer.write(&Content::Text("new".into()).into()).unwrap();
        drop(writer);
        let read: Vec<Record> = read_records(&path, Layout::Detect)
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert_eq!(read, old);
    }
}

#[cfg(feature = "parquet")]
mod parquet {
    use potstill_core::Message;

    use super::*;

    fn fixture() -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sharegpt.parquet")
    }

    #[test]
    fn a_table_of_another_program_is_read_across_row_groups() {
        let records: Read = read_records(fixture(), Layout::Detect).unwrap().collect();
        assert_eq!(records.len(), 5);
        let first = records[0].as_ref().unwrap();
        assert_eq!(first.id.as_deref(), Some("0"));
        assert_eq!(
            first.content,
            Content::Messages(vec![
                Message::user("Was ist 0 + 0? 🦀"),
                Message::assistant("0")
            ])
        );
        assert_eq!(
            serde_json::Value::Object(first.meta.clone()),
            json!({
                "source": "web", "score": 0.0, "seen": "2024-05-01 12:00:00.000 +00:00",
                "day": "2024-05-01", "price": "12.50", "tags": [], "counts": {"words": 0},
                "raw": "ff00",
            })
        );
        let last = records[4].as_ref().unwrap();
        assert_eq!(last.meta["score"], "NaN");
        assert_eq!(last.meta["tags"], json!(["sum", null]));
        assert_eq!(last.meta["raw"], "text");
        assert_eq!(
            problems(records),
            [
                "sharegpt.parquet, row 4: conversations must be a text or an array of turns, not null"
            ]
        );
    }

    #[test]
    fn many_row_groups_are_written_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("many.parquet");
        let records: Vec<Record> = (0..150_000)
            .map(|i| Content::Text(format!("record {i}")).into())
            .collect();
        assert_eq!(write(&path, &records), 150_000);
        let back: Result<Vec<Record>, Error> = read_parquet(&path).unwrap().collect();
        assert!(back.unwrap() == records);
    }

    #[test]
    fn an_empty_table_is_an_empty_corpus() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.parquet");
        assert_eq!(write(&path, &[]), 0);
        let read: Read = read_parquet(&path).unwrap().collect();
        assert!(matches!(read[..], [Err(Error::EmptyCorpus { .. })]));
    }

    #[test]
    fn every_truncated_table_is_an_error() {
        let bytes = fs::read(fixture()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cut.parquet");
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let error = read_parquet(&path).unwrap_err();
            assert!(
                error.to_string().ends_with("cut.parquet as Parquet"),
                "{error}"
            );
        }
    }

    fn content() -> impl Strategy<Value = Content> {
        prop_oneof![
            any::<String>().prop_map(Content::Text),
            any::<(String, String)>().prop_map(|(p, c)| Content::completion(p, c)),
            prop::collection::vec(any::<(String, String)>(), 1..4).prop_map(|turns| {
                let turn = |(role, content): (String, String)| Message::new(role.into(), content);
                Content::Messages(turns.into_iter().map(turn).collect())
            }),
        ]
    }

    fn record() -> impl Strategy<Value = Record> {
        let meta = prop::collection::btree_map(any::<String>(), any::<i64>(), 0..3);
        (content(), any::<Option<String>>(), 0.0f32..1e6, meta).prop_map(
            |(content, id, weight, meta)| Record {
                content,
                id,
                weight,
                meta: meta
                    .into_iter()
                    .map(|(key, value)| (key, json!(value)))
                    .collect(),
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn records_survive_a_round_trip(records in prop::collection::vec(record(), 1..12)) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.parquet");
            prop_assert_eq!(write(&path, &records), records.len());
            let back: Result<Vec<Record>, Error> = read_parquet(&path).unwrap().collect();
            prop_assert_eq!(back.unwrap(), records);
        }

        #[test]
        fn a_damaged_table_never_panics(place in 0usize..4000, bits in 1u8..) {
            let mut bytes = fs::read(fixture()).unwrap();
            let place = place % bytes.len();
            bytes[place] ^= bits;
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.parquet");
            fs::write(&path, bytes).unwrap();
            if let Ok(reader) = read_parquet(&path) {
                // A flipped count may promise rows without end.
                prop_assert!(reader.take(100).count() > 0);
            }
        }
    }
}
