//! Records as columns, with the levels by which Parquet nests.
//!
//! ```text
//! column            definition level                       repetition level
//! id, text, …       0 absent, 1 there                      –
//! messages.*        0 no conversation, 2 a turn            0 the first turn, 1 a further one
//! ```

use parquet::data_type::{ByteArray, ByteArrayType, FloatType};
use parquet::errors::Result;
use parquet::file::writer::SerializedRowGroupWriter;
use serde_json::Value;

use crate::{Content, Record};

/// What a file of ours holds. Element and levels of the list are named as Parquet's own
/// documentation does.
pub(super) const SCHEMA: &str = "
    message record {
        optional binary id (STRING);
        optional group messages (LIST) {
            repeated group list {
                required group element {
                    required binary role (STRING);
                    required binary content (STRING);
                }
            }
        }
        optional binary prompt (STRING);
        optional binary completion (STRING);
        optional binary text (STRING);
        optional float weight;
        optional binary meta (STRING);
    }";

/// Columns whose values are all different, for which a dictionary is wasted work.
pub(super) const WITHOUT_DICTIONARY: [&[&str]; 6] = [
    &["id"],
    &["messages", "list", "element", "content"],
    &["prompt"],
    &["completion"],
    &["text"],
    &["meta"],
];

/// A column of texts.
#[derive(Debug, Default)]
struct Texts {
    values: Vec<ByteArray>,
    definitions: Vec<i16>,
    repetitions: Vec<i16>,
}

impl Texts {
    fn push(&mut self, text: Option<&str>) {
        self.definitions.push(i16::from(text.is_some()));
        self.values.extend(text.map(ByteArray::from));
    }

    fn push_turn(&mut self, text: &str, index: usize) {
        self.definitions.push(2);
        self.repetitions.push(i16::from(index > 0));
        self.values.push(text.into());
    }

    fn push_no_turns(&mut self, definition: i16) {
        self.definitions.push(definition);
        self.repetitions.push(0);
    }
}

/// Records that become a row group.
#[derive(Debug, Default)]
pub(super) struct Columns {
    pub(super) rows: usize,
    pub(super) bytes: usize,
    id: Texts,
    role: Texts,
    content: Texts,
    prompt: Texts,
    completion: Texts,
    text: Texts,
    weights: Vec<f32>,
    weight_definitions: Vec<i16>,
    meta: Texts,
}

impl Columns {
    pub(super) fn push(&mut self, record: &Record) {
        let (mut prompt, mut completion, mut text) = (None, None, None);
        let mut turns = None;
        match &record.content {
            Content::Messages(messages) => turns = Some(messages),
            Content::Completion {
                prompt: first,
                completion: second,
            } => {
                prompt = Some(first.as_str());
                completion = Some(second.as_str());
            }
            Content::Text(plain) => text = Some(plain.as_str()),
        }
        match turns.map(Vec::as_slice) {
            None => [&mut self.role, &mut self.content].map(|column| column.push_no_turns(0)),
            Some([]) => [&mut self.role, &mut self.content].map(|column| column.push_no_turns(1)),
            Some(turns) => {
                for (index, turn) in turns.iter().enumerate() {
                    self.role.push_turn(turn.role.as_str(), index);
                    self.content.push_turn(&turn.content, index);
                    self.bytes += turn.content.len();
                }
                [(); 2]
            }
        };
        let meta =
            (!record.meta.is_empty()).then(|| Value::Object(record.meta.clone()).to_string());
        for (column, value) in [
            (&mut self.id, record.id.as_deref()),
            (&mut self.prompt, prompt),
            (&mut self.completion, completion),
            (&mut self.text, text),
            (&mut self.meta, meta.as_deref()),
        ] {
            self.bytes += value.map_or(0, str::len);
            column.push(value);
        }
        let weighs = record.weight != 1.0;
        self.weight_definitions.push(i16::from(weighs));
        self.weights.extend(weighs.then_some(record.weight));
        self.rows += 1;
    }

    /// Writes all columns, in the order of [`SCHEMA`].
    pub(super) fn write<W: std::io::Write + Send>(
        &self,
        mut group: SerializedRowGroupWriter<'_, W>,
    ) -> Result<()> {
        let (flat, nested) = (false, true);
        for (column, is_nested) in [
            (&self.id, flat),
            (&self.role, nested),
            (&self.content, nested),
            (&self.prompt, flat),
            (&self.completion, flat),
            (&self.text, flat),
        ] {
            write_texts(&mut group, column, is_nested)?;
        }
        if let Some(mut writer) = group.next_column()? {
            let definitions = Some(self.weight_definitions.as_slice());
            let weights = writer.typed::<FloatType>();
            weights.write_batch(&self.weights, definitions, None)?;
            writer.close()?;
        }
        write_texts(&mut group, &self.meta, flat)?;
        group.close()?;
        Ok(())
    }
}

fn write_texts<W: std::io::Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    column: &Texts,
    is_nested: bool,
) -> Result<()> {
    if let Some(mut writer) = group.next_column()? {
        let repetitions = is_nested.then_some(column.repetitions.as_slice());
        writer.typed::<ByteArrayType>().write_batch(
            &column.values,
            Some(&column.definitions),
            repetitions,
        )?;
        writer.close()?;
    }
    Ok(())
}
