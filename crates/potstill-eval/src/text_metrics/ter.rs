//! Translation edit rate.
//!
//! ```text
//! TER = 100 · edits / words of the reference
//! ```
//!
//! The edits make a reference of the candidate: words are added, left out and replaced, and runs of
//! words are moved, each move for the price of one edit. The fewest are not searched for, but moves
//! are made as long as one of them helps, the most helpful first.
//! Snover et al., *A Study of Translation Edit Rate with Targeted Human Annotation*, AMTA 2006; limits
//! and ties are those of sacreBLEU with its defaults, so that the numbers are the same.

use std::cmp::Reverse;
use std::iter::Sum;
use std::ops::Range;

/// Longest run of words that is moved.
const LONGEST_MOVE: usize = 10;

/// How far apart a run and what it matches may begin.
const FARTHEST_MOVE: usize = 50;

/// Moves that are tried before a candidate is left as it is.
const MOST_TRIED: usize = 1_000;

/// How far from the diagonal words are aligned.
const BEAM: usize = 25;

/// What the translation edit rate is computed from: the counts of a segment, or of several, which add
/// up.
///
/// ```
/// use potstill_eval::TerCounts;
///
/// // One move.
/// assert_eq!(TerCounts::new("down the cat sat", &["The cat sat down"]).score(), 25.0);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TerCounts {
    edits: f64,
    reference_words: f64,
}

impl TerCounts {
    /// The edits to the nearest reference, and the mean length of the references. Case does not count.
    ///
    /// # Panics
    ///
    /// Panics if there is no reference.
    #[must_use]
    pub fn new(candidate: &str, references: &[&str]) -> Self {
        let candidate = candidate.to_lowercase();
        let candidate: Vec<&str> = candidate.split_whitespace().collect();
        let mut words = 0;
        let of_reference = |reference: &&str| {
            let reference = reference.to_lowercase();
            let reference: Vec<&str> = reference.split_whitespace().collect();
            words += reference.len();
            edits(&candidate, &reference)
        };
        let fewest = references.iter().map(of_reference).min();
        Self {
            edits: fewest.expect("TER needs a reference") as f64,
            reference_words: words as f64 / references.len() as f64,
        }
    }

    /// The rate, from 0; above 100 where more is edited than the references hold.
    #[must_use]
    pub fn score(&self) -> f64 {
        match (self.edits > 0.0, self.reference_words > 0.0) {
            (_, true) => 100.0 * (self.edits / self.reference_words),
            (true, false) => 100.0,
            (false, false) => 0.0,
        }
    }
}

impl Sum for TerCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |total, counts| Self {
            edits: total.edits + counts.edits,
            reference_words: total.reference_words + counts.reference_words,
        })
    }
}

fn edits(candidate: &[&str], reference: &[&str]) -> usize {
    if reference.is_empty() {
        return candidate.len();
    }
    let mut table = Table::new(reference, candidate.len());
    let mut words = candidate.to_vec();
    let (mut moves, mut tried) = (0, 0);
    while let Some(moved) = best_move(&words, &mut table, &mut tried) {
        words = moved;
        moves += 1;
    }
    moves + table.distance(&words)
}

/// The words after the move that helps most; of several that of the longest run, then of the first, then
/// that to the first place. `None` if none helps, or too many were tried.
fn best_move<'a>(
    words: &[&'a str],
    table: &mut Table<'a>,
    tried: &mut usize,
) -> Option<Vec<&'a str>> {
    let before = table.distance(words);
    let alignment = table.alignment();
    let mut best = None;
    for run in matching_runs(words, table.reference) {
        // What stands right stays, and nothing goes where something stands right.
        if !alignment.wrong_words[run.words()].contains(&true)
            || !alignment.wrong_places[run.places()].contains(&true)
            || (run.word + 1..=run.word + run.length).contains(&alignment.words_before[run.place])
        {
            continue;
        }
        // In front of the run's place in the reference, and behind each word of it.
        let front = match run.place {
            0 => 0,
            place => alignment.words_before[place - 1],
        };
        let mut targets = vec![front];
        targets.extend_from_slice(&alignment.words_before[run.places()]);
        targets.dedup();
        for target in targets {
            let moved = run.moved(words, target);
            let after = table.distance(&moved);
            *tried += 1;
            let rank = (
                Reverse(after),
                run.length,
                Reverse(run.word),
                Reverse(target),
            );
            if best.as_ref().is_none_or(|(best, _)| rank > *best) {
                best = Some((rank, moved));
            }
        }
        if *tried >= MOST_TRIED {
            break;
        }
    }
    let ((Reverse(after), ..), moved) = best?;
    (after < before && *tried < MOST_TRIED).then_some(moved)
}

/// Words of the candidate that also stand in the reference.
#[derive(Clone, Copy, Debug)]
struct Run {
    /// Where they begin.
    word: usize,
    /// Where they begin in the reference.
    place: usize,
    length: usize,
}

impl Run {
    fn words(&self) -> Range<usize> {
        self.word..self.word + self.length
    }

    fn places(&self) -> Range<usize> {
        self.place..self.place + self.length
    }

    /// With the run in front of what stands at `target`, or as much further on as that is within the
    /// run.
    fn moved<'a>(&self, words: &[&'a str], target: usize) -> Vec<&'a str> {
        let mut moved = words.to_vec();
        moved.drain(self.words());
        let target = if target > self.word + self.length {
            target - self.length
        } else {
            target.min(moved.len())
        };
        moved.splice(target..target, words[self.words()].iter().copied());
        moved
    }
}

/// By their first word, then by their place, then by their length.
fn matching_runs(words: &[&str], reference: &[&str]) -> Vec<Run> {
    let mut runs = Vec::new();
    for word in 0..words.len() {
        let first = word.saturating_sub(FARTHEST_MOVE);
        for place in first..reference.len().min(word + FARTHEST_MOVE + 1) {
            let pairs = words[word..].iter().zip(&reference[place..]);
            let longest = pairs
                .take(LONGEST_MOVE)
                .take_while(|(word, other)| word == other)
                .count();
            runs.extend((1..=longest).map(|length| Run {
                word,
                place,
                length,
            }));
        }
    }
    runs
}

/// Fewest edits without moves, for each beginning of the words and of the reference.
struct Table<'a> {
    reference: &'a [&'a str],
    /// Words of the reference for each word.
    slope: f64,
    beam: usize,
    /// The words that the rows are of.
    words: Vec<&'a str>,
    rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    edits: usize,
    last: Edit,
}

/// What was done last to get to a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Edit {
    Kept,
    Replaced,
    LeftOut,
    Added,
    /// Beyond the beam.
    Unknown,
}

/// Where the words of the reference have gone.
struct Alignment {
    /// For each word of the reference, how many words end at what it is aligned with.
    words_before: Vec<usize>,
    wrong_words: Vec<bool>,
    /// Words of the reference that are not where they should be.
    wrong_places: Vec<bool>,
}

impl<'a> Table<'a> {
    fn new(reference: &'a [&'a str], words: usize) -> Self {
        let slope = match words {
            0 => 1.0,
            words => reference.len() as f64 / words as f64,
        };
        // So steep that rows would not overlap.
        let beam = match BEAM as f64 >= slope / 2.0 {
            true => BEAM,
            false => (slope / 2.0 + BEAM as f64).ceil() as usize,
        };
        let added = |edits| Cell {
            edits,
            last: Edit::Added,
        };
        Self {
            reference,
            slope,
            beam,
            words: Vec::new(),
            rows: vec![(0..=reference.len()).map(added).collect()],
        }
    }

    /// Edits that make the reference of `words`, of which there are always as many.
    fn distance(&mut self, words: &[&'a str]) -> usize {
        let same = self.words.iter().zip(words).take_while(|(a, b)| a == b);
        let known = same.count();
        self.words.truncate(known);
        self.rows.truncate(known + 1);
        for word in &words[known..] {
            let row = self.row(word, self.rows.len(), words.len());
            self.rows.push(row);
            self.words.push(word);
        }
        self.rows[words.len()][self.reference.len()].edits
    }

    /// The row of the `place`th word, of `all`.
    fn row(&self, word: &str, place: usize, all: usize) -> Vec<Cell> {
        let before = &self.rows[place - 1];
        let unknown = Cell {
            edits: usize::MAX / 2,
            last: Edit::Unknown,
        };
        let mut row = vec![unknown; self.reference.len() + 1];
        let diagonal = (place as f64 * self.slope) as usize;
        let end = match place == all {
            true => row.len(),
            false => row.len().min(diagonal + self.beam),
        };
        for column in diagonal.saturating_sub(self.beam)..end {
            let mut cell = row[column];
            let mut offer = |edits: usize, last: Edit| {
                if edits < cell.edits {
                    cell = Cell { edits, last };
                }
            };
            // The first of equals counts.
            if column > 0 {
                let edits = before[column - 1].edits;
                match self.reference[column - 1] == word {
                    true => offer(edits, Edit::Kept),
                    false => offer(edits + 1, Edit::Replaced),
                }
            }
            offer(before[column].edits + 1, Edit::LeftOut);
            if column > 0 {
                offer(row[column - 1].edits + 1, Edit::Added);
            }
            row[column] = cell;
        }
        row
    }

    /// The alignment of the words whose distance was asked for last.
    fn alignment(&self) -> Alignment {
        let (mut word, mut place) = (self.words.len(), self.reference.len());
        let mut found = Alignment {
            words_before: vec![0; place],
            wrong_words: vec![false; word],
            wrong_places: vec![false; place],
        };
        while word > 0 || place > 0 {
            let edit = self.rows[word][place].last;
            let is_wrong = edit != Edit::Kept;
            let (takes_word, takes_place) = match edit {
                Edit::Kept | Edit::Replaced => (true, true),
                Edit::LeftOut => (true, false),
                Edit::Added => (false, true),
                Edit::Unknown => unreachable!("the last row is whole, and rows overlap"),
            };
            if takes_place {
                place -= 1;
                found.words_before[place] = word;
                found.wrong_places[place] = is_wrong;
            }
            if takes_word {
                word -= 1;
                found.wrong_words[word] = is_wrong;
            }
        }
        found
    }
}
