//! Numbers of all records, on disk once they are many.

use std::io::{BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use tempfile::SpooledTempFile;

/// Bytes of a column that stay in memory.
const SPOOL_BYTES: usize = 1 << 20;

/// Numbers that are written in order and read back from the beginning.
#[derive(Debug)]
pub(super) struct Column {
    writer: BufWriter<SpooledTempFile>,
}

impl Column {
    /// A column whose file, if it needs one, is in `folder`, or where the system keeps such files.
    pub(super) fn new(folder: Option<&Path>) -> Self {
        let spool = match folder {
            Some(folder) => tempfile::spooled_tempfile_in(SPOOL_BYTES, folder),
            None => tempfile::spooled_tempfile(SPOOL_BYTES),
        };
        Self {
            writer: BufWriter::with_capacity(1 << 16, spool),
        }
    }

    pub(super) fn push(&mut self, number: u64) -> std::io::Result<()> {
        self.writer.write_all(&number.to_le_bytes())
    }

    /// Calls `visit` with every number, in order.
    pub(super) fn read(self, mut visit: impl FnMut(u64)) -> std::io::Result<()> {
        let mut spool = self
            .writer
            .into_inner()
            .map_err(|error| error.into_error())?;
        spool.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::with_capacity(1 << 16, spool);
        let mut bytes = [0; 8];
        loop {
            match reader.read_exact(&mut bytes) {
                Ok(()) => visit(u64::from_le_bytes(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }
}

/// Lists of numbers that are written in order and read back in any.
#[derive(Debug)]
pub(super) struct Lists {
    file: SpooledTempFile,
    buffer: Vec<u8>,
    /// Row, begin and length of each list; rows ascend.
    places: Vec<(u32, u64, u32)>,
    end: u64,
}

impl Lists {
    pub(super) fn new(folder: Option<&Path>) -> Self {
        let bytes = 16 * SPOOL_BYTES;
        Self {
            file: match folder {
                Some(folder) => tempfile::spooled_tempfile_in(bytes, folder),
                None => tempfile::spooled_tempfile(bytes),
            },
            buffer: Vec::new(),
            places: Vec::new(),
            end: 0,
        }
    }

    pub(super) fn push(&mut self, row: u32, numbers: &[u32]) -> std::io::Result<()> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        self.buffer.extend(bytes);
        self.places.push((row, self.end, numbers.len() as u32));
        self.end += 4 * numbers.len() as u64;
        if self.buffer.len() >= SPOOL_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> std::io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// The list of a row that was written and flushed; an empty one for other rows.
    pub(super) fn get(&mut self, row: u32) -> std::io::Result<Vec<u32>> {
        let Ok(place) = self.places.binary_search_by_key(&row, |place| place.0) else {
            return Ok(Vec::new());
        };
        let (_, begin, length) = self.places[place];
        let mut bytes = vec![0; 4 * length as usize];
        self.file.seek(SeekFrom::Start(begin))?;
        self.file.read_exact(&mut bytes)?;
        let (numbers, _) = bytes.as_chunks::<4>();
        Ok(numbers
            .iter()
            .map(|bytes| u32::from_le_bytes(*bytes))
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_from_memory_and_from_disk() {
        let folder = tempfile::tempdir().unwrap();
        for count in [0u64, 3, 400_000] {
            let mut column = Column::new(Some(folder.path()));
            for number in 0..count {
                column.push(number * number).unwrap();
            }
            let mut expected = 0..count;
            column
                .read(|number| assert_eq!(Some(number), expected.next().map(|n| n * n)))
                .unwrap();
            assert_eq!(expected.next(), None);
        }
    }

    #[test]
    fn lists_come_back_in_any_order() {
        let mut lists = Lists::new(None);
        for row in 0..300u32 {
            lists.push(2 * row, &vec![row; row as usize * 100]).unwrap();
        }
        lists.flush().unwrap();
        assert_eq!(lists.get(10).unwrap(), vec![5; 500]);
        assert_eq!(lists.get(598).unwrap(), vec![299; 29_900]);
        assert_eq!(lists.get(2).unwrap(), vec![1; 100]);
        assert!(lists.get(3).unwrap().is_empty());
    }
}
