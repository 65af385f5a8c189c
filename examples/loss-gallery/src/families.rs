//! Which losses share a picture.

use potstill::losses::{Divergence, Error, LogitLoss, RowLoss};

/// Losses that are best seen side by side.
pub(crate) struct Family {
    /// Name of the picture.
    pub(crate) file: &'static str,
    /// Heading of the picture.
    pub(crate) title: &'static str,
    /// One panel each, at most four.
    pub(crate) members: Vec<Member>,
}

/// One loss.
pub(crate) struct Member {
    /// Its name in the picture.
    pub(crate) label: &'static str,
    /// The loss; it compares with a teacher's logits and needs no targets.
    pub(crate) loss: Box<dyn RowLoss>,
}

/// All pictures.
pub(crate) fn families() -> Result<Vec<Family>, Error> {
    Ok(vec![
        Family {
            file: "loss-kl",
            title: "Kullback–Leibler divergences",
            members: vec![
                member("forward KL", Divergence::ForwardKl),
                member("reverse KL", Divergence::ReverseKl),
                member("symmetric KL, λ = 0.5", Divergence::symmetric_kl(0.5)?),
                member("adaptive KL, μ = 0.5", Divergence::adaptive_kl(0.5)?),
            ],
        },
        Family {
            file: "loss-jsd",
            title: "Generalized Jensen–Shannon divergences",
            members: vec![
                member("JSD, β = 0.1", Divergence::generalized_jsd(0.1)?),
                member("JSD, β = 0.5", Divergence::generalized_jsd(0.5)?),
                member("JSD, β = 0.9", Divergence::generalized_jsd(0.9)?),
            ],
        },
        Family {
            file: "loss-skew",
            title: "Skew divergences",
            members: vec![
                member(
                    "skew forward KL, α = 0.1",
                    Divergence::skew_forward_kl(0.1)?,
                ),
                member(
                    "skew forward KL, α = 0.5",
                    Divergence::skew_forward_kl(0.5)?,
                ),
                member(
                    "skew reverse KL, α = 0.1",
                    Divergence::skew_reverse_kl(0.1)?,
                ),
                member(
                    "skew reverse KL, α = 0.5",
                    Divergence::skew_reverse_kl(0.5)?,
                ),
            ],
        },
        Family {
            file: "loss-bounded",
            title: "Bounded distances",
            members: vec![
                member("total variation", Divergence::TotalVariation),
                member("squared Hellinger", Divergence::SquaredHellinger),
                member("DIST, inter", LogitLoss::DistInter { temperature: 1.0 }),
            ],
        },
        Family {
            file: "loss-alpha-beta",
            title: "α–β divergences",
            members: vec![
                member("α = 0.8, β = 0.2", Divergence::alpha_beta(0.8, 0.2)?),
                member("α = 0.5, β = 0.5", Divergence::alpha_beta(0.5, 0.5)?),
                member("α = 0.2, β = 0.8", Divergence::alpha_beta(0.2, 0.8)?),
                member("α = 1, β = 1", Divergence::alpha_beta(1.0, 1.0)?),
            ],
        },
    ])
}

fn member(label: &'static str, loss: impl RowLoss + 'static) -> Member {
    Member {
        label,
        loss: Box::new(loss),
    }
}
