//! Caches that several processes have built, as one.

use std::fs::File;
use std::io;
use std::path::Path;

use atomic_write_file::AtomicWriteFile;

use super::builder::ownership::{check_same, lock};
use super::manifest::{MANIFEST, Manifest, ShardEntry};
use super::shard::Shard;
use super::store::Store;
use super::{CacheError, CachedTeacher};

/// Puts the shards of `parts` into the cache `into`, which may hold some of them already.
///
/// This is how a cache is built by several processes or machines: each has a folder and a share of the
/// texts of its own ([`CacheBuilder`](super::CacheBuilder)), and all of them the same teacher and
/// settings. Shards are compared with their checksums and copied as they are; a merge that was
/// interrupted goes on where it was, and one that is repeated does nothing.
///
/// # Errors
///
/// When there is no part, the parts are of different teachers, tokenizers or settings, two of them hold
/// the same text at different positions, a shard is damaged, somebody else writes to `into`, or a file
/// cannot be read or written.
pub fn merge_caches<P: AsRef<Path>>(
    parts: &[P],
    into: impl AsRef<Path>,
) -> Result<CachedTeacher, CacheError> {
    let into = into.as_ref();
    let Some(first) = parts.first() else {
        return Err(CacheError::Setting {
            setting: "parts",
            value: 0,
            accepted: "at least 1".into(),
        });
    };
    std::fs::create_dir_all(into).map_err(CacheError::io("create", into))?;
    let _lock = lock(into)?;
    let mut store = if into.join(MANIFEST).exists() {
        Store::open(into)?
    } else {
        let mut blank = Manifest::read(first.as_ref())?;
        blank.shards.clear();
        Store::new(into.to_owned(), blank)?
    };
    for part in parts {
        add(&mut store, part.as_ref())?;
    }
    store.manifest.write(into)?;
    CachedTeacher::open(into)
}

fn add(store: &mut Store, part: &Path) -> Result<(), CacheError> {
    let manifest = Manifest::read(part)?;
    check_same(part, &manifest, &store.manifest)?;
    for entry in &manifest.shards {
        let known = &store.manifest.shards;
        if known.iter().any(|shard| shard.sha256 == entry.sha256) {
            continue;
        }
        if store.manifest.hidden.d_model == 0 {
            store.set_hidden_width(manifest.hidden.d_model);
        }
        let number = store.manifest.shards.len();
        let (mut shard, runs) = Shard::open(part, entry, number, &store.layout)?;
        shard.verify()?;
        if let Some(run) = runs.iter().find(|run| store.crosses(run)) {
            return Err(CacheError::Crossing {
                path: part.join(&entry.file),
                position: run.position,
                rows: run.run.rows,
            });
        }
        let copy = ShardEntry {
            file: format!("shard-{number:05}.safetensors"),
            ..entry.clone()
        };
        copy_file(&part.join(&entry.file), &store.folder.join(&copy.file))?;
        let (shard, _) = Shard::open(&store.folder, &copy, number, &store.layout)?;
        runs.into_iter().for_each(|run| store.insert(run));
        store.shards.push(shard);
        store.manifest.shards.push(copy);
        store.manifest.write(&store.folder)?;
    }
    Ok(())
}

fn copy_file(from: &Path, to: &Path) -> Result<(), CacheError> {
    let mut source = File::open(from).map_err(CacheError::io("open", from))?;
    let mut copy = || -> io::Result<()> {
        let mut target = AtomicWriteFile::open(to)?;
        io::copy(&mut source, &mut target)?;
        target.commit()
    };
    copy().map_err(CacheError::io("write", to))
}
