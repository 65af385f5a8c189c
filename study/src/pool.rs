//! Workers: processes of this program, each with its share of the processors.
//!
//! A small model does not keep two processors busy, two students do. A worker keeps its teacher for
//! all its jobs. Every outcome is on disk before the next job is given out, and a job whose outcome is
//! there is not done again.

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use crate::job::{Job, Outcome, Task};

/// A finished job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) job: Job,
    pub(crate) outcome: Outcome,
}

/// Everything that is finished, in memory and on disk.
pub(crate) struct Journal {
    path: PathBuf,
    finished: Vec<Finished>,
}

impl Journal {
    /// Opens the journal at `path`; a line that a crash has cut off is dropped.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let finished = text[..whole]
            .lines()
            .enumerate()
            .map(|(number, line)| {
                serde_json::from_str(line).with_context(|| {
                    format!("{}:{}: not a finished job", path.display(), number + 1)
                })
            })
            .collect::<Result<_>>()?;
        if whole < text.len() {
            fs::write(path, &text[..whole])?;
        }
        Ok(Self {
            path: path.to_owned(),
            finished,
        })
    }

    pub(crate) fn outcome(&self, job: &Job) -> Option<&Outcome> {
        let known = self.finished.iter().find(|known| known.job == *job);
        known.map(|known| &known.outcome)
    }

    pub(crate) fn finished(&self) -> &[Finished] {
        &self.finished
    }

    fn add(&mut self, finished: Finished) -> Result<()> {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .with_context(|| format!("cannot write {}", self.path.display()))?;
        writeln!(file, "{}", serde_json::to_string(&finished)?)?;
        file.sync_data()?;
        self.finished.push(finished);
        Ok(())
    }
}

/// Has `workers` processes do what of `jobs` is not finished yet, each started with `arguments`.
pub(crate) fn run(
    task: Task,
    jobs: Vec<Job>,
    workers: usize,
    arguments: &[String],
    journal: &mut Journal,
) -> Result<()> {
    let jobs: VecDeque<Job> = jobs
        .into_iter()
        .filter(|job| journal.outcome(job).is_none())
        .collect();
    let bar = ProgressBar::new(jobs.len() as u64).with_style(ProgressStyle::with_template(
        "{bar:30} {pos}/{len} students, {eta} left: {msg}",
    )?);
    let workers = workers.clamp(1, jobs.len().max(1));
    let threads = (thread::available_parallelism()?.get() / workers).max(1);
    let (queue, journal) = (Mutex::new(jobs), Mutex::new(journal));
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let work = || -> Result<()> {
        let Some(mut job) = next() else { return Ok(()) };
        let mut worker = Worker::start(task, threads, arguments)?;
        loop {
            bar.set_message(job.to_string());
            let outcome = worker
                .ask(&job)
                .with_context(|| format!("the job failed: {job}"))?;
            let finished = Finished { job, outcome };
            journal
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .add(finished)?;
            bar.inc(1);
            match next() {
                Some(another) => job = another,
                None => return Ok(()),
            }
        }
    };
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    bar.finish_and_clear();
    results.into_iter().collect()
}

/// A process that does one job after the other.
struct Worker {
    process: Child,
    jobs: ChildStdin,
    outcomes: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Worker {
    fn start(task: Task, threads: usize, arguments: &[String]) -> Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .args(arguments)
            .args(["worker", task.name()])
            .env("RAYON_NUM_THREADS", threads.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start a worker")?;
        let (jobs, outcomes) = (process.stdin.take(), process.stdout.take());
        Ok(Self {
            process,
            jobs: jobs.context("a worker has an input")?,
            outcomes: BufReader::new(outcomes.context("a worker has an output")?).lines(),
        })
    }

    fn ask(&mut self, job: &Job) -> Result<Outcome> {
        writeln!(self.jobs, "{}", serde_json::to_string(job)?)?;
        match self.outcomes.next() {
            Some(line) => Ok(serde_json::from_str(&line?)?),
            None => bail!("the worker ended: {}", self.process.wait()?),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // A worker ends with its input; one that is in the middle of a job is not waited for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes `text` to `path` beside, syncs and renames.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    let cannot = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(cannot)?;
    }
    let mut file = atomic_write_file::AtomicWriteFile::open(path).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    file.commit().with_context(cannot)
}

/// Whether the journal in `folder` belongs to these settings; a new folder is marked with them.
pub(crate) fn check_settings(folder: &Path, settings: &impl Serialize) -> Result<()> {
    let path = folder.join("settings.json");
    let wanted = serde_json::to_string_pretty(settings)?;
    match File::open(&path) {
        Ok(_) => {
            let found = fs::read_to_string(&path)?;
            if found.trim() != wanted.trim() {
                bail!(
                    "{} belongs to a study with other settings; choose another --out, or repeat those of {}",
                    folder.display(),
                    path.display()
                );
            }
            Ok(())
        }
        Err(_) => write(&path, &wanted),
    }
}
