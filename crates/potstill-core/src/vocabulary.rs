//! Do student and teacher speak the same tokens?

use serde::{Deserialize, Serialize};

/// What tells one tokenizer from another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizerIdentity {
    /// Number of tokens, added ones included.
    pub size: usize,
    /// Hash of the token-to-id map, in hexadecimal.
    pub fingerprint: String,
}

/// The tokens that a head speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vocabulary {
    /// Rows of the head, padding included.
    pub head_size: usize,
    /// The tokenizer, where it is known.
    pub tokenizer: Option<TokenizerIdentity>,
}

impl Vocabulary {
    /// A vocabulary of which only the size of the head is known.
    #[must_use]
    pub fn of_size(head_size: usize) -> Self {
        Self {
            head_size,
            tokenizer: None,
        }
    }

    /// The number of tokens on which `student` and `teacher` are compared.
    ///
    /// Equal heads are compared whole. Heads of different sizes are both cut to the real size of
    /// their common tokenizer, since the difference can only be padding.
    ///
    /// # Errors
    ///
    /// When the tokenizers are known to differ, when the heads differ and no tokenizer tells their
    /// real size, or when a head is smaller than its tokenizer.
    pub fn shared(student: &Self, teacher: &Self) -> Result<usize, VocabularyMismatch> {
        for (role, side) in [("student", student), ("teacher", teacher)] {
            if let Some(tokenizer) = &side.tokenizer
                && side.head_size < tokenizer.size
            {
                return Err(VocabularyMismatch::HeadTooSmall {
                    role,
                    head: side.head_size,
                    tokenizer: tokenizer.size,
                });
            }
        }
        if let (Some(s), Some(t)) = (&student.tokenizer, &teacher.tokenizer)
            && s.fingerprint != t.fingerprint
        {
            return Err(VocabularyMismatch::DifferentTokenizers {
                student: s.size,
                teacher: t.size,
            });
        }
        if student.head_size == teacher.head_size {
            return Ok(student.head_size);
        }
        match (&student.tokenizer, &teacher.tokenizer) {
            (Some(tokenizer), Some(_)) => Ok(tokenizer.size),
            _ => Err(VocabularyMismatch::DifferentSizes {
                student: student.head_size,
                teacher: teacher.head_size,
            }),
        }
    }
}

/// Why a student cannot be compared with a teacher token by token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VocabularyMismatch {
    /// The tokenizers are known, and not the same.
    #[error(
        "the student's tokenizer ({student} tokens) is not the teacher's ({teacher} tokens); token-level \
         distillation needs one tokenizer for both, different ones need a cross-tokenizer objective"
    )]
    DifferentTokenizers {
        /// Tokens of the student's tokenizer.
        student: usize,
        /// Tokens of the teacher's tokenizer.
        teacher: usize,
    },
    /// The heads differ, and nothing says that the difference is padding.
    #[error(
        "the student's head has {student} tokens and the teacher's {teacher}; give both their \
         tokenizer if one head is only padded, otherwise use a cross-tokenizer objective"
    )]
    DifferentSizes {
        /// Rows of the student's head.
        student: usize,
        /// Rows of the teacher's head.
        teacher: usize,
    },
    /// A tokenizer has ids that its head lacks.
    #[error("the {role}'s head has {head} tokens, but its tokenizer has {tokenizer}")]
    HeadTooSmall {
        /// "student" or "teacher".
        role: &'static str,
        /// Rows of the head.
        head: usize,
        /// Tokens of the tokenizer.
        tokenizer: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(head_size: usize, size: usize, fingerprint: &str) -> Vocabulary {
        let tokenizer = TokenizerIdentity {
            size,
            fingerprint: fingerprint.into(),
        };
        Vocabulary {
            head_size,
            tokenizer: Some(tokenizer),
        }
    }

    #[test]
    fn equal_heads_are_compared_whole() {
        let plain = Vocabulary::of_size(97);
        assert_eq!(Vocabulary::shared(&plain, &plain), Ok(97));
        assert_eq!(Vocabulary::shared(&plain, &known(97, 90, "a")), Ok(97));
    }

    #[test]
    fn a_padded_head_is_cut_to_the_tokenizer() {
        assert_eq!(
            Vocabulary::shared(&known(96, 90, "a"), &known(128, 90, "a")),
            Ok(90)
        );
    }

    #[test]
    fn a_mismatch_names_both_sizes() {
        let error = Vocabulary::shared(&Vocabulary::of_size(96), &known(128, 90, "a")).unwrap_err();
        assert!(
            error.to_string().contains("96") && error.to_string().contains("128"),
            "{error}"
        );
        let error = Vocabulary::shared(&known(90, 90, "b"), &known(90, 90, "a")).unwrap_err();
        assert!(
            matches!(error, VocabularyMismatch::DifferentTokenizers { .. }),
            "{error}"
        );
    }

    #[test]
    fn a_head_smaller_than_its_tokenizer_is_refused() {
        let error = Vocabulary::shared(&known(80, 90, "a"), &known(90, 90, "a")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the student's head has 80 tokens, but its tokenizer has 90"
        );
    }
}
