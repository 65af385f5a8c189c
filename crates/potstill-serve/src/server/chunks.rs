//! Answers as server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::response::sse::{Event as Frame, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_core::Stream;
use potstill_core::Usage;
use serde_json::Value;

use super::answers::{Answers, Next};
use super::api_error::ApiError;
use crate::engine::Event;

/// Keeps proxies from closing a connection whose request waits.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Turns events into the chunks that an endpoint streams.
pub(super) trait ChunkWriter: Send + Unpin + 'static {
    /// The chunks that say what happened to the answer number `index`.
    fn chunks(&mut self, index: usize, event: Event) -> Vec<Value>;

    /// The last chunk, where one was asked for.
    fn usage(&mut self, usage: Usage) -> Option<Value>;
}

/// The response that streams `answers`.
pub(super) fn stream(answers: Answers, writer: impl ChunkWriter) -> Response {
    let frames = Frames {
        answers: Some(answers),
        writer,
        ready: VecDeque::new(),
    };
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    Sse::new(frames).keep_alive(alive).into_response()
}

struct Frames<W> {
    /// `None` after the end.
    answers: Option<Answers>,
    writer: W,
    ready: VecDeque<Frame>,
}

impl<W: ChunkWriter> Frames<W> {
    fn take(&mut self, next: Result<Next, ApiError>, usage: Usage) {
        let frame = |chunk: &Value| Frame::default().data(chunk.to_string());
        match next {
            Ok(Next::Event(index, event)) => {
                let chunks = self.writer.chunks(index, event);
                self.ready.extend(chunks.iter().map(frame));
            }
            Ok(Next::End) => {
                self.answers = None;
                self.ready
                    .extend(self.writer.usage(usage).as_ref().map(frame));
                self.ready.push_back(Frame::default().data("[DONE]"));
            }
            Err(error) => {
                self.answers = None;
                self.ready.push_back(frame(&error.to_json()));
            }
        }
    }
}

impl<W: ChunkWriter> Stream for Frames<W> {
    type Item = Result<Frame, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(frame) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            let Some(answers) = &mut this.answers else {
                return Poll::Ready(None);
            };
            let Poll::Ready(next) = answers.poll_next(context) else {
                return Poll::Pending;
            };
            let usage = answers.usage();
            this.take(next, usage);
        }
    }
}
