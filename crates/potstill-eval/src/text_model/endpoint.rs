//! A model behind a server as a model of text.

use potstill_data::TextTokenizer;
use potstill_teachers::{CompletionRequest, Endpoint, NextToken, Prompt, TokenBytes};

use super::{GenerateUntil, LogLikelihood, ScoredTokens, TextModel};
use crate::Error;

/// A model behind a server that scores prompts, with the tokenizer that it has.
///
/// vLLM, SGLang and `potstill-serve` score prompts. The tokens are made here and sent as ids, and what
/// the server says is checked against them.
#[derive(Debug)]
pub struct EndpointTextModel {
    endpoint: Endpoint,
    tokenizer: TextTokenizer,
    window: usize,
}

impl EndpointTextModel {
    /// A model that reads at most `window` tokens at once. Servers count the tokens that they write as
    /// well: two less than the context leaves room for one that is predicted and one that is written.
    ///
    /// # Errors
    ///
    /// When the bytes of the tokens are not known.
    pub fn new(endpoint: Endpoint, tokenizer: TextTokenizer, window: usize) -> Result<Self, Error> {
        let known = TokenBytes::new(tokenizer.token_bytes())
            .map_err(|source| failed(&endpoint.config().model, source))?;
        Ok(Self {
            endpoint: endpoint.with_token_bytes(known),
            tokenizer,
            window,
        })
    }
}

fn failed(model: &str, source: potstill_teachers::Error) -> Error {
    Error::TextModel {
        model: model.into(),
        source: source.into(),
    }
}

impl TextModel for EndpointTextModel {
    fn name(&self) -> &str {
        &self.endpoint.config().model
    }

    fn tokenizer(&self) -> &TextTokenizer {
        &self.tokenizer
    }

    fn window(&self) -> usize {
        self.window
    }

    fn score(&self, spans: &[ScoredTokens]) -> Result<Vec<LogLikelihood>, Error> {
        let documents: Vec<Vec<u32>> = spans.iter().map(|span| span.tokens.clone()).collect();
        let scored = self.endpoint.score(&documents, 1);
        let likelihood =
            |(index, (span, scored)): (usize, (&ScoredTokens, Result<_, _>))| match scored {
                Ok(next) => of_span(span, next).ok_or(Error::NoLikelihood { index }),
                Err(source) => Err(failed(self.name(), source)),
            };
        spans
            .iter()
            .zip(scored)
            .enumerate()
            .map(likelihood)
            .collect()
    }

    fn write(&self, prompts: Vec<Vec<u32>>, options: &GenerateUntil) -> Result<Vec<String>, Error> {
        let request = |prompt| CompletionRequest {
            sampling: options.sampling,
            stop: options.until.clone(),
            seed: Some(options.seed),
            ..CompletionRequest::new(Prompt::Tokens(prompt), options.max_new_tokens)
        };
        let requests: Vec<CompletionRequest> = prompts.into_iter().map(request).collect();
        let replies = self.endpoint.complete(&requests).into_iter();
        replies
            .map(|reply| {
                reply
                    .map(|reply| reply.text)
                    .map_err(|source| failed(self.name(), source))
            })
            .collect()
    }
}

/// `predictions` stand behind each token of the span.
fn of_span(span: &ScoredTokens, predictions: Vec<NextToken>) -> Option<LogLikelihood> {
    let n = span.tokens.len();
    let mut total = LogLikelihood {
        log_prob: 0.0,
        is_greedy: true,
    };
    for place in n - span.scored..n {
        let prediction = &predictions[place - 1];
        let token = span.tokens[place];
        let named = prediction.token_ids.iter().position(|id| *id == token)?;
        total.log_prob += f64::from(prediction.log_probs[named]);
        total.is_greedy &= named == 0;
    }
    Some(total)
}
