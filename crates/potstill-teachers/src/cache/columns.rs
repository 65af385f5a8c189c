//! Rows in memory: those of one run, or those that wait for their shard.

use super::row_code::{EncodedRow, RowCode};

/// What a row consists of.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) code: RowCode,
    /// Hidden states that are kept.
    pub(super) hidden: usize,
    /// Width of each, in values of two bytes.
    pub(super) d_model: usize,
}

impl Layout {
    /// Bytes of a hidden state.
    pub(super) fn hidden_bytes(&self) -> usize {
        2 * self.d_model
    }
}

/// Where the rows of a segment are: `rows` positions in a row from a first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Number of the shard; one beyond the last for rows that wait.
    pub(super) shard: usize,
    /// The first row.
    pub(super) first_row: u32,
    /// How many.
    pub(super) rows: u32,
    /// The first token id of the variable part.
    pub(super) first_id: u32,
}

/// Rows, column by column.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    pub(super) rows: u32,
    pub(super) fixed: Vec<u8>,
    pub(super) token_ids: Vec<u8>,
    /// One for each layer that is kept.
    pub(super) hidden: Vec<Vec<u8>>,
}

impl Columns {
    /// Appends the prediction of a row.
    pub(super) fn push(&mut self, row: &EncodedRow) {
        self.rows += 1;
        self.fixed.extend_from_slice(&row.fixed);
        self.token_ids.extend_from_slice(&row.token_ids);
    }

    /// Forgets the rows and keeps the columns.
    pub(super) fn clear(&mut self) {
        self.rows = 0;
        self.fixed.clear();
        self.token_ids.clear();
        self.hidden.iter_mut().for_each(Vec::clear);
    }

    pub(super) fn bytes(&self) -> usize {
        let hidden: usize = self.hidden.iter().map(Vec::len).sum();
        self.fixed.len() + self.token_ids.len() + hidden
    }

    /// Token ids of the variable part.
    pub(super) fn ids(&self, layout: &Layout) -> u32 {
        let bytes = layout.code.id_bytes().unwrap_or(1);
        u32::try_from(self.token_ids.len() / bytes).unwrap_or(u32::MAX)
    }

    /// A copy of the rows of `run`.
    pub(super) fn of_run(&self, run: Run, layout: &Layout) -> Self {
        let rows = |column: &[u8], width: usize| {
            let start = run.first_row as usize * width;
            column[start..start + run.rows as usize * width].to_vec()
        };
        let fixed = rows(&self.fixed, layout.code.fixed_bytes());
        let token_ids = layout.code.id_bytes().map_or_else(Vec::new, |width| {
            let start = run.first_id as usize * width;
            self.token_ids[start..start + ids_of(&fixed, layout) * width].to_vec()
        });
        Self {
            rows: run.rows,
            fixed,
            token_ids,
            hidden: self
                .hidden
                .iter()
                .map(|column| rows(column, layout.hidden_bytes()))
                .collect(),
        }
    }

    /// Each row's part of the prediction: what is fixed, and what is not.
    pub(super) fn predictions(&self, layout: &Layout) -> impl Iterator<Item = (&[u8], &[u8])> {
        let code = layout.code;
        let id_bytes = code.id_bytes().unwrap_or(0);
        let mut rest = self.token_ids.as_slice();
        self.fixed
            .chunks_exact(code.fixed_bytes())
            .map(move |fixed| {
                let length = (code.ids_of(fixed) * id_bytes).min(rest.len());
                let (ids, others) = rest.split_at(length);
                rest = others;
                (fixed, ids)
            })
    }
}

/// Token ids that rows of the fixed part call for.
pub(super) fn ids_of(fixed: &[u8], layout: &Layout) -> usize {
    let rows = fixed.chunks_exact(layout.code.fixed_bytes());
    rows.map(|row| layout.code.ids_of(row)).sum()
}
