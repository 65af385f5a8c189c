//! Confidence against correctness.

use super::scatter::{Look, Mark, Scatter};
use crate::{Calibration, Error};

impl Calibration {
    /// The reliability diagram: for each bin that holds an answer, its mean confidence to the right and
    /// the share of right answers upwards, with Wilson's 95 % interval as a bar. On the diagonal, a model
    /// is right as often as it claims; below it, it is too sure.
    ///
    /// # Errors
    ///
    /// When the picture cannot be drawn.
    pub fn to_svg(&self) -> Result<String, Error> {
        let marks = self.bins.iter().map(|bin| Mark {
            at: (bin.confidence, bin.correct.value()),
            interval: Some(bin.interval),
            name: None,
            look: Look::Disk(0),
        });
        let unit = (0.0, 1.0);
        let scatter = Scatter {
            title: "Reliability".into(),
            labels: ["confidence".into(), "share that is right".into()],
            ranges: [unit, unit],
            log: false,
            marks: marks.collect(),
            line: Vec::new(),
            reference: vec![(0.0, 0.0), (1.0, 1.0)],
        };
        scatter.to_svg()
    }
}
