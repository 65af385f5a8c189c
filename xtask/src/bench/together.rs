//! What a second student costs that shares its teacher's forward pass.

use anyhow::Result;
use serde_json::json;

use super::Options;
use super::alone::worker;
use super::side::Heap;
use super::turns::{alternate, median};
use crate::project::Project;

pub(super) fn run(project: &Project, options: &Options) -> Result<()> {
    let worker = worker(project, options)?;
    let side = |work: &[&str]| (work.join(" "), worker.command(Heap::Keeping, work));
    let sides = vec![
        side(&["together", "--students", "1"]),
        side(&["together", "--students", "2"]),
        side(&["together", "--students", "2", "--logits"]),
    ];
    let measured = alternate(sides, options.turns)?;
    let seconds = |side: usize| measured[side].values("/seconds");
    // Of neighbors in time: the pace of a machine changes between turns.
    let ratios = |side: usize| -> Vec<f64> {
        let pairs = seconds(side).into_iter().zip(seconds(0));
        pairs.map(|(two, one)| two / one).collect()
    };
    let one = median(seconds(0));
    if options.json {
        let of = |side| json!({"seconds": median(seconds(side)), "ratios": ratios(side)});
        let document = json!({
            "schema": "potstill.bench.together/1",
            "backend": worker.backend(),
            "one_student_seconds": one,
            "two_students": of(1),
            "two_students_logits_shared": of(2),
        });
        println!("{document}");
        return Ok(());
    }
    println!("{}: one student, {one:.2} s a step", worker.backend());
    for (side, what) in [(1, "two students"), (2, "two students, logits shared")] {
        let peak = measured[side].peak_rss_bytes.unwrap_or(0) as f64 / 1e9;
        let all: Vec<String> = ratios(side)
            .iter()
            .map(|ratio| format!("{ratio:.2}"))
            .collect();
        println!(
            "{what}: {:.2} s, {:.2} times as long ({}), peak {peak:.2} GB",
            median(seconds(side)),
            median(ratios(side)),
            all.join(", ")
        );
    }
    Ok(())
}
