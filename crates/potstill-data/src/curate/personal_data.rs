//! Personal data and secrets, replaced by what they are.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Value, json};

use crate::{Content, Outcome, Record, Stage, StageContext, StageError};

/// What is looked for, in this order: the name that takes its place, and its pattern.
const PATTERNS: [(&str, &str); 6] = [
    (
        "PRIVATE KEY",
        r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
    ),
    (
        "KEY",
        r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}|AKIA[0-9A-Z]{16}|xox[abprs]-[A-Za-z0-9-]{10,}|eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,})\b",
    ),
    (
        "EMAIL",
        r"\b[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b",
    ),
    (
        "IP",
        r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b|\b(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b",
    ),
    (
        "IBAN",
        r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b",
    ),
    (
        "PHONE",
        r"(?:\+\d{1,3}[ .\-/]?|\b0)(?:\(?\d{1,5}\)?[ .\-/]?){2,5}\d{2,}\b|\(\d{3}\) ?\d{3}[ .\-]\d{4}\b|\b\d{3}[ .\-]\d{3}[ .\-]\d{4}\b",
    ),
];

static COMPILED: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    PATTERNS
        .iter()
        .map(|(name, pattern)| {
            (
                *name,
                Regex::new(pattern).expect("the patterns are constants"),
            )
        })
        .collect()
});

/// `text` with e-mail addresses, phone numbers, IP addresses, bank accounts and keys replaced by
/// `[EMAIL]`, `[PHONE]`, `[IP]`, `[IBAN]`, `[KEY]`, and how many there were.
///
/// Patterns find what looks like personal data; they do not find names and cannot promise that none
/// is left.
#[must_use]
pub fn mask_personal_data(text: &str) -> (String, usize) {
    let mut count = 0;
    let mut masked = text.to_owned();
    for (name, pattern) in COMPILED.iter() {
        let replace = |_: &Captures<'_>| {
            count += 1;
            format!("[{name}]")
        };
        masked = pattern.replace_all(&masked, replace).into_owned();
    }
    (masked, count)
}

/// Masks personal data in what records say, and notes how much under `meta.masked`.
#[derive(Clone, Copy, Debug)]
pub struct MaskPersonalData;

impl Stage for MaskPersonalData {
    fn name(&self) -> &'static str {
        "mask-personal-data"
    }

    fn configuration(&self) -> Value {
        json!({"patterns": PATTERNS})
    }

    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        Ok(records
            .into_iter()
            .map(|record| Outcome::kept(masked(record)))
            .collect())
    }
}

fn masked(mut record: Record) -> Record {
    let mut count = 0;
    let mut mask = |text: &mut String| {
        let (masked, found) = mask_personal_data(text);
        count += found;
        *text = masked;
    };
    match &mut record.content {
        Content::Messages(messages) => {
            messages
                .iter_mut()
                .for_each(|message| mask(&mut message.content));
        }
        Content::Completion { prompt, completion } => {
            mask(prompt);
            mask(completion);
        }
        Content::Text(text) => mask(text),
    }
    if count > 0 {
        record.meta.insert("masked".into(), json!(count));
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_masked(text: &str, expected: &str) {
        assert_eq!(mask_personal_data(text).0, expected);
    }

    #[test]
    fn what_identifies_somebody_is_replaced() {
        assert_masked("write to jane.doe+x@mail.example.org.", "write to [EMAIL].");
        assert_masked(
            "call +49 30 1234567 or (555) 123-4567",
            "call [PHONE] or [PHONE]",
        );
        assert_masked("host 192.168.0.1 is down", "host [IP] is down");
        assert_masked("DE89 3704 0044 0532 0130 00 please", "[IBAN] please");
        let key = format!("key sk-{} used", "a1B2".repeat(8));
        assert_masked(&key, "key [KEY] used");
        let pem = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----";
        assert_masked(pem, "[PRIVATE KEY]");
    }

    #[test]
    fn ordinary_numbers_stay() {
        for text in [
            "In 2024, 1234567 people came.",
            "version 1.2.3",
            "3.14159",
            "ISBN of page 12",
            "10 + 20 = 30",
        ] {
            assert_masked(text, text);
        }
    }

    #[test]
    fn every_turn_is_masked_and_counted() {
        let record = Record::from_json(
            r#"{"messages": [{"role": "user", "content": "I am a@b.co"}, {"role": "assistant", "content": "Hello a@b.co"}]}"#,
        );
        let record = masked(record.unwrap());
        assert_eq!(record.text(), "I am [EMAIL]\nHello [EMAIL]");
        assert_eq!(record.meta["masked"], 2);
    }
}
