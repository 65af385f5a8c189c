//! The answers to one request, as they come from the engine.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use potstill_core::Usage;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::App;
use super::api_error::ApiError;
use super::intake::InFlight;
use crate::engine::Event;
use crate::error::with_sources;
use crate::local_chat::JobSettings;
use crate::transcript::Transcript;

/// The events of all answers to a request. Dropping it takes the request back.
#[derive(Debug)]
pub(super) struct Answers {
    app: Arc<App>,
    events: UnboundedReceiver<(usize, Event)>,
    unfinished: usize,
    usage: Usage,
    started: Instant,
    _in_flight: InFlight,
}

/// What came next.
#[derive(Debug)]
pub(super) enum Next {
    /// An event of the answer with this number.
    Event(usize, Event),
    /// Every answer has ended.
    End,
}

impl Answers {
    /// Asks for `n` answers to each prompt. Answer `i · n + j` is the one number `j` to prompt `i`.
    pub(super) fn request(
        app: &Arc<App>,
        prompts: &[JobSettings],
        n: usize,
    ) -> Result<Self, ApiError> {
        let in_flight = app.intake.enter().ok_or_else(ApiError::shutting_down)?;
        let mut prompt_tokens = 0;
        for settings in prompts {
            app.chat.check(settings)?;
            prompt_tokens += settings.prompt.len();
        }
        let (sender, events) = unbounded_channel();
        let answers = prompts
            .iter()
            .flat_map(|settings| (0..n as u64).map(move |repetition| (repetition, settings)));
        let jobs: Vec<_> = (0..)
            .zip(answers)
            .map(|(index, (repetition, settings))| {
                app.chat.job(index, repetition, settings, sender.clone())
            })
            .collect();
        let unfinished = jobs.len();
        let options = &app.options;
        let submitted = app.chat.engine().submit(jobs, options.max_waiting);
        submitted.map_err(|full| ApiError::busy(full.waiting, options.retry_after))?;
        app.metrics.prompt(prompt_tokens);
        Ok(Self {
            app: Arc::clone(app),
            events,
            unfinished,
            usage: Usage {
                prompt_tokens: prompt_tokens as u64,
                completion_tokens: 0,
            },
            started: Instant::now(),
            _in_flight: in_flight,
        })
    }

    /// Tokens read and written so far.
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Result<Next, ApiError>> {
        if self.unfinished == 0 {
            return Poll::Ready(Ok(Next::End));
        }
        self.events.poll_recv(context).map(|event| match event {
            Some((index, event)) => {
                self.note(&event);
                match event {
                    Event::Failed(failure) => Err(ApiError::internal(with_sources(&failure))),
                    event => Ok(Next::Event(index, event)),
                }
            }
            None => Err(ApiError::internal("the model's thread has died")),
        })
    }

    fn note(&mut self, event: &Event) {
        let metrics = &self.app.metrics;
        match event {
            Event::Token { .. } => {
                if self.usage.completion_tokens == 0 {
                    metrics.first_token(self.started.elapsed());
                }
                self.usage.completion_tokens += 1;
                metrics.generated();
            }
            Event::Finished { .. } => {
                self.unfinished -= 1;
                if self.unfinished == 0 {
                    metrics.whole_answer(self.started.elapsed());
                }
            }
            Event::Prompt(_) | Event::Failed(_) => {}
        }
    }

    /// Waits for all answers, in order.
    pub(super) async fn collect(mut self) -> Result<(Vec<Transcript>, Usage), ApiError> {
        let mut transcripts: Vec<Transcript> = Vec::new();
        transcripts.resize_with(self.unfinished, Transcript::default);
        loop {
            match std::future::poll_fn(|context| self.poll_next(context)).await? {
                Next::Event(index, event) => transcripts[index].note(event),
                Next::End => return Ok((transcripts, self.usage)),
            }
        }
    }
}
