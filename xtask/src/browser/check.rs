//! The page in a real browser, without a window.

use std::env;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde_json::json;

use super::server::{Request, Response, answer, file};
use super::{Arguments, Written, on_path};

/// Uses the page as a visitor does, and reports what it shows.
const VISITOR: &str = include_str!("visitor.html");

const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// How long loading and writing may take together.
const PATIENCE: Duration = Duration::from_secs(300);

/// What the page shows at the end.
#[derive(Debug, Deserialize)]
struct Shown {
    written: String,
    tokens: String,
    rate: String,
    loading: String,
    memory: String,
    status: String,
}

/// Compares what the page writes with `native`; fails if it is something else.
pub(super) fn run(page: &Path, arguments: &Arguments, native: &Written) -> Result<()> {
    let Some(browser) = BROWSERS.iter().find_map(|name| on_path(name)) else {
        println!("skipped: there is no browser among {}", BROWSERS.join(", "));
        return Ok(());
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = format!("http://{}/visitor.html", listener.local_addr()?);
    let device = if arguments.webgpu {
        "webgpu"
    } else {
        "browser"
    };
    let task = json!({
        "text": arguments.text,
        "tokens": arguments.tokens,
        "weights": arguments.weights,
        "device": device,
    });
    let visitor = VISITOR.replace("TASK", &task.to_string());
    let folder = page.to_path_buf();
    let (report, reported) = mpsc::channel();
    // It ends with the program.
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let _ = answer(stream, |request| {
                respond(request, &folder, &visitor, &report)
            });
        }
    });

    let profile = tempfile::tempdir()?;
    // Such as --no-sandbox, without which it refuses to run as the only user of a container.
    let flags = env::var("CHROMIUM_FLAGS").unwrap_or_default();
    let browser = Command::new(&browser)
        .args(["--headless=new", "--no-first-run"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .args(flags.split_whitespace())
        .arg(address)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}", browser.display()))?;
    let _browser = Stopped(browser);
    let Ok(body) = reported.recv_timeout(PATIENCE) else {
        bail!("the browser reported nothing within {PATIENCE:?}");
    };
    let shown: Shown =
        serde_json::from_slice(&body).context("the visitor reports what is shown")?;

    println!("{}", shown.written);
    println!(
        "{} tokens, loading {}, memory {}",
        shown.tokens, shown.loading, shown.memory
    );
    let rate = native.tokens_per_second.unwrap_or(f64::NAN);
    println!("{} tokens/s in the browser, {rate:.1} without", shown.rate);
    ensure!(
        shown.written == native.text && shown.tokens == native.tokens.to_string(),
        "the page says {:?} ({}), where {:?} is right",
        shown.written,
        shown.status,
        native.text
    );
    println!("the page writes what the processor writes");
    Ok(())
}

fn respond(request: &Request, folder: &Path, visitor: &str, report: &Sender<Vec<u8>>) -> Response {
    match request.path.as_str() {
        "visitor.html" => Some(("text/html; charset=utf-8", visitor.as_bytes().to_vec())),
        "report" => {
            // Nobody waits any more if the time is over.
            let _ = report.send(request.body.clone());
            Some(("text/plain", Vec::new()))
        }
        path => file(folder, path),
    }
}

/// A program that ends when it is dropped.
struct Stopped(Child);

impl Drop for Stopped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
