//! The figures side by side, and whether they are good enough.

use serde_json::{Value, json};

use super::super::alone::{gigabytes, summary};
use super::super::turns::Measured;
use super::cases::{Case, Peer};

/// What two sides did in turns.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) peer: Peer,
    pub(super) ours: Measured,
    pub(super) theirs: Measured,
}

impl Pair {
    /// How many times as fast we are.
    fn speed(&self) -> f64 {
        self.theirs.seconds() / self.ours.seconds()
    }

    /// Our share of their memory.
    fn memory(&self) -> Option<f64> {
        Some(self.ours.peak_rss_bytes? as f64 / self.theirs.peak_rss_bytes? as f64)
    }
}

/// The pair with the fastest peer that counts.
fn hardest(pairs: &[Pair]) -> Option<&Pair> {
    (pairs.iter().filter(|pair| pair.peer.counts)).min_by(|a, b| a.speed().total_cmp(&b.speed()))
}

/// Markdown: a table for each case, and below it what was wanted and what it has become.
pub(super) fn tables(backend: &str, results: &[(Case, Vec<Pair>)]) -> String {
    let mut lines = Vec::new();
    for (case, pairs) in results {
        lines.push(format!("### {} ({backend})\n", case.name));
        lines.push("| PyTorch | theirs, s | ours, s | times as fast | their peak | ours |".into());
        lines.push("|---|---:|---:|---:|---:|---:|".into());
        for pair in pairs {
            lines.push(row(pair));
        }
        lines.push(String::new());
        lines.extend(verdicts(case, pairs));
        lines.push(String::new());
    }
    lines.join("\n")
}

/// A row of the table.
pub(super) fn row(pair: &Pair) -> String {
    format!(
        "| {} | {:.2} | {:.2} | {:.2} | {} | {} |",
        pair.peer.name(),
        pair.theirs.seconds(),
        pair.ours.seconds(),
        pair.speed(),
        gigabytes(pair.theirs.peak_rss_bytes),
        gigabytes(pair.ours.peak_rss_bytes),
    )
}

/// One line for each target of `case`.
fn verdicts(case: &Case, pairs: &[Pair]) -> Vec<String> {
    let Some(pair) = hardest(pairs) else {
        return Vec::new();
    };
    let word = |reached| if reached { "reached" } else { "missed" };
    let mut lines = vec![format!(
        "- {} times as fast as the best ({}); wanted {}: {}",
        format_args!("{:.2}", pair.speed()),
        pair.peer.name(),
        case.speed,
        word(pair.speed() >= case.speed),
    )];
    if let (Some(wanted), Some(share)) = (case.memory, pair.memory()) {
        lines.push(format!(
            "- {share:.2} of its memory; wanted {wanted}: {}",
            word(share <= wanted)
        ));
    }
    lines
}

/// The same for machines.
pub(super) fn document(backend: &str, results: &[(Case, Vec<Pair>)]) -> Value {
    let cases: Vec<Value> = results
        .iter()
        .map(|(case, pairs)| {
            let best = hardest(pairs);
            json!({
                "name": case.name,
                "pairs": pairs.iter().map(pair).collect::<Vec<_>>(),
                "speed": best.map(Pair::speed),
                "speed_wanted": case.speed,
                "memory": best.and_then(Pair::memory),
                "memory_wanted": case.memory,
            })
        })
        .collect();
    json!({"schema": "potstill.bench.peers/1", "backend": backend, "cases": cases})
}

fn pair(pair: &Pair) -> Value {
    json!({
        "peer": pair.peer.name(),
        "counts": pair.peer.counts,
        "ours": summary(&pair.ours),
        "theirs": summary(&pair.theirs),
        "speed": pair.speed(),
        "memory": pair.memory(),
    })
}

#[cfg(test)]
mod tests {
    use super::super::cases;
    use super::*;

    fn measured(seconds: f64, peak: u64) -> Measured {
        Measured {
            answers: vec![json!({"seconds": seconds, "tokens": 1024})],
            peak_rss_bytes: Some(peak),
        }
    }

    fn example() -> (Case, Vec<Pair>) {
        let case = cases::of(false).swap_remove(0);
        // The last peer is the fastest, but does not compute in f32.
        let seconds = [6.0, 5.0, 5.0, 4.0, 5.0, 5.0, 2.0, 1.0];
        let pairs = case.peers.iter().zip(seconds).map(|(peer, seconds)| Pair {
            peer: peer.clone(),
            ours: measured(2.0, 3_000_000_000),
            theirs: measured(seconds, 5_000_000_000),
        });
        let pairs = pairs.collect();
        (case, pairs)
    }

    #[test]
    fn the_fastest_peer_of_our_dtype_decides() {
        let text = tables("flex", &[example()]);
        let (best, memory) = (
            "2.00 times as fast as the best (f32, TRL's divergence, keeping heap); wanted 1: reached",
            "0.60 of its memory; wanted 0.5: missed",
        );
        assert!(text.contains(best) && text.contains(memory), "{text}");
        let row = "| f32, full logits, default heap | 6.00 | 2.00 | 3.00 | 5.00 GB | 3.00 GB |";
        assert!(text.contains(row), "{text}");
    }

    #[test]
    fn machines_get_every_turn() {
        let document = document("flex", &[example()]);
        let case = &document["cases"][0];
        assert_eq!(case["speed"], 2.0);
        assert_eq!(case["pairs"][7]["counts"], false);
        assert_eq!(case["pairs"][0]["ours"]["each"], json!([2.0]));
        assert_eq!(case["pairs"][0]["ours"]["tokens_per_second"], 512.0);
    }
}
