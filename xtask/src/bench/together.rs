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
    let side = |students: &str| {
        let work = ["together", "--students", students];
        let command = worker.command(Heap::Keeping, &work);
        (work.join(" "), command)
    };
    let measured = alternate(vec![side("1"), side("2")], options.turns)?;
    let [one, two] = [0, 1].map(|side| measured[side].values("/seconds"));
    // Of neighbors in time: the pace of a machine changes between turns.
    let ratios: Vec<f64> = one.iter().zip(&two).map(|(one, two)| two / one).collect();
    let [one, two, ratio] = [one, two, ratios.clone()].map(median);
    if options.json {
        let document = json!({
            "schema": "potstill.bench.together/1",
            "backend": worker.backend(),
            "one_student_seconds": one,
            "two_students_seconds": two,
            "ratios": ratios,
            "ratio": ratio,
        });
        println!("{document}");
        return Ok(());
    }
    let ratios: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    println!(
        "{}: one student {one:.2} s a step, two {two:.2} s; {ratio:.2} times as long ({})",
        worker.backend(),
        ratios.join(", ")
    );
    Ok(())
}
