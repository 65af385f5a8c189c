//! SHA-256, in hexadecimal.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Bytes read at a time.
const BLOCK: usize = 1 << 20;

pub(crate) fn of_bytes(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// The hash of a file and its size.
pub(crate) fn of_file(path: &Path) -> io::Result<(String, u64)> {
    of_reader(&mut File::open(path)?, |_| Ok(()))
}

/// The hash and the size of what `reader` gives; `each` sees every block of it.
pub(crate) fn of_reader(
    reader: &mut impl Read,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<(String, u64)> {
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    let mut size = 0;
    loop {
        let read = match reader.read(&mut block) {
            Ok(0) => return Ok((hexadecimal(&hasher.finalize()), size)),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        hasher.update(&block[..read]);
        each(&block[..read])?;
        size += read as u64;
    }
}

/// Whether `text` is such a hash.
pub(crate) fn is_one(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_nothing_is_the_known_one() {
        let known = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(of_bytes(b""), known);
        assert!(is_one(known));
        assert!(!is_one(&known.to_uppercase()) && !is_one("e3b0") && !is_one("../x"));
    }

    #[test]
    fn a_file_is_hashed_like_its_bytes() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![7; BLOCK + 9]).unwrap();
        let (hash, size) = of_file(file.path()).unwrap();
        assert_eq!(
            (hash, size),
            (of_bytes(&vec![7; BLOCK + 9]), BLOCK as u64 + 9)
        );
    }
}
