//! The files themselves.

use super::*;

#[test]
fn shards_are_safetensors_files() {
    let folder = tempfile::tempdir().unwrap();
    let config = CacheConfig {
        hidden: vec![1],
        ..CacheConfig::new(Keep::Sampled { draws: 12, seed: 0 })
    };
    let teacher = ModelTeacher::new(&model());
    let mut builder = CacheBuilder::open(folder.path(), teacher, identity(), &config).unwrap();
    builder.add(&two_documents()).unwrap();
    builder.finish().unwrap();
    let bytes = std::fs::read(folder.path().join("shard-00000.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut found: Vec<_> = file
        .iter()
        .map(|(name, tensor)| {
            (
                name,
                format!("{:?}", tensor.dtype()),
                tensor.shape().to_vec(),
            )
        })
        .filter(|(name, ..)| *name != "draw_ids")
        .collect();
    found.sort();
    let expected: [(&str, &str, &[usize]); 5] = [
        ("draws", "U8", &[5, 4]),
        ("hidden.0", "F16", &[5, 8]),
        ("run_ids", "U32", &[3]),
        ("run_keys", "U8", &[3, 16]),
        ("run_spans", "U32", &[3, 2]),
    ];
    let expected = expected.map(|(name, dtype, shape)| (name, dtype.to_owned(), shape.to_vec()));
    assert_eq!(found, expected);
}

#[test]
fn the_manifest_says_what_is_in_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    cached(folder.path(), Keep::top_k(3), &[two_documents()]);
    let json = std::fs::read(folder.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(manifest["schema"], "potstill.teacher-cache/1");
    assert_eq!(manifest["teacher"]["name"], "tiny");
    assert_eq!(manifest["vocabulary"]["head_size"], 11);
    assert_eq!(manifest["temperature"], 1.0);
    let keep = serde_json::json!({ "kind": "top_k", "k": 3, "log_prob_bits": 5 });
    assert_eq!(manifest["keep"], keep);
    assert_eq!(manifest["shards"][0]["rows"], 5);
}

#[test]
fn many_small_shards_say_what_one_large_one_says() {
    let batches: Vec<TokenBatch> = (0..7)
        .map(|i| batch(&[(&[1, 2 + i, 3, 4], &[1.0; 4]), (&[i, 9], &[1.0; 2])]))
        .collect();
    let (large, small) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut expected = cached(large.path(), Keep::Dense, &batches);
    let config = CacheConfig {
        shard_bytes: 1,
        ..CacheConfig::new(Keep::Dense)
    };
    let teacher = ModelTeacher::new(&model());
    let mut builder = CacheBuilder::open(small.path(), teacher, identity(), &config).unwrap();
    for batch in &batches {
        builder.add(batch).unwrap();
    }
    let mut found = builder.finish().unwrap();
    assert!(small.path().join("shard-00006.safetensors").exists());
    assert_eq!(found.rows(), expected.rows());
    for batch in batches.iter().rev() {
        let taps = Taps::default();
        let (found, expected) = (found.signal(batch, &taps), expected.signal(batch, &taps));
        assert_eq!(dense(found.unwrap()), dense(expected.unwrap()));
    }
}
