//! Text inside Markdown.

/// Text that stays in its cell, is no markup, and calls nobody: what follows an `@` is a mention on the
/// forges whatever stands before it, so that a space without width has to stand between.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if "\\`*|<>[]".contains(c) {
            escaped.push('\\');
        }
        escaped.push(if c.is_control() { ' ' } else { c });
        if c == '@' {
            escaped.push('\u{200b}');
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_neither_markup_nor_a_mention() {
        assert_eq!(
            escaped("a|b\n<i> not worse than @champion's"),
            "a\\|b \\<i\\> not worse than @\u{200b}champion's"
        );
    }
}
