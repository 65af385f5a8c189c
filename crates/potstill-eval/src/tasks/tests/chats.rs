//! Prompts as conversations against what lm-evaluation-harness and transformers recorded.

use potstill_core::SpecialTokens;
use potstill_data::ChatTemplate;

use super::*;
use crate::sha256;

const RECORDED: &str = include_str!("../../../tests/fixtures/tasks/recorded_chats.json");

#[derive(Deserialize)]
struct Chats {
    template: Option<String>,
    settings: Settings,
    tasks: BTreeMap<String, Requests>,
}

#[derive(Deserialize)]
struct Settings {
    #[serde(default)]
    fewshot_as_multiturn: bool,
    system_instruction: Option<String>,
}

#[derive(Deserialize)]
struct Requests {
    /// Context and continuation of the first document's.
    first: Vec<(String, String)>,
    requests_sha256: Vec<String>,
    prompt_hashes: Vec<String>,
    /// Without standard errors, which depend on the scores alone.
    results: Map<String, Value>,
}

fn template(source: impl Into<String>) -> ChatTemplate {
    let specials = SpecialTokens {
        bos: Some("<s>".into()),
        eos: Some("</s>".into()),
        ..SpecialTokens::default()
    };
    ChatTemplate::new(source, specials).unwrap()
}

#[test]
fn prompts_in_every_format_are_those_of_the_harness() {
    let recorded: BTreeMap<String, Chats> = serde_json::from_str(RECORDED).unwrap();
    assert_eq!(recorded.len(), 3);
    for (name, chats) in &recorded {
        let format = PromptFormat {
            system_instruction: chats.settings.system_instruction.clone(),
            chat_template: chats.template.clone().map(template),
            fewshot_as_multiturn: chats.settings.fewshot_as_multiturn,
        };
        assert_eq!(chats.tasks.len(), 9);
        for (task, requests) in &chats.tasks {
            let what = format!("{task}, {name}");
            let run = Task::read(fixture(&format!("{task}.yaml")))
                .unwrap()
                .with_prompt_format(&format)
                .run(&rule())
                .unwrap();
            assert_eq!(run.samples[0].requests, requests.first, "{what}");
            let hashes = run.samples.iter().map(|sample| {
                let json = serde_json::to_string(&sample.requests).unwrap();
                sha256::of_bytes(json.as_bytes())
            });
            assert_eq!(
                hashes.collect::<Vec<_>>(),
                requests.requests_sha256,
                "{what}"
            );
            let hashes = run.samples.iter().map(TaskSample::prompt_sha256);
            assert_eq!(hashes.collect::<Vec<_>>(), requests.prompt_hashes, "{what}");
            let runs = [run];
            let json = HarnessResults::new(&runs, &rule(), SystemTime::UNIX_EPOCH, Duration::ZERO);
            let json = json.to_json();
            for (key, expected) in &requests.results {
                let found = &json["results"][task][key];
                assert_near(found, expected, &format!("{what}, {key}"));
            }
        }
    }
}

#[test]
fn results_say_how_the_prompts_were_put() {
    let format = PromptFormat {
        system_instruction: Some("Be brief.".into()),
        ..PromptFormat::chat(template(
            "{% for message in messages %}{{ message.content }}{% endfor %}",
        ))
    };
    let read = || Task::read(fixture("claims.yaml")).unwrap();
    let runs = [read().with_prompt_format(&format).run(&rule()).unwrap()];
    let json =
        HarnessResults::new(&runs, &rule(), SystemTime::UNIX_EPOCH, Duration::ZERO).to_json();
    assert_eq!(json["system_instruction"], "Be brief.");
    assert_eq!(json["fewshot_as_multiturn"], true);
    let source = json["chat_template"].as_str().unwrap();
    assert_eq!(
        json["chat_template_sha"],
        sha256::of_bytes(source.as_bytes())
    );
    assert_eq!(
        json["system_instruction_sha"],
        sha256::of_bytes(b"Be brief.")
    );
    let plain = read().run(&rule()).unwrap();
    let runs_of_plain = [plain.clone()];
    let json = HarnessResults::new(
        &runs_of_plain,
        &rule(),
        SystemTime::UNIX_EPOCH,
        Duration::ZERO,
    );
    assert!(json.to_json()["fewshot_as_multiturn"].is_null());
    assert_ne!(plain.identity(), runs[0].identity());
}

#[test]
#[should_panic(expected = "the prompts of these runs have different formats")]
fn one_file_has_room_for_one_format() {
    let read = || Task::read(fixture("claims.yaml")).unwrap();
    let format = PromptFormat {
        system_instruction: Some("Be brief.".into()),
        ..PromptFormat::default()
    };
    let runs = [PromptFormat::default(), format]
        .map(|format| read().with_prompt_format(&format).run(&rule()).unwrap());
    let _ = HarnessResults::new(&runs, &rule(), SystemTime::UNIX_EPOCH, Duration::ZERO);
}

#[test]
fn a_template_that_does_not_fit_is_an_error() {
    let says = |source: &str, expected| {
        let task = Task::read(fixture("claims.yaml")).unwrap();
        let task = task.with_prompt_format(&PromptFormat::chat(template(source)));
        assert_says(&task.run(&rule()).unwrap_err(), expected);
    };
    says("{{ raise_exception('no system role') }}", "no system role");
    says(
        "{{ messages[0].content }}",
        "the chat template leaves out how the answer begins, which is \"Answer:\"",
    );
}
