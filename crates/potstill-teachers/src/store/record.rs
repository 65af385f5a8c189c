//! One stored answer as bytes.
//!
//! ```text
//! version 1 byte, SHA-256 of the rest, length u32 and bytes of the request, length u32 and bytes of
//! the content type, the answer
//! ```

use sha2::{Digest, Sha256};

use crate::endpoint::AnswerKey;

const VERSION: u8 = 1;
const HASH_BYTES: usize = 32;

/// A raw answer, and what it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// Everything that changes the answer, as canonical JSON; its hash is the address.
    pub request: String,
    /// The content type that the server declared; empty if none.
    pub content_type: String,
    /// The answer as it came.
    pub body: Vec<u8>,
}

impl StoredAnswer {
    /// Where it is found.
    #[must_use]
    pub fn key(&self) -> AnswerKey {
        AnswerKey(digest(self.request.as_bytes()))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::with_capacity(8 + self.request.len() + self.body.len());
        for text in [&self.request, &self.content_type] {
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            rest.extend_from_slice(&length.to_le_bytes());
            rest.extend_from_slice(text.as_bytes());
        }
        rest.extend_from_slice(&self.body);
        let mut record = Vec::with_capacity(1 + HASH_BYTES + rest.len());
        record.push(VERSION);
        record.extend_from_slice(&digest(&rest));
        record.extend_from_slice(&rest);
        record
    }

    /// The answer, unless a byte is not what was written.
    pub(super) fn decode(record: &[u8]) -> Option<Self> {
        let (&version, record) = record.split_first()?;
        let (hash, rest) = record.split_at_checked(HASH_BYTES)?;
        if version != VERSION || digest(rest) != *hash {
            return None;
        }
        let (request, rest) = text(rest)?;
        let (content_type, body) = text(rest)?;
        Some(Self {
            request: request.to_owned(),
            content_type: content_type.to_owned(),
            body: body.to_vec(),
        })
    }
}

fn text(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

pub(super) fn digest(bytes: &[u8]) -> [u8; HASH_BYTES] {
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> StoredAnswer {
        StoredAnswer {
            request: r#"{"path":"/é"}"#.into(),
            content_type: "application/json".into(),
            body: vec![0, 255, b'{'],
        }
    }

    #[test]
    fn a_record_survives_a_round_trip() {
        assert_eq!(StoredAnswer::decode(&answer().encode()), Some(answer()));
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_noticed() {
        let record = answer().encode();
        for length in 0..record.len() {
            assert_eq!(StoredAnswer::decode(&record[..length]), None);
        }
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(StoredAnswer::decode(&flipped), None, "bit {bit}");
        }
    }
}
