//! Protocol-buffers messages, as far as TensorBoard needs them.

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// A message under construction.
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// An event at a time, in seconds since 1970, and a step.
    pub(super) fn event(time: f64, step: usize) -> Self {
        let mut event = Self::default();
        event.key(1, EIGHT_BYTES);
        event.0.extend(time.to_le_bytes());
        // A number of 0 is left out, as everywhere in protocol buffers.
        if step == 0 {
            return event;
        }
        event.number(2, step as u64)
    }

    pub(super) fn number(mut self, field: u64, value: u64) -> Self {
        self.key(field, VARINT);
        self.varint(value);
        self
    }

    pub(super) fn float(mut self, field: u64, value: f32) -> Self {
        self.key(field, FOUR_BYTES);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn text(self, field: u64, text: &str) -> Self {
        self.chunk(field, text.as_bytes())
    }

    pub(super) fn message(self, field: u64, message: &Self) -> Self {
        self.chunk(field, &message.0)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn chunk(mut self, field: u64, bytes: &[u8]) -> Self {
        self.key(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
        self
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
