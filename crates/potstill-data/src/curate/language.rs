//! The language of a text.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use whatlang::detect;

use crate::{Outcome, Record, Rejected, Stage, StageContext, StageError};

/// What a text begins with tells its language as well as all of it.
const BYTES: usize = 4096;

/// The language of a text as an ISO 639-3 code such as "eng", where one can be told with confidence.
///
/// A few words are rarely enough; of a long text only the first 4 KiB are read.
#[must_use]
pub fn detect_language(text: &str) -> Option<&'static str> {
    detect(&text[..text.floor_char_boundary(BYTES)])
        .filter(whatlang::Info::is_reliable)
        .map(|info| info.lang().code())
}

/// Notes the language of records under `meta.language`, and rejects those in others than are wanted.
#[derive(Clone, Debug)]
pub struct KeepLanguages {
    wanted: BTreeSet<String>,
    keep_unknown: bool,
}

impl KeepLanguages {
    /// Keeps these languages (ISO 639-3), and with `keep_unknown` also what cannot be told.
    #[must_use]
    pub fn new<T: Into<String>>(wanted: impl IntoIterator<Item = T>, keep_unknown: bool) -> Self {
        Self {
            wanted: wanted.into_iter().map(Into::into).collect(),
            keep_unknown,
        }
    }
}

impl Stage for KeepLanguages {
    fn name(&self) -> &'static str {
        "keep-languages"
    }

    fn configuration(&self) -> Value {
        json!({"wanted": self.wanted, "keep_unknown": self.keep_unknown})
    }

    fn run(&self, records: Vec<Record>, _: &StageContext<'_>) -> Result<Vec<Outcome>, StageError> {
        let judge = |mut record: Record| match detect_language(&record.text()) {
            Some(language) if self.wanted.contains(language) => {
                record.meta.insert("language".into(), language.into());
                Outcome::kept(record)
            }
            Some(language) => {
                Outcome::Rejected(Rejected::new("other language", record).with_detail(language))
            }
            None if self.keep_unknown => Outcome::kept(record),
            None => Outcome::rejected("unknown language", record),
        };
        Ok(records.into_iter().map(judge).collect())
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::Content;

    #[test]
    fn languages_are_told_apart() {
        let texts = [
            "The weather was fine this morning, so we decided to walk to the market and buy what we needed \
             for the week. Nobody else was there when we arrived, which surprised all of us.",
            "Der schnelle braune Fuchs springt über den faulen Hund, und niemand im Dorf stört sich daran.",
            "ok",
        ];
        let records = texts.map(|text| Content::Text(text.into()).into());
        let clock = || Timestamp::UNIX_EPOCH;
        let context = StageContext::new(0, &clock);
        let outcomes = KeepLanguages::new(["deu"], false)
            .run(records.to_vec(), &context)
            .unwrap();
        let Outcome::Rejected(english) = &outcomes[0] else {
            panic!("{:?}", outcomes[0])
        };
        assert_eq!(english.detail.as_deref(), Some("eng"));
        let Outcome::Kept(german) = &outcomes[1] else {
            panic!("{:?}", outcomes[1])
        };
        assert_eq!(german[0].meta["language"], "deu");
        assert!(
            matches!(&outcomes[2], Outcome::Rejected(unknown) if unknown.reason == "unknown language")
        );
    }
}
