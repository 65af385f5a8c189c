//! Draws what each divergence teaches: one picture for each family.
//!
//! ```text
//! cargo run --release -p loss-gallery
//! ```

#![allow(clippy::print_stdout, reason = "the table is what this program is for")]

mod families;
mod fit;
mod numbers;
mod picture;
mod sweep;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Parser;
use families::Family;
use fit::{Axis, Fit};
use sweep::Sweep;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Draws what each divergence teaches: one picture for each family.
#[derive(Debug, Parser)]
struct Arguments {
    /// Folder of the pictures.
    #[arg(long, default_value = "docs/images")]
    out: PathBuf,
    /// A few steps into a folder that is removed again, to see that everything works.
    #[arg(long, conflicts_with = "out")]
    smoke: bool,
}

fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    let scratch = arguments.smoke.then(tempfile::tempdir).transpose()?;
    if let Some(scratch) = &scratch {
        scratch.path().clone_into(&mut arguments.out);
    }
    let steps = if arguments.smoke { 20 } else { 1000 };
    let folder = &arguments.out;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;

    let axis = Axis::new();
    let teacher = axis.teacher();
    for family in families::families()? {
        let panels: Vec<(Vec<Fit>, Sweep)> = family
            .members
            .iter()
            .map(|member| {
                let fits = fit::fits(member.loss.as_ref(), &axis, &teacher, steps);
                (fits, sweep::sweep(member.loss.as_ref()))
            })
            .collect();
        print_table(&family, &panels);
        let path = folder.join(format!("{}.svg", family.file));
        let picture = picture::draw(&family, &panels, &axis, &teacher)?;
        std::fs::write(&path, picture).with_context(|| format!("writing {}", path.display()))?;
        println!("-> {}\n", path.display());
    }
    Ok(())
}

fn print_table(family: &Family, panels: &[(Vec<Fit>, Sweep)]) {
    println!("{}", family.title);
    println!(
        "{:<26} {:>7} {:>7} {:>7} {:>7}   {:>9} {:>9}   {:>9} {:>9}",
        "", "mean", "std", "value", "ends", "D(-10)", "dD(-10)", "D(+10)", "dD(+10)"
    );
    for (member, (fits, sweep)) in family.members.iter().zip(panels) {
        let best = &fits[0];
        let [(left, left_slope), (right, right_slope)] = sweep.ends();
        println!(
            "{:<26} {:>7.2} {:>7.2} {:>7.3} {:>7}   {left:>9.4} {left_slope:>9.4}   {right:>9.4} \
             {right_slope:>9.4}",
            member.label,
            best.mean,
            best.deviation,
            best.value,
            fits.len(),
        );
    }
}
