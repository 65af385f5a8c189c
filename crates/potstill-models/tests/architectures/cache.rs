//! Reading token by token through a cache gives what one pass gives.

use burn::prelude::*;
use potstill_core::CausalLm;
use potstill_models::{KvCache, LanguageModel};
use potstill_testkit::plain_device;

use crate::fixture::floats;
use crate::segments::{assert_close, logits, models};

fn feed(model: &LanguageModel, rows: &[&[u32]], cache: &mut KvCache) -> Vec<Vec<f32>> {
    let tokens: Vec<i32> = rows.concat().iter().map(|&token| token as i32).collect();
    let data = TensorData::new(tokens, [rows.len(), rows[0].len()]);
    let hidden = model.forward_cached(Tensor::from_data(data, &plain_device()), cache);
    let logits = floats(&model.head().logits(hidden));
    logits
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
