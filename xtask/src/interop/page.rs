//! `docs/interop.md`, a section for each program.

use std::fs;

use anyhow::{Context, Result};

use crate::project::Project;

/// Puts `text` under the heading `title`, where there was another or at the end.
pub(super) fn replace(project: &Project, title: &str, text: &str) -> Result<()> {
    let path = project.root().join("docs/interop.md");
    let page = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    fs::write(&path, replaced(&page, title, text))
        .with_context(|| format!("writing {}", path.display()))
}

fn replaced(page: &str, title: &str, text: &str) -> String {
    let heading = format!("## {title}\n");
    let section = format!("{heading}\n{}\n", text.trim());
    let Some(start) = page.find(&heading) else {
        return format!("{}\n\n{section}", page.trim_end());
    };
    let rest = &page[start + heading.len()..];
    let end = rest.find("\n## ");
    let after = end.map_or("", |end| &rest[end..]);
    format!("{}{section}{after}", &page[..start])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let page = "# Interop\n\n## A\n\nold\n\n## B\n\nstays\n";
        let new = replaced(page, "A", "new\n");
        assert_eq!(new, "# Interop\n\n## A\n\nnew\n\n## B\n\nstays\n");
        assert_eq!(replaced(&new, "A", "new"), new);
        let last = replaced(page, "B", "changed");
        assert_eq!(last, "# Interop\n\n## A\n\nold\n\n## B\n\nchanged\n");
        assert!(replaced(page, "C", "more").ends_with("stays\n\n## C\n\nmore\n"));
    }
}
