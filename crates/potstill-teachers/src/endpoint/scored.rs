//! Texts that the server did not write.

use serde_json::Value;

use super::Endpoint;
use super::asking::not_asked;
use super::capabilities::Scoring;
use super::scoring::{Document, NextToken};
use super::wire::{Lacking, prompt};
use crate::Error;

impl Endpoint {
    /// The predictions behind each token of each document, with the `top` likeliest tokens and the one
    /// that follows in the document.
    ///
    /// Needs the bytes of the tokens, and a server that scores text.
    #[must_use]
    pub fn score(&self, documents: &[Vec<u32>], top: usize) -> Vec<Result<Vec<NextToken>, Error>> {
        let documents: Vec<(&[u32], Option<u32>)> = documents
            .iter()
            .map(|tokens| (tokens.as_slice(), None))
            .collect();
        self.score_cut(&documents, top)
    }

    /// [`score`](Self::score) of documents that were cut from a text, each with the token that follows
    /// it there.
    pub(super) fn score_cut(
        &self,
        documents: &[(&[u32], Option<u32>)],
        top: usize,
    ) -> Vec<Result<Vec<NextToken>, Error>> {
        let scoring = match self.scoring(top) {
            Ok(scoring) => scoring,
            Err(error) => return not_asked(error, documents.len()),
        };
        let (Some(known), Ok(identity)) = (self.known.as_ref(), self.ready(None)) else {
            return not_asked(self.no_token_bytes(), documents.len());
        };
        let documents: Vec<Document<'_>> = documents
            .iter()
            .map(|&(tokens, follower)| Document::new(tokens, follower, known, scoring, top))
            .collect();
        let call = |(segment, document): (usize, &Document<'_>)| {
            let prompt = document.prompt();
            let prompt = prompt.map_err(|reason| Error::Segment { segment, reason })?;
            let model = &self.config().model;
            let Scoring {
                api, max_tokens, ..
            } = scoring;
            Ok(prompt::call(
                api,
                &prompt,
                model,
                identity.kind,
                top,
                max_tokens,
            ))
        };
        let answers = self.ask_all(documents.iter().enumerate().map(call).collect());
        let read = |(answer, document): (Result<Value, Error>, &Document<'_>)| {
            let answer = answer?;
            prompt::positions(scoring.api, &answer)
                .and_then(|positions| document.predictions(&positions))
                .map_err(|problem| self.shared.exchange.unusable(problem))
        };
        answers.into_iter().zip(&documents).map(read).collect()
    }

    /// How the server scores text with `top` likely tokens a position.
    pub(super) fn scoring(&self, top: usize) -> Result<Scoring, Error> {
        if self.known.is_none() {
            return Err(self.no_token_bytes());
        }
        let capabilities = self.capabilities()?;
        let lacks = |feature: String, alternative| {
            Err(self.lacks(
                capabilities.server,
                Lacking {
                    feature,
                    alternative,
                },
            ))
        };
        match capabilities.scoring {
            None => lacks(
                "log-probabilities of a given text (`prompt_logprobs`, or `echo` with `logprobs`)"
                    .into(),
                "serve the teacher with vLLM, SGLang or potstill-serve, or learn from its text",
            ),
            Some(scoring) if top > scoring.top => lacks(
                format!(
                    "{top} likely tokens of a given text, it named {}",
                    scoring.top
                ),
                "ask for no more; if the server can name more, raise `likely_tokens` (and vLLM's \
                 `--max-logprobs`)",
            ),
            Some(scoring) => Ok(scoring),
        }
    }

    pub(super) fn no_token_bytes(&self) -> Error {
        Error::TokenBytes {
            reason: "the endpoint was given none; call `Endpoint::with_token_bytes`".into(),
        }
    }
}
