//! Many clients that ask without a break.

use std::fmt;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::RngExt;
use reqwest::Client;
use serde_json::json;

use crate::percentiles::Durations;

/// How often the server's memory is looked at.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);

/// How load is sent.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    url: String,
    clients: usize,
    duration: Duration,
    token: Option<String>,
}

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    clients: usize,
    elapsed: Duration,
    first_token: Durations,
    whole_answer: Durations,
    failures: Vec<String>,
    /// When, and how many bytes.
    memory: Vec<(Duration, u64)>,
}

impl Load {
    pub(crate) fn new(address: &str, clients: usize, duration: Duration) -> Self {
        Self {
            url: format!("http://{address}"),
            clients,
            duration,
            token: std::env::var("POTSTILL_TOKEN").ok(),
        }
    }

    pub(crate) async fn run(&self) -> Result<Report> {
        let started = Instant::now();
        let mut clients = tokio::task::JoinSet::new();
        for _ in 0..self.clients {
            let load = self.clone();
            clients.spawn(async move { load.client(started).await });
        }
        let mut report = Report {
            clients: self.clients,
            ..Report::default()
        };
        let watcher = client();
        while started.elapsed() < self.duration {
            let bytes = self.memory(&watcher).await?;
            report.memory.push((started.elapsed(), bytes));
            tokio::time::sleep(MEMORY_INTERVAL).await;
        }
        while let Some(client) = clients.join_next().await {
            let client = client?;
            report.first_token.extend(client.first_token);
            report.whole_answer.extend(client.whole_answer);
            report.failures.extend(client.failures);
        }
        report.elapsed = started.elapsed();
        Ok(report)
    }

    async fn client(&self, started: Instant) -> Report {
        let mut report = Report::default();
        let http = client();
        while started.elapsed() < self.duration {
            let asked = Instant::now();
            match self.ask(&http).await {
                Ok(first_token) => {
                    report.first_token.push(first_token);
                    report.whole_answer.push(asked.elapsed());
                }
                Err(error) => report.failures.push(format!("{error:#}")),
            }
        }
        report
    }

    /// Asks for a sum, and returns after how long the answer began.
    async fn ask(&self, http: &Client) -> Result<Duration> {
        let [a, b] = [(); 2].map(|()| rand::rng().random_range(0..1000));
        let body = json!({
            "prompt": format!("<bos>{a}+{b}="),
            "max_tokens": 8,
            "temperature": 0,
            "stream": true,
        });
        let asked = Instant::now();
        let request = http.post(format!("{}/v1/completions", self.url));
        let mut response = self.send(request.body(body.to_string())).await?;
        let mut text = Vec::new();
        let mut first_token = None;
        while let Some(chunk) = response.chunk().await.context("the stream broke off")? {
            first_token.get_or_insert_with(|| asked.elapsed());
            text.extend_from_slice(&chunk);
        }
        ensure!(text.ends_with(b"data: [DONE]\n\n"), "the stream has no end");
        first_token.context("the stream is empty")
    }

    /// Bytes of memory that the server occupies.
    async fn memory(&self, http: &Client) -> Result<u64> {
        let request = http.get(format!("{}/metrics", self.url));
        let metrics = self.send(request).await?.text().await?;
        let value = metrics
            .lines()
            .find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
        Ok(value
            .context("the server does not say how large it is")?
            .parse()?)
    }

    async fn send(&self, mut request: reqwest::RequestBuilder) -> Result<reqwest::Response> {
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let response = request
            .send()
            .await
            .context("the server cannot be reached")?;
        let status = response.status();
        ensure!(
            status.is_success(),
            "status {status}: {}",
            response.text().await?
        );
        Ok(response)
    }
}

impl Report {
    pub(crate) fn failed(&self) -> usize {
        self.failures.len()
    }

    /// Largest memory between two shares of the time.
    fn peak_memory(&self, from: f64, to: f64) -> f64 {
        let share = |(when, _): &&(Duration, u64)| {
            (from..=to).contains(&(when.as_secs_f64() / self.elapsed.as_secs_f64()))
        };
        let bytes = self
            .memory
            .iter()
            .filter(share)
            .map(|(_, bytes)| *bytes)
            .max();
        bytes.unwrap_or(0) as f64 / 1e6
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answered = self.whole_answer.len();
        let rate = answered as f64 / self.elapsed.as_secs_f64();
        writeln!(
            f,
            "{} clients, {:.0} s: {answered} answers, {} failed, {rate:.0} answers/s",
            self.clients,
            self.elapsed.as_secs_f64(),
            self.failed(),
        )?;
        for failure in self.failures.iter().take(3) {
            writeln!(f, "  {failure}")?;
        }
        for (name, durations) in [
            ("first token", &self.first_token),
            ("whole answer", &self.whole_answer),
        ] {
            let [p50, p95, p99, most] = durations.percentiles([50, 95, 99, 100]);
            writeln!(
                f,
                "{name:<12}  p50 {p50:>7.1?}  p95 {p95:>7.1?}  p99 {p99:>7.1?}  longest {most:>7.1?}"
            )?;
        }
        write!(f, "server's memory, MB, largest in each tenth of the time:")?;
        for tenth in 0..10 {
            let [from, to] = [tenth, tenth + 1].map(|edge| f64::from(edge) / 10.0);
            write!(f, " {:.0}", self.peak_memory(from, to))?;
        }
        Ok(())
    }
}

/// A client; its TLS has to be named even where none is used, as soon as some crate of the build asks
/// for it.
fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}
