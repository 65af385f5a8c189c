//! Answers survive what happens to disks.

use std::fs;
use std::io;
use std::sync::Mutex;

use redb::StorageBackend;

use super::*;

fn answer(n: u32) -> StoredAnswer {
    StoredAnswer {
        request: format!(r#"{{"n":{n}}}"#),
        content_type: "application/json".into(),
        body: format!("answer {n}").repeat(20).into_bytes(),
    }
}

#[test]
fn what_was_inserted_is_there_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    let store = AnswerStore::open(&path).unwrap();
    assert!(store.is_empty().unwrap());
    for n in 0..3 {
        store.insert(&answer(n)).unwrap();
    }
    drop(store);
    let store = AnswerStore::open_existing(&path).unwrap();
    assert_eq!(store.verify().unwrap(), 3);
    assert_eq!(store.get(&answer(1).key()).unwrap(), Some(answer(1)));
    assert_eq!(store.get(&answer(7).key()).unwrap(), None);
}

#[test]
fn what_is_set_aside_is_asked_again_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = AnswerStore::open(folder.path().join("answers.redb")).unwrap();
    store.insert(&answer(0)).unwrap();
    assert!(store.set_aside(&answer(0).key()).unwrap());
    assert!(!store.set_aside(&answer(0).key()).unwrap());
    assert_eq!((store.len().unwrap(), store.n_refused().unwrap()), (0, 1));
}

#[test]
fn a_store_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.redb");
    let _first = AnswerStore::open(&path).unwrap();
    let error = AnswerStore::open(&path).unwrap_err();
    assert!(
        error.to_string().contains("cannot open the answer store"),
        "{error}"
    );
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "not a database".repeat(1000)).unwrap();
    assert!(AnswerStore::open(&path).is_err());
    assert_eq!(
        fs::read(&path).unwrap(),
        "not a database".repeat(1000).as_bytes()
    );

    let other = folder.path().join("other.redb");
    let database = Database::create(&other).unwrap();
    let table: TableDefinition<'_, u8, u8> = TableDefinition::new("something");
    let transaction = database.begin_write().unwrap();
    transaction.open_table(table).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let error = AnswerStore::open(&other).unwrap_err();
    assert!(
        error.to_string().contains("a database of something else"),
        "{error}"
    );
    assert!(AnswerStore::open_existing(folder.path().join("missing.redb")).is_err());
}

/// A store of a few answers, as bytes.
fn bytes_of_a_store(folder: &Path) -> Vec<u8> {
    let path = folder.join("whole.redb");
    let store = AnswerStore::open(&path).unwrap();
    for n in 0..20 {
        store.insert(&answer(n)).unwrap();
    }
    drop(store);
    fs::read(&path).unwrap()
}

/// Reads all that a damaged file still has: an answer is right or absent, everything else an error.
fn read_all(path: &Path) -> Result<u64, Error> {
    let store = AnswerStore::open_existing(path)?;
    let mut found = 0;
    for n in 0..20 {
        if let Some(read) = store.get(&answer(n).key())? {
            assert_eq!(read, answer(n));
            found += 1;
        }
    }
    store.verify()?;
    Ok(found)
}

#[test]
fn a_store_that_was_cut_off_is_an_error_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let whole = bytes_of_a_store(folder.path());
    let path = folder.path().join("cut.redb");
    for part in 0..16 {
        let cut = &whole[..whole.len() * part / 16];
        fs::write(&path, cut).unwrap();
        match read_all(&path) {
            Ok(found) => assert_eq!(found, 20, "{part}/16"),
            Err(error) => assert!(error.to_string().contains("cut.redb"), "{error}"),
        }
    }
}

#[test]
fn a_flipped_bit_never_changes_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let whole = bytes_of_a_store(folder.path());
    let path = folder.path().join("flipped.redb");
    // Bytes with content, and bytes anywhere.
    let used: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] != 0).collect();
    let anywhere = (0..whole.len()).step_by(whole.len() / 200);
    let mut noticed = 0;
    for at in used
        .iter()
        .copied()
        .step_by(used.len() / 400)
        .chain(anywhere)
    {
        let mut flipped = whole.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(&path, &flipped).unwrap();
        if let Err(error) = read_all(&path) {
            noticed += 1;
            assert!(error.to_string().contains("flipped.redb"), "{error}");
        }
    }
    assert!(noticed > 0);
}

/// A disk with so many bytes.
#[derive(Debug)]
struct SmallDisk {
    content: Mutex<Vec<u8>>,
    size: u64,
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content.lock().unwrap().len() as u64)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let content = self.content.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&content[start..start + out.len()]);
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        if len > self.size {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.content
            .lock()
            .unwrap()
            .resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        self.content.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_and_what_was_there_is_kept() {
    let disk = SmallDisk {
        content: Mutex::default(),
        size: 4 << 20,
    };
    let store = AnswerStore::on("small disk", disk).unwrap();
    let big = |n: u32| StoredAnswer {
        body: vec![0x55; 300_000],
        ..answer(n)
    };
    let written = (0..100)
        .take_while(|&n| store.insert(&big(n)).is_ok())
        .count();
    assert!((1..100).contains(&written), "{written}");
    let error = store.insert(&big(100)).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("cannot write the answer store small disk"),
        "{error}"
    );
}
