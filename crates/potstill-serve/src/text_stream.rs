//! Tokens to text, as they come.

use potstill_data::TextTokenizer;

/// Most tokens whose text may stay undecided: as many bytes as a character has, and some more for
/// tokens without text.
const MOST_PENDING: usize = 8;

/// Decodes one token after the other and ends at stop strings.
///
/// Text is given out as soon as it cannot change any more: characters when their last byte is
/// there, and what could be the beginning of a stop string when it turned out not to be one.
#[derive(Clone, Debug)]
pub(crate) struct TextStream {
    tokenizer: TextTokenizer,
    skip_special_tokens: bool,
    stop: Vec<String>,
    /// The tokens that decoding still looks at, of which the first `given` were given out.
    window: Vec<u32>,
    given: usize,
    /// Text that could be the beginning of a stop string.
    held: String,
}

/// What a token made certain.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Whether a stop string was met; the text ends before it.
    pub(crate) stops: bool,
}

impl TextStream {
    /// `stop` holds no empty string.
    pub(crate) fn new(
        tokenizer: &TextTokenizer,
        stop: Vec<String>,
        skip_special_tokens: bool,
    ) -> Self {
        Self {
            tokenizer: tokenizer.clone(),
            skip_special_tokens,
            stop,
            window: Vec::new(),
            given: 0,
            held: String::new(),
        }
    }

    /// Appends a token.
    pub(crate) fn push(&mut self, token: u32) -> Result<Piece, potstill_data::Error> {
        self.window.push(token);
        let whole = self.decode(&self.window)?;
        let undecided = whole.ends_with(char::REPLACEMENT_CHARACTER)
            && self.window.len() - self.given < MOST_PENDING;
        if undecided {
            return Ok(Piece::default());
        }
        self.give(&whole)
    }

    /// What was held back, at the end of the sequence.
    pub(crate) fn finish(&mut self) -> Result<String, potstill_data::Error> {
        let whole = self.decode(&self.window)?;
        let mut piece = self.give(&whole)?;
        if !piece.stops {
            piece.text += &std::mem::take(&mut self.held);
        }
        Ok(piece.text)
    }

    /// Moves the window on, `whole` being its text.
    fn give(&mut self, whole: &str) -> Result<Piece, potstill_data::Error> {
        let before = self.decode(&self.window[..self.given])?;
        // Decoders that look at their neighbors can change what they said before.
        let new = whole.strip_prefix(&before).or(whole.get(before.len()..));
        self.held += new.unwrap_or_default();
        self.window.drain(..self.given);
        self.given = self.window.len();
        Ok(self.release())
    }

    /// Gives out what is held, up to a stop string or what could become one.
    fn release(&mut self) -> Piece {
        let stop = self
            .stop
            .iter()
            .filter_map(|stop| self.held.find(stop))
            .min();
        if let Some(end) = stop {
            self.held.truncate(end);
            self.stop.clear();
            return Piece {
                text: std::mem::take(&mut self.held),
                stops: true,
            };
        }
        let could_stop = |tail: &str| self.stop.iter().any(|stop| stop.starts_with(tail));
        let end = self
            .held
            .char_indices()
            .map(|(start, _)| start)
            .find(|&start| could_stop(&self.held[start..]))
            .unwrap_or(self.held.len());
        let rest = self.held.split_off(end);
        Piece {
            text: std::mem::replace(&mut self.held, rest),
            stops: false,
        }
    }

    fn decode(&self, ids: &[u32]) -> Result<String, potstill_data::Error> {
        self.tokenizer.decode(ids, self.skip_special_tokens)
    }
}

#[cfg(test)]
mod tests;
