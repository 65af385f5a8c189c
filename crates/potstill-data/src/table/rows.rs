//! Rows of tables, whatever is in them.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

use crate::Error;

type Row = Map<String, Value>;

/// What pandas takes for a value that is missing.
const MISSING: [&str; 17] = [
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "<NA>", "N/A", "NA", "NULL", "NaN", "nan", "null",
];

/// Reads all rows of some JSON, JSONL, CSV and Parquet files, one file after the other.
///
/// Every row has every column: what one lacks is null, as Hugging Face's `datasets` has it. The columns
/// of a CSV file, which has no types, are whole numbers, numbers, truth values or texts, whichever all
/// of their values are.
///
/// ```
/// # use potstill_testkit as _;
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("capitals.csv");
/// std::fs::write(&path, "city,people\nOslo,717710\nBern,\n")?;
/// let rows = potstill_data::read_rows(&[path])?;
/// assert_eq!(rows[0]["people"], 717710.0);
/// assert_eq!(rows[1]["people"], serde_json::Value::Null);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When a file cannot be read or is not what its extension says, or there is no row at all.
pub fn read_rows(paths: &[impl AsRef<Path>]) -> Result<Vec<Row>, Error> {
    let mut rows = Vec::new();
    for path in paths {
        rows.extend(read_file(path.as_ref())?);
    }
    if rows.is_empty() {
        let path = paths.first().map(|path| path.as_ref().to_owned());
        return Err(Error::EmptyCorpus {
            path: path.unwrap_or_default(),
        });
    }
    Ok(with_all_columns(rows))
}

fn read_file(path: &Path) -> Result<Vec<Row>, Error> {
    let extension = path.extension().map(|end| end.to_ascii_lowercase());
    let extension = extension.as_deref().and_then(|end| end.to_str());
    if extension == Some("parquet") {
        return parquet(path);
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    match extension {
        Some("csv") => csv(bytes, path),
        Some("json") if bytes.trim_ascii_start().starts_with(b"[") => {
            serde_json::from_slice(bytes).map_err(|error| at_line(path, error.line(), error))
        }
        Some("json" | "jsonl" | "ndjson") => lines(bytes, path),
        _ => Err(Error::UnknownFormat { path: path.into() }),
    }
}

#[cfg(feature = "parquet")]
fn parquet(path: &Path) -> Result<Vec<Row>, Error> {
    super::parquet_reader::all_rows(path)
}

#[cfg(not(feature = "parquet"))]
fn parquet(path: &Path) -> Result<Vec<Row>, Error> {
    Err(Error::WithoutParquet { path: path.into() })
}

fn at_line(
    path: &Path,
    row: usize,
    source: impl std::error::Error + Send + Sync + 'static,
) -> Error {
    Error::Table {
        path: path.into(),
        row,
        source: Box::new(source),
    }
}

fn lines(bytes: &[u8], path: &Path) -> Result<Vec<Row>, Error> {
    (1..)
        .zip(bytes.split(|byte| *byte == b'\n'))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
        .map(|(number, line)| {
            serde_json::from_slice(line).map_err(|error| at_line(path, number, error))
        })
        .collect()
}

fn csv(bytes: &[u8], path: &Path) -> Result<Vec<Row>, Error> {
    let failed = |error: ::csv::Error| {
        let line = error.position().map_or(1, ::csv::Position::line);
        at_line(path, usize::try_from(line).unwrap_or(usize::MAX), error)
    };
    let mut reader = ::csv::Reader::from_reader(bytes);
    let names = reader.headers().map_err(failed)?.clone();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    for record in reader.records() {
        for (column, value) in columns.iter_mut().zip(&record.map_err(failed)?) {
            column.push(value.to_owned());
        }
    }
    let rows = columns.first().map_or(0, Vec::len);
    let columns: Vec<Vec<Value>> = columns.iter().map(|column| typed(column)).collect();
    let row = |place: usize| {
        let values = columns.iter().map(|column| column[place].clone());
        names.iter().map(str::to_owned).zip(values).collect()
    };
    Ok((0..rows).map(row).collect())
}

/// The values of a column as what all of them are.
fn typed(column: &[String]) -> Vec<Value> {
    let missing = |text: &str| MISSING.contains(&text);
    let present = || column.iter().filter(|text| !missing(text));
    let all = |is: &dyn Fn(&str) -> bool| present().all(|text| is(text));
    let whole =
        all(&|text| text.parse::<i64>().is_ok()) && !column.iter().any(|text| missing(text));
    let number = all(&|text| text.trim().parse::<f64>().is_ok());
    let truth = all(&|text| matches!(text, "True" | "False" | "true" | "false" | "TRUE" | "FALSE"));
    let value = |text: &String| -> Value {
        if missing(text) {
            Value::Null
        } else if whole {
            text.parse::<i64>().map_or(Value::Null, Value::from)
        } else if number {
            text.trim().parse::<f64>().map_or(Value::Null, Value::from)
        } else if truth {
            text.eq_ignore_ascii_case("true").into()
        } else {
            text.as_str().into()
        }
    };
    column.iter().map(value).collect()
}

/// Columns in the order in which they first occur.
fn with_all_columns(rows: Vec<Row>) -> Vec<Row> {
    let mut names: Row = Map::new();
    for row in &rows {
        for name in row.keys() {
            if !names.contains_key(name) {
                names.insert(name.clone(), Value::Null);
            }
        }
    }
    let complete = |row: Row| {
        let mut whole = names.clone();
        whole.extend(row);
        whole
    };
    rows.into_iter().map(complete).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(files: &[(&str, &str)]) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        let write = |(name, text): &(&str, &str)| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let paths: Vec<_> = files.iter().map(write).collect();
        let rows = read_rows(&paths).map_err(|error| error.to_string());
        rows.map(|rows| rows.into_iter().map(Value::Object).collect())
    }

    #[test]
    fn a_column_that_a_row_lacks_is_null() {
        let found = read(&[
            (
                "a.jsonl",
                "{\"q\": \"x\", \"n\": 1}\n\n{\"q\": \"y\", \"tags\": [1]}\n",
            ),
            ("b.json", "[{\"q\": \"z\"}]"),
        ]);
        let expected = json!([
            {"q": "x", "n": 1, "tags": null}, {"q": "y", "n": null, "tags": [1]},
            {"q": "z", "n": null, "tags": null},
        ]);
        assert_eq!(found, Ok(expected));
    }

    /// What `pandas.read_csv` and `datasets` make of it.
    #[test]
    fn columns_of_csv_have_the_type_that_all_of_their_values_have() {
        let text = "q,whole,number,flag,gap,text\n\"a, b\",1,1,True,1,1\nc,-2,0.5,False,,x\n";
        let expected = json!([
            {"q": "a, b", "whole": 1, "number": 1.0, "flag": true, "gap": 1.0, "text": "1"},
            {"q": "c", "whole": -2, "number": 0.5, "flag": false, "gap": null, "text": "x"},
        ]);
        assert_eq!(read(&[("a.csv", text)]), Ok(expected));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let problem = |name, text| read(&[(name, text)]).unwrap_err();
        assert!(problem("a.jsonl", "{}\nnone\n").ends_with("a.jsonl, row 2 cannot be read"));
        assert!(problem("a.csv", "a,b\n1\n").ends_with("a.csv, row 2 cannot be read"));
        assert!(problem("a.txt", "a").contains("a.txt"));
        assert!(problem("a.jsonl", "\n").ends_with("a corpus needs at least one"));
        assert!(problem("a.json", "[1]").ends_with("a.json, row 1 cannot be read"));
    }
}
