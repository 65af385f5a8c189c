//! Renderings compared with those of Jinja2 in Python.

use serde::Deserialize;
use serde_json::json;

use super::*;

#[derive(Deserialize)]
struct Fixture {
    templates: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    template: String,
    messages: Vec<Message>,
    add_generation_prompt: bool,
    rendered: Option<String>,
    refused: Option<String>,
}

fn specials() -> SpecialTokens {
    SpecialTokens {
        bos: Some("<s>".into()),
        eos: Some("</s>".into()),
        ..SpecialTokens::default()
    }
}

fn template(source: &str) -> ChatTemplate {
    ChatTemplate::new(source, specials()).unwrap()
}

fn check(fixture: &str, at_time: i64) {
    let fixture: Fixture = serde_json::from_str(fixture).unwrap();
    for case in &fixture.cases {
        let template = template(&fixture.templates[&case.template]).at_time(at_time);
        let rendered = template.render(&case.messages, case.add_generation_prompt);
        match (&case.rendered, &case.refused) {
            (Some(expected), _) => assert_eq!(&rendered.unwrap(), expected, "{}", case.template),
            (None, expected) => match rendered {
                Err(Error::TemplateRefused { message }) => assert_eq!(&Some(message), expected),
                other => panic!("{}: {other:?} instead of {expected:?}", case.template),
            },
        }
    }
    assert!(fixture.cases.len() > 10);
}

#[test]
fn renders_what_transformers_renders() {
    check(include_str!("../../tests/fixtures/chat_templates.json"), 0);
}

#[test]
fn renders_what_python_renders() {
    // 2024-07-26 09:05:03 UTC, the clock of generate_python_templates.py.
    check(
        include_str!("../../tests/fixtures/python_templates.json"),
        1_721_984_703,
    );
}

#[test]
fn a_refusal_is_in_the_templates_own_words() {
    let template =
        template("{% if messages | length > 1 %}{{ raise_exception('One at a time') }}{% endif %}");
    assert_eq!(template.render(&[Message::user("a")], false).unwrap(), "");
    let error = template
        .render(&[Message::user("a"), Message::user("b")], false)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the chat template refuses this conversation: One at a time"
    );
}

#[test]
fn a_broken_template_is_an_error() {
    let error = ChatTemplate::new("{% for %}", specials()).unwrap_err();
    assert_eq!(error.to_string(), "the chat template does not parse");
    let failing = template("{{ messages[0].content.no_such_method() }}");
    let error = failing.render(&[Message::user("a")], false).unwrap_err();
    assert!(matches!(error, Error::TemplateRender(_)));
}

#[test]
fn what_is_iterable_is_so_in_python() {
    let source = "{{ tools is iterable }} {{ 'a' is iterable }} {{ messages is iterable }} {{ 3 is iterable }}";
    assert_eq!(
        template(source).render(&[], false).unwrap().to_lowercase(),
        "false true true false"
    );
}

#[test]
fn variables_reach_the_template() {
    let source = "{{ 'on' if enable_thinking else 'off' }}{{ settings.depth }}";
    let template = template(source)
        .with_variable("enable_thinking", &json!(true))
        .with_variable("settings", &json!({"depth": 3}));
    assert_eq!(template.render(&[], false).unwrap(), "on3");
}

#[test]
fn a_bad_date_format_is_an_error() {
    assert!(
        template("{{ strftime_now('%') }}")
            .render(&[], false)
            .is_err()
    );
    assert!(
        template("{{ strftime_now('%Y') }}")
            .at_time(i64::MAX)
            .render(&[], false)
            .is_err()
    );
    assert_eq!(
        template("{{ strftime_now('%Y') }}")
            .render(&[], false)
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn generation_blocks_become_byte_ranges() {
    let source = "{% for m in messages %}{% if m.role == 'assistant' %}\n\
        A: {% generation %}\n{{ m.content }}\n{% endgeneration %}\n\
        {% else %}\nU: {{ m.content }}\n{% endif %}{% endfor %}";
    let messages = [Message::user("é\u{f0000}"), Message::assistant("ü")];
    let Rendered { text, generated } = template(source).render_with_generation(&messages).unwrap();
    assert_eq!(text, "U: é\u{f0000}\nA: ü\n");
    assert_eq!(text, template(source).render(&messages, false).unwrap());
    let spans = generated.unwrap();
    assert_eq!(spans.len(), 1);
    assert_eq!(&text[spans[0].clone()], "ü\n");
}

#[test]
fn a_folder_holds_its_template_in_one_of_three_places() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let render = || {
        let template = ChatTemplate::from_folder(&folder).unwrap();
        template.map(|template| template.render(&[], false).unwrap())
    };
    assert_eq!(render(), None);
    write(
        "tokenizer_config.json",
        r#"{"chat_template": "config {{ bos_token }}", "bos_token": "<b>"}"#,
    );
    assert_eq!(render().unwrap(), "config <b>");
    write(
        "tokenizer_config.json",
        r#"{"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "list"}]}"#,
    );
    assert_eq!(render().unwrap(), "list");
    write("chat_template.json", r#"{"chat_template": "json"}"#);
    assert_eq!(render().unwrap(), "json");
    write("chat_template.jinja", "jinja");
    assert_eq!(render().unwrap(), "jinja");

    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    write("chat_template.json", r#"{"chat_template": 3}"#);
    let error = ChatTemplate::from_folder(&folder).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("\"chat_template\" must be a string"),
        "{error}"
    );
}
