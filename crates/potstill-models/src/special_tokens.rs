//! The tokens with a role.

/// A token with a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecialToken {
    /// Its id, where it is known.
    pub id: Option<u32>,
    /// Its text.
    pub text: String,
}

/// The tokens with a role, as far as a checkpoint names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// Begins a text.
    pub bos: Option<SpecialToken>,
    /// Ends a text.
    pub eos: Option<SpecialToken>,
    /// Fills a batch.
    pub pad: Option<SpecialToken>,
    /// Stands for what the tokenizer cannot express.
    pub unk: Option<SpecialToken>,
}
