//! The dialogue with the driver.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use anyhow::Result;
use serde_json::{Value, json};

use crate::usage::{cpu_time, peak_rss_bytes};

/// Does `work` once for every line of stdin, and says how long it took.
///
/// What `work` returns is merged into the answer.
pub(crate) fn take(mut work: impl FnMut() -> Result<Value>) -> Result<()> {
    say(&json!({"ready": true}))?;
    for line in io::stdin().lock().lines() {
        line?;
        let (start, cpu_before) = (Instant::now(), cpu_time());
        let mut answer = work()?;
        answer["seconds"] = start.elapsed().as_secs_f64().into();
        answer["cpu_seconds"] = (cpu_time() - cpu_before).as_secs_f64().into();
        say(&answer)?;
    }
    say(&json!({"peak_rss_bytes": peak_rss_bytes()}))
}

fn say(answer: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{answer}")?;
    Ok(out.flush()?)
}
