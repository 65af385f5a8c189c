//! A stage that has to see all records.

use std::time::Instant;

use rayon::prelude::*;

use super::chunks::{ChunkStore, KeyParts, Receipt, sha256};
use super::making::{Chunk, Made, keep};
use super::run::Run;
use super::segment::{Account, empty_report, stage_seed};
use super::{Corpus, GlobalStage, Outcome, PipelineError, StageContext, StageError};
use crate::Record;

impl Run<'_> {
    /// Lets a stage look at all records, and then decide on each.
    pub(super) fn global(
        &mut self,
        chunks: &[Chunk],
        stage: &dyn GlobalStage,
        begin: usize,
    ) -> Result<Vec<Chunk>, PipelineError> {
        let given: Vec<&str> = chunks.iter().map(|chunk| chunk.key.as_str()).collect();
        let surroundings = sha256(given.join("\n").as_bytes());
        let names = self.names(begin..begin + 1);
        let key = |(index, chunk): (usize, &Chunk)| {
            KeyParts {
                seed: self.pipeline.options.seed,
                stages: &names,
                surroundings: &surroundings,
                content: &format!("{index} {}", chunk.key),
            }
            .key()
        };
        let keys: Vec<String> = chunks.iter().enumerate().map(key).collect();
        let store = self.store.clone();
        let found: Option<Vec<Receipt>> = keys.par_iter().map(|key| store.find(key)).collect();
        let mut all = Vec::with_capacity(chunks.len());
        if let Some(receipts) = found {
            let made = keys.into_iter().zip(receipts);
            let made = made.map(|(key, receipt)| Ok(Made::new(key, receipt, true)));
            self.note_all(begin, made.collect(), &mut all)?;
            return Ok(all);
        }
        let seed = stage_seed(self.pipeline.options.seed, stage.name(), &surroundings);
        let context = StageContext::new(seed, &self.pipeline.options.clock);
        let mut begun = Instant::now();
        let width = rayon::current_num_threads();
        let read = || -> Box<dyn Iterator<Item = Result<Record, StageError>>> {
            Box::new(chunks.chunks(width).flat_map(|chunks| {
                let chunks = read_all(&store, chunks).into_iter();
                chunks.flat_map(|chunk| match chunk {
                    Ok(records) => records.into_iter().map(Ok).collect(),
                    Err(error) => vec![Err(StageError::new(error))],
                })
            }))
        };
        let corpus = Corpus::new(&read);
        let survey = stage.survey(corpus, &context);
        let mut verdict = survey.map_err(|source| PipelineError::Stage {
            stage: stage.name().to_owned(),
            source,
        })?;
        let mut tally = context.tally();
        let mut row = 0;
        for (chunks, keys) in chunks.chunks(width).zip(keys.chunks(width)) {
            let mut settled = Vec::with_capacity(chunks.len());
            for records in read_all(&store, chunks) {
                let mut outcomes: Vec<Outcome> = Vec::new();
                let mut text_bytes = 0;
                for record in records? {
                    text_bytes += record.text_bytes() as u64;
                    outcomes.push(verdict(row, record));
                    row += 1;
                }
                let mut report = empty_report(stage.name(), stage.configuration());
                report.text_bytes_in = text_bytes;
                // The survey is charged to the first chunk.
                report.seconds = begun.elapsed().as_secs_f64();
                report.tally = std::mem::take(&mut tally);
                begun = Instant::now();
                let mut account = Account::of(Vec::new());
                account.settle(report, outcomes.len(), outcomes)?;
                settled.push(account);
            }
            let made = settled.into_par_iter().zip(keys).map(|(account, key)| {
                let receipt = keep(&store, key, account.finish())?;
                Ok(Made::new(key.clone(), receipt, false))
            });
            self.note_all(begin, made.collect(), &mut all)?;
        }
        Ok(all)
    }
}

fn read_all(store: &ChunkStore, chunks: &[Chunk]) -> Vec<Result<Vec<Record>, PipelineError>> {
    chunks
        .par_iter()
        .map(|chunk| store.read(&chunk.key))
        .collect()
}
