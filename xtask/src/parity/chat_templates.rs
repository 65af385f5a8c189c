//! Conversations as Transformers renders them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use potstill_core::{Message, SpecialTokens};
use potstill_data::ChatTemplate;
use potstill_testkit::read_json;
use serde::Deserialize;

use super::report::{Measure, Report};

#[derive(Debug, Deserialize)]
struct ChatTemplates {
    templates: BTreeMap<String, String>,
    cases: Vec<Rendering>,
}

#[derive(Debug, Deserialize)]
struct Rendering {
    template: String,
    messages: Vec<Message>,
    add_generation_prompt: bool,
    rendered: String,
}

pub(super) fn check(folder: &Path, report: &mut Report) -> Result<()> {
    let path = folder.join("chat_templates.json");
    if path.is_file() {
        let ChatTemplates { templates, cases } = read_json(&path)?;
        for case in cases {
            let prompt = if case.add_generation_prompt {
                " + prompt"
            } else {
                ""
            };
            let name = format!(
                "chat_templates/{}, {} messages{prompt}",
                case.template,
                case.messages.len()
            );
            report.case(name, || measure(&templates, &case));
        }
    }
    Ok(())
}

fn measure(templates: &BTreeMap<String, String>, case: &Rendering) -> Result<Vec<Measure>> {
    let source = templates
        .get(&case.template)
        .context("the file lacks this template")?;
    let template = ChatTemplate::new(source, special_tokens())?;
    let rendered = template.render(&case.messages, case.add_generation_prompt)?;
    Ok(vec![Measure::equal(
        "text",
        rendered.as_bytes(),
        case.rendered.as_bytes(),
    )])
}

/// The tokens that the reference was rendered with.
fn special_tokens() -> SpecialTokens {
    SpecialTokens {
        bos: Some("<s>".into()),
        eos: Some("</s>".into()),
        ..Default::default()
    }
}
