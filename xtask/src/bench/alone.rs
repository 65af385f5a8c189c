//! Our side by itself.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::Options;
use super::side::{Heap, Worker};
use super::turns::{Measured, alternate, median};
use crate::project::Project;
use crate::python::Python;

/// The worker that `options` ask for.
pub(super) fn worker(project: &Project, options: &Options) -> Result<Worker> {
    if options.tch {
        Worker::tch(project, &Python::choose(options.python.as_deref()))
    } else {
        Worker::flex(project)
    }
}

fn measure(worker: &Worker, turns: usize, work: &[&str]) -> Result<Measured> {
    let command = worker.command(Heap::Keeping, work);
    let mut measured = alternate(vec![(work.join(" "), command)], turns)?;
    Ok(measured.swap_remove(0))
}

pub(super) fn step(project: &Project, options: &Options) -> Result<()> {
    let worker = worker(project, options)?;
    let whole = measure(&worker, options.turns, &["step"])?;
    let parts = measure(&worker, options.turns, &["parts"])?;
    let names = keys(&parts, "parts");
    let part = |name: &str, clock: &str| median(parts.values(&format!("/parts/{name}/{clock}")));
    if options.json {
        let parts: Map<String, Value> = names
            .iter()
            .map(|name| {
                let clocks = json!({"wall": part(name, "wall"), "cpu": part(name, "cpu")});
                (name.clone(), clocks)
            })
            .collect();
        let mut document = summary(&whole);
        document["schema"] = "potstill.bench.step/1".into();
        document["backend"] = worker.backend().into();
        document["parts"] = parts.into();
        println!("{document}");
        return Ok(());
    }
    println!("{}: {}", worker.backend(), sentence(&whole));
    println!("\n| part | seconds | of processors |\n|---|---:|---:|");
    for name in names {
        let (wall, cpu) = (part(&name, "wall"), part(&name, "cpu"));
        println!("| {name} | {wall:.3} | {cpu:.3} |");
    }
    Ok(())
}

pub(super) fn decode(project: &Project, options: &Options) -> Result<()> {
    let worker = worker(project, options)?;
    let mut results = Vec::new();
    for batch in ["1", "16"] {
        let measured = measure(&worker, options.turns, &["decode", "--batch", batch])?;
        if !options.json {
            println!(
                "{}, batch of {batch}: {}",
                worker.backend(),
                sentence(&measured)
            );
        }
        let mut result = summary(&measured);
        result["batch"] = batch.into();
        results.push(result);
    }
    if options.json {
        let (schema, backend) = ("potstill.bench.decode/1", worker.backend());
        println!(
            "{}",
            json!({"schema": schema, "backend": backend, "results": results})
        );
    }
    Ok(())
}

pub(super) fn kernels(project: &Project, options: &Options) -> Result<()> {
    let worker = worker(project, options)?;
    let measured = measure(&worker, options.turns, &["kernels"])?;
    let seconds = |kernel: &str, way: &str| {
        let values = measured.values(&format!("/kernels/{kernel}/{way}"));
        (!values.is_empty()).then(|| median(values))
    };
    let kernels = keys(&measured, "kernels");
    if options.json {
        let of = |kernel: &String| {
            json!({
                "fused": seconds(kernel, "fused"),
                "portable": seconds(kernel, "portable"),
                "floor": seconds(kernel, "floor"),
            })
        };
        let kernels: Map<String, Value> = (kernels.iter())
            .map(|kernel| (kernel.clone(), of(kernel)))
            .collect();
        let (schema, backend) = ("potstill.bench.kernels/1", worker.backend());
        println!(
            "{}",
            json!({"schema": schema, "backend": backend, "seconds": kernels})
        );
        return Ok(());
    }
    println!("| operation, ms | fused | composed | its products alone |\n|---|---:|---:|---:|");
    for kernel in kernels {
        let cell = |way| {
            seconds(&kernel, way)
                .map_or("–".to_owned(), |seconds| format!("{:.1}", seconds * 1e3))
        };
        println!(
            "| {kernel} | {} | {} | {} |",
            cell("fused"),
            cell("portable"),
            cell("floor")
        );
    }
    Ok(())
}

/// The names below `key` in the answers, in their order.
fn keys(measured: &Measured, key: &str) -> Vec<String> {
    let named = |answer: &Value| Some(answer.get(key)?.as_object()?.keys().cloned().collect());
    measured.answers.first().and_then(named).unwrap_or_default()
}

fn sentence(measured: &Measured) -> String {
    format!(
        "{:.3} s, {:.0} tokens/s, {} at most",
        measured.seconds(),
        measured.tokens_per_second(),
        gigabytes(measured.peak_rss_bytes),
    )
}

pub(super) fn gigabytes(bytes: Option<u64>) -> String {
    bytes.map_or("?".into(), |bytes| format!("{:.2} GB", bytes as f64 / 1e9))
}

pub(super) fn summary(measured: &Measured) -> Value {
    json!({
        "seconds": measured.seconds(),
        "each": measured.values("/seconds"),
        "cpu_seconds": median(measured.values("/cpu_seconds")),
        "tokens_per_second": measured.tokens_per_second(),
        "peak_rss_bytes": measured.peak_rss_bytes,
    })
}
