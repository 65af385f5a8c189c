//! Reading token by token through a cache gives what one pass gives.

use burn::prelude::*;
use burn::tensor::FloatDType;
use potstill_core::CausalLm;
use potstill_models::{
    Checkpoint, Companions, KvCache, LanguageModel, SaveOptions, WeightDtype, save_pretrained_with,
};
use potstill_testkit::plain_device;

use crate::fixture::floats;
use crate::segments::{assert_close, logits, models};

fn feed(model: &LanguageModel, rows: &[&[u32]], cache: &mut KvCache) -> Vec<Vec<f32>> {
    let tokens: Vec<i32> = rows.concat().iter().map(|&token| token as i32).collect();
    let data = TensorData::new(tokens, [rows.len(), rows[0].len()]);
    let logits = model.next_logits(Tensor::from_data(data, &plain_device()), cache);
    floats(&logits)
        .chunks(model.vocab_size())
        .map(<[f32]>::to_vec)
        .collect()
}

#[test]
fn a_cached_pass_equals_a_full_pass() {
    for model in models() {
        let (long, short) = ([7, 8, 9, 10, 11, 12, 13], [20, 21, 22, 23, 24]);
        let full_long = logits(&model, &[(&long, &[1; 7])]);
        let full_short = logits(&model, &[(&short, &[1; 5])]);
        let mut cache = KvCache::new(vec![0, 2], 16);
        let first = feed(&model, &[&[7, 8, 9, 10], &[0, 0, 20, 21]], &mut cache);
        assert_close(
            &model,
            &first,
            &[full_long[3].clone(), full_short[1].clone()],
        );
        let second = feed(&model, &[&[11], &[22]], &mut cache);
        assert_close(
            &model,
            &second,
            &[full_long[4].clone(), full_short[2].clone()],
        );
        // Several at a time.
        let third = feed(&model, &[&[12, 13], &[23, 24]], &mut cache);
        assert_close(
            &model,
            &third,
            &[full_long[6].clone(), full_short[4].clone()],
        );
        assert_eq!(cache.len(), 7);
    }
}

#[test]
fn dropped_rows_leave_the_others_unchanged() {
    for model in models() {
        let expected = logits(&model, &[(&[20, 21, 22, 23], &[1; 4])]);
        let mut cache = KvCache::new(vec![0, 1, 2], 8);
        let _ = feed(&model, &[&[7, 8, 9], &[0, 20, 21], &[0, 0, 30]], &mut cache);
        cache.retain_rows(&[1]);
        assert_eq!(cache.batch(), 1);
        let next = feed(&model, &[&[22]], &mut cache);
        assert_close(&model, &next, &expected[2..3]);
        let next = feed(&model, &[&[23]], &mut cache);
        assert_close(&model, &next, &expected[3..]);
    }
}

#[test]
fn columns_that_are_padding_in_all_rows_are_dropped() {
    for model in models() {
        let expected = logits(&model, &[(&[20, 21, 22], &[1; 3])]);
        let mut cache = KvCache::new(vec![0, 2], 8);
        let _ = feed(&model, &[&[7, 8, 9, 10], &[0, 0, 20, 21]], &mut cache);
        cache.retain_rows(&[1]);
        assert_eq!(cache.len(), 2);
        let next = feed(&model, &[&[22]], &mut cache);
        assert_close(&model, &next, &expected[2..]);
    }
}

#[test]
fn rows_that_join_leave_each_other_unchanged() {
    for model in models() {
        let (long, short) = ([7, 8, 9, 10, 11, 12], [20, 21, 22]);
        let full_long = logits(&model, &[(&long, &[1; 6])]);
        let full_short = logits(&model, &[(&short, &[1; 3])]);
        let read = |tokens: &[u32]| {
            let mut cache = KvCache::new(vec![0], 32);
            let _ = feed(&model, &[tokens], &mut cache);
            cache
        };
        // The shorter joins the longer, and the other way round.
        let mut cache = read(&long[..4]);
        cache.extend_rows(read(&short[..1]));
        assert_eq!((cache.batch(), cache.len()), (2, 4));
        for i in 0..2 {
            let next = feed(
                &model,
                &[&long[4 + i..][..1], &short[1 + i..][..1]],
                &mut cache,
            );
            let expected = [full_long[4 + i].clone(), full_short[1 + i].clone()];
            assert_close(&model, &next, &expected);
        }
        let mut cache = read(&short[..2]);
        cache.extend_rows(read(&long[..5]));
        assert_eq!(cache.len(), 5);
        let next = feed(&model, &[&short[2..], &long[5..]], &mut cache);
        assert_close(
            &model,
            &next,
            &[full_short[2].clone(), full_long[5].clone()],
        );
        // A row that has read nothing yet.
        let mut cache = KvCache::new(vec![0], 32);
        cache.extend_rows(read(&short[..2]));
        let next = feed(&model, &[&long[..1], &short[2..]], &mut cache);
        assert_close(
            &model,
            &next,
            &[full_long[0].clone(), full_short[2].clone()],
        );
    }
}

#[test]
#[should_panic(expected = "3 columns do not fit a cache of 2")]
fn rows_that_are_too_long_cannot_join() {
    let model = models().swap_remove(0);
    let mut other = KvCache::new(vec![0], 8);
    let _ = feed(&model, &[&[1, 2, 3]], &mut other);
    KvCache::new(vec![0], 2).extend_rows(other);
}

#[test]
fn half_precision_weights_are_read_as_they_are() {
    for dtype in [WeightDtype::Bf16, WeightDtype::F16] {
        for model in models() {
            let folder = tempfile::tempdir().unwrap();
            let options = SaveOptions {
                dtype,
                ..SaveOptions::default()
            };
            save_pretrained_with(&model, folder.path(), &Companions::default(), &options).unwrap();
            let checkpoint = Checkpoint::open(folder.path()).unwrap();
            let load = |dtype| checkpoint.language_model(dtype, &plain_device()).unwrap();
            let half = match dtype {
                WeightDtype::Bf16 => load(FloatDType::BF16),
                _ => load(FloatDType::F16),
            };
            // The same numbers, stored wider: nothing else may be rounded.
            let wide = load(FloatDType::F32);
            let mut caches = [KvCache::new(vec![0], 8), KvCache::new(vec![0], 8)];
            for tokens in [&[7, 8, 9][..], &[10], &[11]] {
                let found = feed(&half, &[tokens], &mut caches[0]);
                let expected = feed(&wide, &[tokens], &mut caches[1]);
                assert_close(&model, &found, &expected);
            }
        }
    }
}

#[test]
fn a_cache_grows_beyond_its_first_room() {
    let mut config = models()[0].config().clone();
    config.max_positions = 512;
    let model = LanguageModel::init(&config, 1, &plain_device());
    let tokens: Vec<u32> = (0..300).map(|i| i % 41).collect();
    let full = logits(&model, &[(&tokens, &vec![1; 300])]);
    let mut cache = KvCache::new(vec![0], 300);
    for i in 0..3 {
        let last = feed(&model, &[&tokens[100 * i..100 * (i + 1)]], &mut cache);
        assert_close(&model, &last, &full[100 * i + 99..100 * (i + 1)]);
    }
}

#[test]
#[should_panic(expected = "1 columns do not fit behind the 2 of a cache of 2")]
fn a_full_cache_takes_no_more() {
    let model = models().swap_remove(0);
    let mut cache = KvCache::new(vec![0], 2);
    let _ = feed(&model, &[&[1, 2]], &mut cache);
    let _ = feed(&model, &[&[3]], &mut cache);
}
