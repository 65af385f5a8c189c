//! Answers that were paid for, on disk.
//!
//! One file, a [`redb`] database: every insertion is a transaction that is synced before it counts,
//! so a kill or a power cut leaves what was there. Opening it reads it whole and compares the
//! checksum of every page, since redb trusts its pages afterwards; and each record carries its own
//! SHA-256, so that no answer is ever read that was not written.

mod record;

use std::fmt;
use std::path::{Path, PathBuf};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition,
};

pub use record::StoredAnswer;

use crate::endpoint::AnswerKey;
use crate::error::{BoxError, Error};

const SCHEMA: &str = "potstill.answers/1";
const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
const ANSWERS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("answers");
/// What came back but is no answer, by request and by content: kept for inspection, never served.
const REFUSED: TableDefinition<'_, (&[u8; 32], &[u8; 32]), &[u8]> = TableDefinition::new("refused");

/// Raw answers of endpoints, each under the hash of everything that changes it.
///
/// One process at a time has it open.
pub struct AnswerStore {
    database: Database,
    path: PathBuf,
}

impl AnswerStore {
    /// Opens the store at `path`, and creates it if there is nothing.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, is open elsewhere, is damaged, or is no store of answers.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::guarded(path, |builder| builder.create(path))
    }

    /// Opens the store at `path`, which must exist.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), and when there is no file.
    pub fn open_existing(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        Self::guarded(path, |builder| builder.open(path))
    }

    /// A store on a medium of a test; `name` stands for its path in messages.
    #[cfg(test)]
    fn on(name: &str, medium: impl redb::StorageBackend) -> Result<Self, Error> {
        Self::guarded(Path::new(name), |builder| {
            builder.create_with_backend(medium)
        })
    }

    fn guarded(
        path: &Path,
        open: impl FnOnce(&Builder) -> Result<Database, DatabaseError>,
    ) -> Result<Self, Error> {
        let mut builder = Database::builder();
        builder.set_check_integrity_on_open(true);
        let database = named(path, "open", || Ok(open(&builder)?))?;
        let store = Self {
            database,
            path: path.to_owned(),
        };
        store.check_schema()?;
        Ok(store)
    }

    fn check_schema(&self) -> Result<(), Error> {
        let found = self.named("open", || {
            let transaction = self.database.begin_read()?;
            match transaction.open_table(META) {
                Ok(meta) => Ok(Some(
                    meta.get("schema")?.map(|schema| schema.value().to_owned()),
                )),
                Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
                Err(error) => Err(error.into()),
            }
        })?;
        match found {
            Some(Some(schema)) if schema == SCHEMA => Ok(()),
            Some(schema) => Err(self.damaged(format!(
                "its schema is {:?}, this program reads \"{SCHEMA}\"",
                schema.unwrap_or_default()
            ))),
            None if self.has_tables()? => {
                Err(self.damaged("it is a database of something else".into()))
            }
            None => self.named("write", || {
                let transaction = self.database.begin_write()?;
                transaction.open_table(META)?.insert("schema", SCHEMA)?;
                transaction.open_table(ANSWERS)?;
                transaction.open_table(REFUSED)?;
                transaction.commit()?;
                Ok(())
            }),
        }
    }

    fn has_tables(&self) -> Result<bool, Error> {
        self.named("open", || {
            let transaction = self.database.begin_read()?;
            Ok(transaction.list_tables()?.next().is_some())
        })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Number of answers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn len(&self) -> Result<u64, Error> {
        self.named("read", || {
            let transaction = self.database.begin_read()?;
            Ok(transaction.open_table(ANSWERS)?.len()?)
        })
    }

    /// Whether there is no answer.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn is_empty(&self) -> Result<bool, Error> {
        Ok(self.len()? == 0)
    }

    /// The addresses of all answers, ascending.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn keys(&self) -> Result<Vec<AnswerKey>, Error> {
        self.named("read", || {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(ANSWERS)?;
            let mut keys = Vec::new();
            for entry in table.iter()? {
                keys.push(AnswerKey(*entry?.0.value()));
            }
            Ok(keys)
        })
    }

    /// The answer at `key`.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or the record is not what was written.
    pub fn get(&self, key: &AnswerKey) -> Result<Option<StoredAnswer>, Error> {
        let bytes = self.named("read", || {
            let transaction = self.database.begin_read()?;
            let table = transaction.open_table(ANSWERS)?;
            Ok(table.get(&key.0)?.map(|record| record.value().to_vec()))
        })?;
        let decode = |bytes: Vec<u8>| {
            let answer = StoredAnswer::decode(&bytes).filter(|answer| answer.key() == *key);
            answer.ok_or_else(|| {
                self.damaged(format!(
                    "the record of answer {key} is not what was written"
                ))
            })
        };
        bytes.map(decode).transpose()
    }

    /// Keeps an answer; when this returns, it is on disk.
    ///
    /// # Errors
    ///
    /// When the store cannot be written; what was there is kept.
    pub fn insert(&self, answer: &StoredAnswer) -> Result<(), Error> {
        let record = answer.encode();
        self.named("write", || {
            let transaction = self.database.begin_write()?;
            transaction
                .open_table(ANSWERS)?
                .insert(&answer.key().0, record.as_slice())?;
            transaction.commit()?;
            Ok(())
        })
    }

    /// Takes the answer at `key` out of service, so that it is asked for again. Its bytes are kept.
    ///
    /// Returns whether there was one.
    ///
    /// # Errors
    ///
    /// When the store cannot be written; what was there is kept.
    pub fn set_aside(&self, key: &AnswerKey) -> Result<bool, Error> {
        self.named("write", || {
            let transaction = self.database.begin_write()?;
            let found = {
                let mut answers = transaction.open_table(ANSWERS)?;
                let record = answers
                    .remove(&key.0)?
                    .map(|record| record.value().to_vec());
                if let Some(record) = &record {
                    let content = record::digest(record);
                    transaction
                        .open_table(REFUSED)?
                        .insert((&key.0, &content), record.as_slice())?;
                }
                record.is_some()
            };
            transaction.commit()?;
            Ok(found)
        })
    }

    /// Number of things that came back and were no answers.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn n_refused(&self) -> Result<u64, Error> {
        self.named("read", || {
            let transaction = self.database.begin_read()?;
            Ok(transaction.open_table(REFUSED)?.len()?)
        })
    }

    /// Reads every answer, and returns how many there are.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or a record is not what was written.
    pub fn verify(&self) -> Result<u64, Error> {
        let keys = self.keys()?;
        for key in &keys {
            self.get(key)?;
        }
        Ok(keys.len() as u64)
    }

    fn named<T>(
        &self,
        action: &'static str,
        work: impl FnOnce() -> Result<T, redb::Error>,
    ) -> Result<T, Error> {
        named(&self.path, action, work)
    }

    fn damaged(&self, damage: String) -> Error {
        Error::StoreDamaged {
            path: self.path.clone(),
            damage,
        }
    }
}

/// Runs `work` and names the file in its error.
fn named<T>(
    path: &Path,
    action: &'static str,
    work: impl FnOnce() -> Result<T, redb::Error>,
) -> Result<T, Error> {
    work().map_err(|source| match source {
        redb::Error::Corrupted(damage) => Error::StoreDamaged {
            path: path.to_owned(),
            damage,
        },
        source => Error::Store {
            action,
            path: path.to_owned(),
            source: BoxError::from(source),
        },
    })
}

impl fmt::Debug for AnswerStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerStore")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
