//! Programs that take turns: nobody works while another is measured.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// What one side did.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// Its answer to each turn, the first one (to warm up) left out.
    pub(super) answers: Vec<Value>,
    /// Where the kernel tells.
    pub(super) peak_rss_bytes: Option<u64>,
}

impl Measured {
    /// Of the turns, on the wall.
    pub(super) fn seconds(&self) -> f64 {
        median(self.values("/seconds"))
    }

    /// A number of each answer, by JSON pointer.
    pub(super) fn values(&self, pointer: &str) -> Vec<f64> {
        let number = |answer: &Value| answer.pointer(pointer).and_then(Value::as_f64);
        self.answers.iter().filter_map(number).collect()
    }

    /// Tokens of a turn for each second of it.
    pub(super) fn tokens_per_second(&self) -> f64 {
        median(self.values("/tokens")) / self.seconds()
    }
}

/// The middle of `values`; not a number when there are none.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// Starts `sides`, lets each warm up and then work `turns` times, one after the other.
pub(super) fn alternate(sides: Vec<(String, Command)>, turns: usize) -> Result<Vec<Measured>> {
    ensure!(turns > 0, "--turns 0 measures nothing");
    let mut workers = Vec::new();
    for (name, command) in sides {
        workers.push(Worker::start(name, command)?);
    }
    let mut answers = vec![Vec::new(); workers.len()];
    for turn in 0..=turns {
        for (worker, answers) in workers.iter_mut().zip(&mut answers) {
            let answer = worker.turn()?;
            if turn > 0 {
                answers.push(answer);
            }
        }
    }
    let finished = workers.into_iter().zip(answers).map(|(worker, answers)| {
        let last = worker.finish()?;
        Ok(Measured {
            answers,
            peak_rss_bytes: last.get("peak_rss_bytes").and_then(Value::as_u64),
        })
    });
    finished.collect()
}

/// A program that does a piece of work for every line it is sent.
struct Worker {
    name: String,
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Worker {
    fn start(name: String, mut command: Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name}: {command:?}"))?;
        let input = process.stdin.take();
        let output = process.stdout.take().context("stdout is a pipe")?;
        let mut worker = Self {
            name,
            process,
            input,
            output: BufReader::new(output),
        };
        let greeting = worker.answer()?;
        ensure!(
            greeting.get("ready").is_some(),
            "{} is not ready but says {greeting}",
            worker.name
        );
        Ok(worker)
    }

    fn turn(&mut self) -> Result<Value> {
        let input = self.input.as_mut().context("stdin is open")?;
        writeln!(input)
            .and_then(|()| input.flush())
            .with_context(|| format!("{} has gone", self.name))?;
        self.answer()
    }

    /// Closes its input and returns its last words.
    fn finish(mut self) -> Result<Value> {
        drop(self.input.take());
        let last = self.answer()?;
        let status = self.process.wait()?;
        ensure!(status.success(), "{} ended with {status}", self.name);
        Ok(last)
    }

    fn answer(&mut self) -> Result<Value> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            let status = self.process.wait()?;
            bail!("{} ended with {status} and said nothing", self.name);
        }
        serde_json::from_str(&line).with_context(|| format!("{} says {line:?}", self.name))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Without input it stops by itself, unless something went wrong before.
        if let Ok(None) = self.process.try_wait() {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    const HONEST: &str = r#"echo '{"ready":true}'; n=0
        while read -r _; do n=$((n+1)); echo "{\"seconds\":$n,\"tokens\":12}"; done
        echo '{"peak_rss_bytes":7}'"#;

    #[test]
    fn the_first_turn_of_each_side_does_not_count() {
        let sides = ["a", "b"].map(|name| (name.to_owned(), shell(HONEST)));
        let measured = alternate(sides.into(), 3).unwrap();
        for side in &measured {
            assert_eq!(side.values("/seconds"), [2.0, 3.0, 4.0]);
            assert_eq!(side.seconds(), 3.0);
            assert_eq!(side.tokens_per_second(), 4.0);
            assert_eq!(side.peak_rss_bytes, Some(7));
        }
    }

    #[test]
    fn a_side_that_fails_is_named() {
        for script in ["exit 3", "echo '{\"ready\":true}'; exit 3", "echo hello"] {
            let error = alternate(vec![("the peer".into(), shell(script))], 1).unwrap_err();
            assert!(format!("{error:#}").contains("the peer"), "{error:#}");
        }
    }

    #[test]
    fn the_median_of_two_lies_between_them() {
        assert_eq!(median(vec![3.0, 1.0]), 2.0);
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
    }
}
