//! Size and error of each way of keeping distributions.

use std::path::Path;

use anyhow::Result;
use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{Cell, CellAlignment, LineStyle, Table};
use potstill::teachers::{CacheBuilder, CacheConfig, CachedTeacher, Keep};

use crate::measure::{error, rate};
use crate::subject::Subject;

/// Caches what the teacher says in several ways and prints what each costs.
pub(crate) fn run(subject: &Subject, folder: &Path, k: usize) -> Result<()> {
    let open = |name: &str, keep| -> Result<CachedTeacher> {
        let (teacher, identity) = (subject.teacher(), subject.identity());
        let config = CacheConfig::new(keep);
        let mut builder = CacheBuilder::open(folder.join(name), teacher, identity, &config)?;
        for batch in &subject.batches {
            builder.add(batch)?;
        }
        Ok(builder.finish()?)
    };
    let bits = |log_prob_bits| Keep::TopK { k, log_prob_bits };
    let draws = |draws| Keep::Sampled { draws, seed: 1 };
    let policies = [
        ("dense, f16".to_owned(), Keep::Dense),
        (format!("top {k}, 16 bits"), bits(16)),
        (format!("top {k}, 8 bits"), bits(8)),
        (format!("top {k}, 5 bits"), bits(5)),
        (format!("top {k}, 4 bits"), bits(4)),
        ("24 draws".to_owned(), draws(24)),
        ("32 draws".to_owned(), draws(32)),
        ("50 draws".to_owned(), draws(50)),
    ];
    let mut table = Table::new();
    table
        .load_style(UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()))
        .set_header([
            "kept",
            "bytes/token",
            "tokens named",
            "mass unnamed",
            "KL(cached ‖ live)",
            "KL(live ‖ cached)",
            "tokens/s read",
        ]);
    for (name, keep) in policies {
        let mut cached = open(&name.replace(' ', "-"), keep)?;
        let deviation = error(&mut subject.teacher(), &mut cached, &subject.batches)?;
        let numbers = [
            format!("{:.1}", cached.bytes() as f64 / cached.rows() as f64),
            format!("{:.1}", deviation.tokens),
            format!("{:.4}", deviation.unnamed),
            format!("{:.1e}", deviation.reverse),
            format!("{:.1e}", deviation.forward),
            format!("{:.0}", rate(&mut cached, &subject.batches)?),
        ];
        let numbers = numbers.map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row([Cell::new(name)].into_iter().chain(numbers));
    }
    println!("{table}");
    Ok(())
}
