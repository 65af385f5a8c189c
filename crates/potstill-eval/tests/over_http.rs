//! A model behind a server gets the scores that it gets in this process.

use burn::prelude::*;
use potstill_core::SpecialTokens;
use potstill_data::TextTokenizer;
use potstill_eval::{EndpointTextModel, GenerateUntil, LocalTextModel, TextModel};
use potstill_models::{Architecture, LanguageModel, ModelConfig};
use potstill_serve::{BatchLimits, LocalChat, Server, ServerOptions};
use potstill_teachers::{Endpoint, EndpointConfig};

const CONTEXT: usize = 24;

fn tokenizer() -> TextTokenizer {
    let vocab: String = ('a'..='z')
        .chain(" .".chars())
        .enumerate()
        .map(|(n, letter)| format!(", \"{letter}\": {}", n + 1))
        .collect();
    let definition = format!(
        r#"{{"version": "1.0", "truncation": null, "padding": null, "normalizer": null,
            "added_tokens": [{{"id": 0, "content": "<s>", "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false}}], "post_processor": null,
            "pre_tokenizer": {{"type": "Split", "pattern": {{"Regex": "."}}, "behavior": "Isolated",
            "invert": false}}, "decoder": {{"type": "Fuse"}}, "model": {{"type": "WordLevel",
            "unk_token": " ", "vocab": {{"<s>": 0{vocab}}}}}}}"#
    );
    let specials = SpecialTokens {
        bos: Some("<s>".into()),
        ..SpecialTokens::default()
    };
    TextTokenizer::from_json(&definition)
        .and_then(|tokenizer| tokenizer.with_special_tokens(specials))
        .expect("the definition is a tokenizer")
}

#[test]
fn the_endpoint_and_the_model_agree() {
    let tokenizer = tokenizer();
    let mut config = ModelConfig::new(Architecture::Llama, tokenizer.vocab_size(), 32, 2, 4);
    config.max_positions = CONTEXT;
    let model = LanguageModel::init(&config, 9, &Device::default());
    let local = LocalTextModel::new("tiny", &model, tokenizer.clone())
        .unwrap()
        .with_window(CONTEXT - 2);

    let chat = LocalChat::new(
        "tiny",
        model,
        tokenizer.clone(),
        None,
        BatchLimits::default(),
    )
    .unwrap();
    let server = Server::bind("127.0.0.1:0", chat, ServerOptions::default())
        .unwrap()
        .start()
        .unwrap();
    let address = format!("http://{}/v1", server.address());
    let endpoint = Endpoint::new(EndpointConfig::new(&address, "tiny")).unwrap();
    let remote = EndpointTextModel::new(endpoint, tokenizer, CONTEXT - 2).unwrap();

    let pairs = [
        ("is it red", " yes"),
        ("is it red", " no"),
        ("", "maybe"),
        ("a", "b"),
    ];
    let (here, there) = (
        local.log_likelihood(&pairs).unwrap(),
        remote.log_likelihood(&pairs).unwrap(),
    );
    for (here, there) in here.iter().zip(&there) {
        assert!(
            (here.log_prob - there.log_prob).abs() < 1e-4,
            "{here:?} {there:?}"
        );
        assert_eq!(here.is_greedy, there.is_greedy);
    }

    let texts = ["the quick brown fox jumps over the lazy dog.", "short"];
    let here = local.log_likelihood_rolling(&texts).unwrap();
    let there = remote.log_likelihood_rolling(&texts).unwrap();
    for (here, there) in here.iter().zip(&there) {
        assert!((here - there).abs() < 1e-3, "{here} {there}");
    }

    let options = GenerateUntil {
        until: vec![".".into()],
        ..GenerateUntil::greedy(6)
    };
    let prompts = ["what is", "the quick brown fox jumps over the lazy dog"];
    assert_eq!(
        local.generate_until(&prompts, &options).unwrap(),
        remote.generate_until(&prompts, &options).unwrap()
    );
    server.shutdown().unwrap();
}
