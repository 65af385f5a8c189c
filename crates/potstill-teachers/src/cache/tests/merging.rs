//! A cache that was built in parts.

use super::*;

fn documents(first: u32) -> TokenBatch {
    batch(&[
        (&[first, 2, 3, 4], &[1.0, 1.0, 0.0, 1.0]),
        (&[5, first, 7], &[1.0; 3]),
    ])
}

fn parts(folder: &Path, keep: Keep) -> [std::path::PathBuf; 2] {
    [1, 2].map(|number| {
        let part = folder.join(format!("part-{number}"));
        cached(&part, keep, &[documents(number), documents(number + 5)]);
        part
    })
}

#[test]
fn two_parts_say_what_one_cache_says() {
    let keep = Keep::top_k(4);
    let folder = tempfile::tempdir().unwrap();
    let parts = parts(folder.path(), keep);
    let mut merged = merge_caches(&parts, folder.path().join("all")).unwrap();
    let batches = [1, 2, 6, 7].map(documents);
    let mut whole = cached(&folder.path().join("whole"), keep, &batches);
    assert_eq!(merged.rows(), whole.rows());
    for batch in &batches {
        let [merged, whole] = [&mut merged, &mut whole].map(|cache| {
            let Prediction::Sparse {
                token_ids,
                log_probs,
                ..
            } = cache.signal(batch, &Taps::default()).unwrap().prediction
            else {
                panic!("top-k is sparse")
            };
            (token_ids.into_data(), log_probs.into_data())
        });
        assert_eq!(merged, whole);
    }
}

#[test]
fn a_merge_goes_on_where_it_was_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] = parts(folder.path(), Keep::Dense);
    let all = folder.path().join("all");
    merge_caches(&[&first], &all).unwrap();
    let merged = merge_caches(&[&first, &second, &first], &all).unwrap();
    let rows = merged.rows();
    let shards = |folder: &Path| {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|file| file.unwrap().file_name());
        files
            .filter(|name| name.to_string_lossy().starts_with("shard"))
            .count()
    };
    assert_eq!(shards(&all), 2);
    assert_eq!(merge_caches(&[first, second], &all).unwrap().rows(), rows);
    assert_eq!(shards(&all), 2);
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [first, _] = parts(folder.path(), Keep::Dense);
    let all = folder.path().join("all");
    let other = folder.path().join("other");
    cached(&other, Keep::top_k(2), &[documents(3)]);
    let error = merge_caches(&[&first, &other], &all).unwrap_err();
    assert!(
        matches!(
            error,
            CacheError::Other {
                what: "setting",
                ..
            }
        ),
        "{error}"
    );

    // The same text, at other positions.
    let crossing = folder.path().join("crossing");
    cached(
        &crossing,
        Keep::Dense,
        &[batch(&[(&[1, 2, 3, 4], &[0.0, 1.0, 1.0, 1.0])])],
    );
    let error = merge_caches(&[&first, &crossing], &all).unwrap_err();
    assert!(matches!(error, CacheError::Crossing { .. }), "{error}");

    let path = first.join("shard-00000.safetensors");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let error = merge_caches(&[&first], folder.path().join("new")).unwrap_err();
    assert!(matches!(error, CacheError::Checksum { .. }), "{error}");
    assert!(merge_caches::<&Path>(&[], &all).is_err());
}
