//! A web server for one folder and one visitor.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;

use anyhow::{Context, Result};

/// Longest request body that is read.
const MOST: u64 = 1 << 20;

/// Serves the files of `folder` until the program is stopped.
pub(super) fn serve(folder: &Path, port: u16) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
    println!("http://{}/ until Ctrl+C", listener.local_addr()?);
    for stream in listener.incoming().flatten() {
        // A visitor who leaves while a file is on its way is no reason to stop.
        let _ = answer(stream, |request| file(folder, &request.path));
    }
    Ok(())
}

/// What a visitor wants.
#[derive(Debug)]
pub(super) struct Request {
    /// Without the slash in front and without parameters.
    pub(super) path: String,
    pub(super) body: Vec<u8>,
}

/// What a visitor gets: a type and bytes, or that there is no such thing.
pub(super) type Response = Option<(&'static str, Vec<u8>)>;

/// A file of `folder` itself, not of folders inside.
pub(super) fn file(folder: &Path, path: &str) -> Response {
    let name = if path.is_empty() { "index.html" } else { path };
    if name.contains(['/', '\\']) || name.starts_with('.') {
        return None;
    }
    let kind = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        _ => "application/octet-stream",
    };
    Some((kind, fs::read(folder.join(name)).ok()?))
}

/// Reads one request and sends the response that `respond` gives.
pub(super) fn answer(
    stream: TcpStream,
    respond: impl FnOnce(&Request) -> Response,
) -> std::io::Result<()> {
    let mut input = BufReader::new(&stream).take(MOST);
    let mut line = String::new();
    input.read_line(&mut line)?;
    let path = line.split_whitespace().nth(1).unwrap_or("/");
    let path = path.split('?').next().unwrap_or_default();
    let path = path.trim_start_matches('/').to_owned();
    let mut length = 0;
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = Vec::new();
    input.take(length).read_to_end(&mut body)?;

    let (status, kind, bytes) = match respond(&Request { path, body }) {
        Some((kind, bytes)) => ("200 OK", kind, bytes),
        None => ("404 Not Found", "text/plain", Vec::new()),
    };
    let length = bytes.len();
    write!(
        &stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )?;
    (&stream).write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_folder_are_served_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("page")).unwrap();
        fs::write(folder.path().join("secret"), "no").unwrap();
        let page = folder.path().join("page");
        fs::write(page.join("index.html"), "hello").unwrap();
        let served = |path: &str| file(&page, path).map(|(_, bytes)| bytes);
        assert_eq!(served(""), Some(b"hello".to_vec()));
        assert_eq!(served("index.html"), Some(b"hello".to_vec()));
        for path in ["../secret", "..", "..\\secret", "/etc/hostname", "absent"] {
            assert_eq!(served(path), None, "{path}");
        }
    }

    #[test]
    fn a_request_has_a_path_and_a_body() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        write!(
            client,
            "POST /report?once HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody"
        )
        .unwrap();
        let (stream, _) = listener.accept().unwrap();
        answer(stream, |request| {
            assert_eq!(request.path, "report");
            assert_eq!(request.body, b"body");
            Some(("text/plain", b"thanks".to_vec()))
        })
        .unwrap();
        let mut reply = String::new();
        client.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 200 OK\r\n"), "{reply}");
        assert!(reply.ends_with("\r\n\r\nthanks"), "{reply}");
    }
}
