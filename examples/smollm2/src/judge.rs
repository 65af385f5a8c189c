//! How close a student is to its teacher, on text that it never sees.

use potstill::core::{CausalLm, TokenBatch, Vocabulary};
use potstill::data::TextTokenizer;
use potstill::eval::{Error, HeldOut, held_out};
use potstill::models::LanguageModel;
use potstill::teachers::ModelTeacher;

use crate::corpus::Corpus;

/// The teacher and the held-out batches.
pub(crate) struct Judge {
    /// The tokens that teacher and student share.
    pub(crate) vocabulary: Vocabulary,
    teacher: ModelTeacher<LanguageModel>,
    batches: Vec<TokenBatch>,
}

impl Judge {
    pub(crate) fn new(
        teacher: &LanguageModel,
        tokenizer: &TextTokenizer,
        corpus: &Corpus,
        batch: usize,
    ) -> Self {
        let identity = tokenizer.identity();
        Self {
            vocabulary: Vocabulary {
                head_size: teacher.vocab_size(),
                tokenizer: Some(identity.clone()),
            },
            teacher: ModelTeacher::new(teacher).with_tokenizer(identity),
            batches: corpus.held_out_batches(batch, tokenizer.pad_id()),
        }
    }

    pub(crate) fn measure(&mut self, student: &LanguageModel) -> Result<HeldOut, Error> {
        held_out(
            student,
            &self.vocabulary,
            &mut self.teacher,
            self.batches.iter().cloned(),
        )
    }
}
