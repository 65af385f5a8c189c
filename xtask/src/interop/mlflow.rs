//! A run and a version of a model to MLflow's server and back.

use std::fmt::Write as _;
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use potstill::eval::{
    Better, Gates, Ingredient, IngredientKind, ItemScore, Metric, MlflowClient, MlflowPushed,
    MlflowRun, MlflowVersion, NewVersion, Registry, Results, Scores, TaskIdentity, VersionId,
};
use serde_json::Value;
use tempfile::TempDir;

use super::Outcome;
use crate::python::Python;

/// Longest time that the server takes to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// A metric as task files name them, with characters that MLflow refuses, and what it is pushed as.
const FILTERED: &str = "sums/chrf++,clean";
const PUSHED: &str = "sums/chrf___clean";

/// What MLflow's own client says about the run and the version; arguments: address, run, model, alias.
const READ: &str = r#"
import json, sys
from mlflow import MlflowClient
address, run_id, model, alias = sys.argv[1:]
client = MlflowClient(tracking_uri=address, registry_uri=address)
run = client.get_run(run_id)
version = client.get_model_version_by_alias(model, alias)
print(json.dumps({
    "status": run.info.status,
    "name": run.info.run_name,
    "params": run.data.params,
    "metrics": run.data.metrics,
    "tags": run.data.tags,
    "version": int(version.version),
    "source": version.source,
    "run_id": version.run_id,
    "version_tags": version.tags,
}))
"#;

/// Pushes, reads back in two ways and compares.
pub(super) fn run(python: &Python) -> Result<Outcome> {
    let Some(release) = python.version_of("mlflow") else {
        return Ok(Outcome::Skipped(
            "no MLflow in this Python; `pip install mlflow` brings it, or name another with --python"
                .into(),
        ));
    };
    let folder = tempfile::tempdir()?;
    let server = Server::start(python, folder.path())?;
    let (registry, id) = promoted_version(&folder)?;
    let client = MlflowClient::new(&server.address, None)?;
    let source = format!("potstill://registry/{}/{}", id.model, id.version);
    let pushed = client.push(&registry, &id, "interop", &source)?;

    let own_run = client.run(&pushed.run_id)?;
    let own_version = client
        .alias(&id.model, "champion")?
        .context("@champion is not set")?;
    let theirs = python
        .command()
        .args([
            "-c",
            READ,
            &server.address,
            &pushed.run_id,
            &id.model,
            "champion",
        ])
        .env("MLFLOW_DISABLE_TELEMETRY", "true")
        .stderr(Stdio::inherit())
        .output()?;
    ensure!(theirs.status.success(), "MLflow's client failed");
    let theirs: Value = serde_json::from_slice(&theirs.stdout)?;

    let expected = expected(&registry, &id, &pushed, &source)?;
    let mut text = format!(
        "`cargo xtask interop mlflow`, with MLflow {release}, its server on loopback and an SQLite file: a \
         version of a registry is pushed through the REST API, then read back by our client and by \
         MLflow's own (`mlflow.MlflowClient`), and compared with what was saved.\n\n\
         | what | pushed | read by us | read by MLflow's client |\n|---|---|---|---|\n"
    );
    let mut different = 0;
    for (what, pushed) in expected {
        let (ours, theirs) = (
            of_ours(&own_run, &own_version, &what),
            of_theirs(&theirs, &what),
        );
        let mark = |read: &Option<String>| match read {
            Some(read) if *read == pushed => "the same".to_owned(),
            Some(read) => format!("**{read}**"),
            None => "**missing**".to_owned(),
        };
        let (ours, theirs) = (mark(&ours), mark(&theirs));
        different += usize::from(ours != "the same" || theirs != "the same");
        writeln!(
            text,
            "| {what} | `{}` | {ours} | {theirs} |",
            shortened(&pushed)
        )?;
    }
    ensure!(different == 0, "{text}\n{different} lines differ");
    Ok(Outcome::Finished(text))
}

/// A version with results, a parent and notes that has become the champion.
fn promoted_version(folder: &TempDir) -> Result<(Registry, VersionId)> {
    let model = folder.path().join("model");
    fs::create_dir(&model)?;
    fs::write(model.join("model.safetensors"), [7; 1000])?;
    fs::write(model.join("config.json"), "{}")?;
    let registry = Registry::open(folder.path().join("registry"))?;
    let teacher = registry.save(&NewVersion::new("teacher", &model, "Apache-2.0"))?;
    let teacher = registry.manifest(&teacher)?;

    let task = TaskIdentity::of_items("sums", "1", &["1 + 1", "1 + 2"])?;
    let score = |n: usize| ItemScore::new(n.to_string(), if n % 10 == 9 { 0.0 } else { 1.0 });
    let accuracy = Scores::new((0..300).map(score).collect())?;
    let results = Results::new("student")
        .with_metric(
            "exact_match",
            Metric::of_scores(Better::Higher, task, accuracy),
        )
        .with_metric(
            "latency/p95 seconds",
            Metric::of_value(Better::Lower, 0.1 + 0.2),
        )
        .with_metric(FILTERED, Metric::of_value(Better::Higher, 18.5));
    let id = registry.save(&NewVersion {
        ingredients: vec![
            Ingredient::of_version(IngredientKind::Teacher, &teacher),
            Ingredient::new(IngredientKind::Data, "Bücher & notes", "ab".repeat(32)),
        ],
        results: Some(results),
        notes: [("machine".to_owned(), "two cores".to_owned())].into(),
        ..NewVersion::new("student", &model, "Apache-2.0")
    })?;
    let gates = Gates::parse(
        "schema = \"potstill.gates/1\"\n[[threshold]]\nmetric = \"exact_match\"\nmin = 0.85\nbound = \"interval\"",
    )?;
    registry.promote(&id, "champion", &gates, folder.path())?;
    Ok((registry, id))
}

/// Names of what was pushed, and what it should be.
fn expected(
    registry: &Registry,
    id: &VersionId,
    pushed: &MlflowPushed,
    source: &str,
) -> Result<Vec<(String, String)>> {
    let (manifest, results) = (registry.manifest(id)?, registry.results(id)?);
    let mut lines = vec![
        ("run: status".into(), "FINISHED".into()),
        ("run: name".into(), id.to_string()),
        ("tag of the run: potstill.version".into(), id.to_string()),
        ("parameter: license".into(), manifest.license.clone()),
        (
            "parameter: files_sha256".into(),
            manifest.files_sha256.clone(),
        ),
        ("parameter: note.machine".into(), "two cores".into()),
    ];
    for (n, ingredient) in manifest.ingredients.iter().enumerate() {
        let name = format!("parameter: ingredient.{n}.{}", ingredient.kind.name());
        lines.push((name, format!("{} {}", ingredient.name, ingredient.sha256)));
    }
    for (name, metric) in results.context("it has results")?.metrics {
        let name = if name == FILTERED { PUSHED } else { &name };
        lines.push((format!("metric: {name}"), metric.value.to_string()));
        if let Some(interval) = metric.interval {
            lines.push((format!("metric: {name}.low"), interval.low.to_string()));
            lines.push((format!("metric: {name}.high"), interval.high.to_string()));
        }
    }
    lines.extend([
        ("@champion: version".into(), pushed.version.to_string()),
        ("@champion: source".into(), source.into()),
        ("@champion: run".into(), pushed.run_id.clone()),
        (
            "tag of the version: potstill.files_sha256".into(),
            manifest.files_sha256,
        ),
        ("tag of the version: license".into(), manifest.license),
    ]);
    Ok(lines)
}

fn of_ours(run: &MlflowRun, version: &MlflowVersion, what: &str) -> Option<String> {
    let (kind, name) = what.split_once(": ")?;
    match (kind, name) {
        ("run", "status") => Some(format!("{:?}", run.status).to_uppercase()),
        ("run", _) => Some(run.name.clone()),
        ("tag of the run", _) => run.tags.get(name).cloned(),
        ("parameter", _) => run.params.get(name).cloned(),
        ("metric", _) => {
            let metric = run.metrics.iter().find(|metric| metric.key == name)?;
            Some(metric.value.to_string())
        }
        ("@champion", "version") => Some(version.version.to_string()),
        ("@champion", "source") => Some(version.source.clone()),
        ("@champion", _) => version.run_id.clone(),
        _ => version.tags.get(name).cloned(),
    }
}

fn of_theirs(read: &Value, what: &str) -> Option<String> {
    let (kind, name) = what.split_once(": ")?;
    let value = match (kind, name) {
        ("run", _) => &read[name],
        ("tag of the run", _) => &read["tags"][name],
        ("parameter", _) => &read["params"][name],
        ("metric", _) => &read["metrics"][name],
        ("@champion", "run") => &read["run_id"],
        ("@champion", _) => &read[name],
        _ => &read["version_tags"][name],
    };
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if kind == "metric" => Some(number.as_f64()?.to_string()),
        other => Some(other.to_string()),
    }
}

/// Hashes say enough with twelve digits.
fn shortened(text: &str) -> String {
    let is_hash =
        |word: &str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let short = |word: &str| {
        if is_hash(word) {
            format!("{}…", &word[..12])
        } else {
            word.to_owned()
        }
    };
    text.split(' ').map(short).collect::<Vec<_>>().join(" ")
}

/// MLflow's server, until it is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(python: &Python, folder: &Path) -> Result<Self> {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let log = fs::File::create(folder.join("server.log"))?;
        let mut command = python.command();
        command
            .args([
                "-m",
                "mlflow",
                "server",
                "--host",
                "127.0.0.1",
                "--workers",
                "1",
            ])
            .args(["--port", &port.to_string(), "--backend-store-uri"])
            .arg(format!("sqlite:///{}", folder.join("mlflow.db").display()))
            .arg("--default-artifact-root")
            .arg(folder.join("artifacts"))
            .env("MLFLOW_DISABLE_TELEMETRY", "true")
            .current_dir(folder)
            .stdout(log.try_clone()?)
            .stderr(log);
        // It starts processes of its own, which have to end with it.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut server = Self {
            process: command.spawn().context("cannot start MLflow's server")?,
            address: format!("http://127.0.0.1:{port}"),
        };
        let begun = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if begun.elapsed() > PATIENCE || server.process.try_wait()?.is_some() {
                let log = fs::read_to_string(folder.join("server.log")).unwrap_or_default();
                bail!("MLflow's server did not start:\n{log}");
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody is left to tell about a failure.
        let group = format!("-{}", self.process.id());
        let _ = std::process::Command::new("kill")
            .args(["-9", "--", &group])
            .status();
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
