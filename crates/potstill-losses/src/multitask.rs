//! Rows of several tasks in one batch, each task with its share of the loss.
//!
//! ```text
//! w_r = share(task of r) · rows / rows of that task      Σ_r w_r ℓ_r / Σ_r w_r = Σ_tasks share · mean ℓ
//! ```
//!
//! With the tasks "answer" and "explain" it is the loss of Hsieh et al., *Distilling Step-by-Step!*,
//! arXiv:2305.02301: their code mixes α · label + (1 − α) · rationale with α = ½, which is the paper's
//! sum with λ = 1 at half the scale.

use crate::Error;
use crate::error::check;

/// The weight of each row from its task and the shares of the tasks, which are made to sum to 1.
///
/// A task without rows gives its share to the others. The shares hold for the rows that are passed: with
/// gradient accumulation, pass those of the whole optimizer step.
///
/// # Errors
///
/// When a row names a task that has no share, or a share is negative or not finite.
pub fn multitask_weights(tasks: &[usize], shares: &[f64]) -> Result<Vec<f32>, Error> {
    for &share in shares {
        let valid = share.is_finite() && share >= 0.0;
        check("a task's share", share, valid, "a finite number, 0 or more")?;
    }
    let mut counts = vec![0usize; shares.len()];
    for &task in tasks {
        check(
            "a row's task",
            task as f64,
            task < shares.len(),
            "one of the tasks that have a share",
        )?;
        counts[task] += 1;
    }
    let present = shares.iter().zip(&counts).filter(|(_, count)| **count > 0);
    let total: f64 = present.map(|(share, _)| share).sum();
    let weight = |task: usize| {
        let weight = shares[task] / total * tasks.len() as f64 / counts[task] as f64;
        if total > 0.0 { weight as f32 } else { 0.0 }
    };
    Ok(tasks.iter().map(|&task| weight(task)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_task_has_its_share_however_many_rows_it_has() {
        let weights = multitask_weights(&[0, 1, 1, 1], &[0.25, 0.75]).unwrap();
        assert_eq!(weights, [1.0, 1.0, 1.0, 1.0]);
        let weights = multitask_weights(&[0, 1, 1, 1], &[1.0, 1.0]).unwrap();
        assert_eq!(weights.iter().sum::<f32>(), 4.0);
        assert_eq!(weights[0], weights[1..].iter().sum::<f32>());
    }

    #[test]
    fn an_absent_task_gives_its_share_away() {
        assert_eq!(multitask_weights(&[1, 1], &[0.9, 0.1]).unwrap(), [1.0, 1.0]);
        assert_eq!(multitask_weights(&[1, 1], &[1.0, 0.0]).unwrap(), [0.0, 0.0]);
    }

    #[test]
    fn an_unknown_task_is_refused() {
        let error = multitask_weights(&[0, 2], &[0.5, 0.5])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "a row's task is 2, it must be one of the tasks that have a share"
        );
        assert!(multitask_weights(&[0], &[f64::NAN]).is_err());
    }
}
