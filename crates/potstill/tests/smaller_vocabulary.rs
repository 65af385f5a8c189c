//! A model, its tokenizer and the files beside them, cut to the tokens that a domain uses.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use potstill::burn::tensor::{Device, FloatDType};
use potstill::checkpoint_tokenizer;
use potstill::core::CausalLm;
use potstill::data::{TextTokenizer, TokenCounts};
use potstill::models::{Checkpoint, save_pretrained};

const DOMAIN: &str = include_str!("../../../README.md");

/// What `cargo xtask fetch smollm2` puts there.
fn smollm2() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join("target/fetch/SmolLM2-135M-Instruct.Q4_1.gguf");
    path.exists().then_some(path)
}

fn tokens(tokenizer: &TextTokenizer, text: &str) -> Vec<String> {
    let ids = tokenizer.encode(text, true).unwrap();
    ids.iter()
        .map(|&id| tokenizer.id_to_token(id).unwrap())
        .collect()
}

#[test]
fn smollm2_is_cut_to_the_tokens_of_a_domain() {
    let Some(path) = smollm2() else { return };
    let checkpoint = Checkpoint::open(path).unwrap();
    let full = checkpoint_tokenizer(&checkpoint).unwrap();

    let mut counts = TokenCounts::default();
    for line in DOMAIN.lines() {
        counts.add(&full.encode(line, true).unwrap());
    }
    let kept = full.tokens_to_keep(counts.at_least(1)).unwrap();
    let small = full.restricted_to(&kept).unwrap();
    assert_eq!(counts.share_of(&kept), 1.0);
    assert!(kept.len() < 6000, "{} tokens are kept", kept.len());
    for line in DOMAIN.lines() {
        assert_eq!(tokens(&small, line), tokens(&full, line));
    }
    for text in [
        "Ω≈ç√∫˜µ≤≥÷",
        "Zażółć gęślą jaźń",
        "春眠不覚暁 🦀",
        "\u{0}\t\r\n",
    ] {
        let ids = small.encode(text, false).unwrap();
        assert_eq!(small.decode(&ids, false).unwrap(), text);
    }

    let device = Device::default();
    let teacher = checkpoint.language_model(FloatDType::F32, &device).unwrap();
    let restricted = teacher.restricted_to(&kept).unwrap();
    assert_eq!(restricted.vocab_size(), small.vocab_size());
    let companions = checkpoint.companions().unwrap();
    let companions = companions
        .restricted_to(&kept, small.to_json().unwrap())
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    save_pretrained(&restricted, folder.path(), &companions).unwrap();
    let reopened = Checkpoint::open(folder.path()).unwrap();
    let again = checkpoint_tokenizer(&reopened).unwrap();
    assert_eq!(again.identity(), small.identity());
    assert_eq!(again.special_tokens(), full.special_tokens());
    assert_eq!(
        reopened.config().eos_token_ids,
        [again.eos_id().unwrap()],
        "the model ends where the tokenizer says"
    );
}
