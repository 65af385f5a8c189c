//! Tests of provenance.

use std::fs;

use super::*;
use crate::Content;

const POLICY: &str = r#"
people = true

[terms.apache]
name = "Apache License 2.0"
read_on = "2026-11-22"
allows_training = "yes"

[terms.vendor]
name = "The vendor's terms"
read_on = "2026-11-22"
allows_training = "conditional"
conditions = "no competing model"

[terms.closed]
name = "The closed terms"
read_on = "2026-11-22"
allows_training = "no"
"#;

fn policy(text: &str) -> Result<Policy, PolicyError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, text).unwrap();
    Policy::read(&path)
}

fn made_by(model: &str, terms: Option<&str>) -> Record {
    let mut record: Record = Content::Text(model.into()).into();
    record.add_provenance(&Provenance {
        model: model.into(),
        terms: terms.map(str::to_owned),
        template: "label".into(),
        template_sha256: "00".into(),
        request_sha256: "11".into(),
        time: Timestamp::UNIX_EPOCH,
        parameters: Map::new(),
        seed_record: None,
    });
    record
}

#[test]
fn provenance_survives_a_file() {
    let record = made_by("teacher-1", Some("apache"));
    let back = Record::from_json(&record.to_json().to_string()).unwrap();
    assert_eq!(back.provenance().unwrap(), record.provenance().unwrap());
}

#[test]
fn unknown_terms_are_not_allowed() {
    let records = [
        made_by("a", Some("apache")),
        made_by("b", Some("mystery")),
        made_by("c", None),
    ];
    let error = policy(POLICY).unwrap().check(&records).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the policy does not allow these records:\n\
         - the model's terms are not recorded: record 2\n\
         - the policy does not know the terms \"mystery\": record 1"
    );
}

#[test]
fn a_condition_takes_a_reason_and_the_reason_is_kept() {
    let records = [made_by("v", Some("vendor"))];
    let error = policy(POLICY)
        .unwrap()
        .check(&records)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("no competing model") && error.contains("[accept.vendor]"),
        "{error}"
    );
    let accepted = format!("{POLICY}\n[accept.vendor]\nreason = \"internal use\"\n");
    let summary = policy(&accepted).unwrap().check(&records).unwrap();
    assert_eq!(summary.accepted["vendor"], "internal use");
    assert!(!summary.unconditional);
}

#[test]
fn a_prohibition_cannot_be_accepted_away() {
    let accepted = format!("{POLICY}\n[accept.closed]\nreason = \"we want to\"\n");
    let error = policy(&accepted)
        .unwrap()
        .check(&[made_by("x", Some("closed"))])
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("The closed terms (closed) do not allow training"),
        "{error}"
    );
}

#[test]
fn an_export_that_would_break_a_rule_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("train.jsonl");
    let policy = policy(POLICY).unwrap();
    policy
        .export(&[made_by("x", Some("closed"))], &path)
        .unwrap_err();
    assert!(!path.exists());
    let records = [
        made_by("a", Some("apache")),
        Content::Text("by hand".into()).into(),
    ];
    let summary = policy.export(&records, &path).unwrap();
    assert_eq!(
        (summary.records, summary.by_people, summary.unconditional),
        (2, 1, true)
    );
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
}

#[test]
fn records_by_nobody_have_to_be_allowed_by_name() {
    let error = Policy::default()
        .check(&[Content::Text("x".into()).into()])
        .unwrap_err();
    assert!(error.to_string().contains("set people = true"), "{error}");
}

#[test]
fn a_typo_in_a_policy_is_an_error() {
    for (text, expected) in [
        ("peeple = true", "unknown field `peeple`"),
        (
            "[accept.nobody]\nreason = \"x\"",
            "[accept.nobody] is about terms",
        ),
    ] {
        let error = policy(text).unwrap_err();
        let chain = format!(
            "{error}: {:?}",
            std::error::Error::source(&error).map(ToString::to_string)
        );
        assert!(chain.contains(expected), "{chain}");
    }
}

#[test]
fn many_violations_are_counted() {
    let records = vec![made_by("x", None); 13];
    let error = policy(POLICY)
        .unwrap()
        .check(&records)
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("record 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"),
        "{error}"
    );
}
