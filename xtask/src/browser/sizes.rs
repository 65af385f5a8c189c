//! What a visitor downloads.

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::project::Project;

/// Prints the size of each file, as it is and compressed.
pub(super) fn print(project: &Project, folder: &Path) -> Result<()> {
    println!("{}", project.relative(folder).display());
    println!("{:<18} {:>11} {:>11}", "", "bytes", "gzip");
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&bytes)?;
        let name = path.file_name().unwrap_or_default().display().to_string();
        files.push((bytes.len(), encoder.finish()?.len(), name));
    }
    files.sort_by(|a, b| b.cmp(a));
    for (bytes, compressed, name) in &files {
        println!("{name:<18} {bytes:>11} {compressed:>11}");
    }
    let bytes: usize = files.iter().map(|file| file.0).sum();
    let compressed: usize = files.iter().map(|file| file.1).sum();
    println!("{:<18} {bytes:>11} {compressed:>11}", "together");
    Ok(())
}
