//! What a Parquet table holds, as JSON.

use parquet::record::{Field, Row};
use serde_json::{Map, Number, Value};

/// The columns of a row.
pub(super) fn keys(row: Row) -> Map<String, Value> {
    row.into_columns()
        .into_iter()
        .map(|(name, field)| (name, value(field)))
        .collect()
}

fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(flag) => flag.into(),
        Field::Byte(number) => number.into(),
        Field::Short(number) => number.into(),
        Field::Int(number) => number.into(),
        Field::Long(number) => number.into(),
        Field::UByte(number) => number.into(),
        Field::UShort(number) => number.into(),
        Field::UInt(number) => number.into(),
        Field::ULong(number) => number.into(),
        Field::Float16(number) => float(number.into()),
        Field::Float(number) => float(number.into()),
        Field::Double(number) => float(number),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => text_or_hexadecimal(bytes.data()),
        Field::Group(row) => Value::Object(keys(row)),
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::MapInternal(map) => entries(map.entries()),
        // As people write them.
        Field::Decimal(_)
        | Field::Date(_)
        | Field::TimeMillis(_)
        | Field::TimeMicros(_)
        | Field::TimestampMillis(_)
        | Field::TimestampMicros(_) => field.to_string().into(),
    }
}

/// JSON has no NaN and no infinity, and null would hide that something is wrong.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

/// Old writers do not say that text is text.
fn text_or_hexadecimal(bytes: &[u8]) -> Value {
    match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
            .into(),
    }
}

/// An object if all keys are texts, else pairs.
fn entries(entries: &[(Field, Field)]) -> Value {
    let pairs = entries.iter().cloned();
    if entries.iter().all(|(key, _)| matches!(key, Field::Str(_))) {
        let named = pairs.filter_map(|(key, content)| match key {
            Field::Str(name) => Some((name, value(content))),
            _ => None,
        });
        Value::Object(named.collect())
    } else {
        pairs
            .map(|(key, content)| Value::Array(vec![value(key), value(content)]))
            .collect()
    }
}
