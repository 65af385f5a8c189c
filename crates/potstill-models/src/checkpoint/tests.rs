//! Opening folders, and what is said of those that are damaged.

use std::fs;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn config() -> String {
    ModelConfig::new(crate::Architecture::Llama, 8, 8, 1, 1).to_hf_json()
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let empty = folder(&[]);
    for path in [empty.path().to_path_buf(), empty.path().join("absent")] {
        let error = Checkpoint::open(&path).unwrap_err();
        assert!(matches!(error, Error::NotACheckpoint { .. }), "{error}");
    }
    assert!(Checkpoint::open(empty.path().join("absent.gguf")).is_err());
}

#[test]
fn a_bad_config_is_reported_with_its_path() {
    let folder = folder(&[("config.json", r#"{"model_type": "mamba"}"#)]);
    let error = Checkpoint::open(folder.path()).unwrap_err();
    assert!(error.to_string().ends_with("config.json"), "{error}");
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("mamba"), "{source}");
}

#[test]
fn weights_are_asked_for_only_when_loading() {
    let folder = folder(&[("config.json", &config())]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    assert_eq!(checkpoint.config().vocab_size, 8);
    assert_eq!(checkpoint.companions().unwrap(), Companions::default());
    let error = checkpoint
        .language_model(FloatDType::F32, &Device::default())
        .unwrap_err();
    assert!(matches!(error, Error::NotACheckpoint { .. }), "{error}");
}

#[test]
fn chat_templates_are_found_wherever_they_are() {
    let check = |files: &[(&str, &str)], expected: Option<&str>| {
        let config = config();
        let mut all = vec![("config.json", config.as_str())];
        all.extend(files);
        let folder = folder(&all);
        let found = Checkpoint::open(folder.path())
            .unwrap()
            .chat_template()
            .unwrap();
        assert_eq!(found.as_deref(), expected);
    };
    let inline = ("tokenizer_config.json", r#"{"chat_template": "inline"}"#);
    check(&[inline], Some("inline"));
    check(&[inline, ("chat_template.jinja", "own")], Some("own"));
    let several = r#"{"chat_template": [{"name": "tool_use", "template": "t"},
                                        {"name": "default", "template": "d"}]}"#;
    check(&[("tokenizer_config.json", several)], Some("d"));
    check(&[("tokenizer_config.json", "{}")], None);
}

#[test]
fn the_special_tokens_map_fills_what_the_config_lacks() {
    let map = r#"{"bos_token": "<bos>", "unk_token": "<unk>"}"#;
    let folder = folder(&[
        ("config.json", &config()),
        (
            "tokenizer_config.json",
            r#"{"bos_token": {"content": "<s>"}, "pad_token": null}"#,
        ),
        ("special_tokens_map.json", map),
    ]);
    let checkpoint = Checkpoint::open(folder.path()).unwrap();
    let tokens = SpecialTokens {
        bos: Some("<s>".into()),
        unk: Some("<unk>".into()),
        ..SpecialTokens::default()
    };
    assert_eq!(checkpoint.special_tokens().unwrap(), tokens);
    let companions = checkpoint.companions().unwrap();
    assert_eq!(companions.special_tokens_map.as_deref(), Some(map));
}

#[test]
fn a_companion_that_is_not_json_is_named() {
    let folder = folder(&[("config.json", &config()), ("tokenizer_config.json", "{")]);
    let error = Checkpoint::open(folder.path())
        .unwrap()
        .chat_template()
        .unwrap_err();
    assert!(
        error.to_string().contains("tokenizer_config.json"),
        "{error}"
    );
}
