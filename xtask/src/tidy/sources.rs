//! Rules for one source file.

use super::{Finding, TextFile};

/// Most lines of a file outside its tests.
const MAX_LINES: usize = 400;

// Written in two halves, so that this file does not break its own rules.
const IGNORED_EXAMPLE: &str = concat!("```", "ignore");
const IGNORED_TEST: &str = concat!("#[", "ignore");
const UNFINISHED: [&str; 2] = [concat!("todo", "!("), concat!("unimplemented", "!(")];
const NOT_IN_LIBRARIES: [(&str, &str); 5] = [
    (
        concat!(".unwrap", "()"),
        "return an error, or use `expect` with the reason why it holds",
    ),
    (
        concat!("println", "!("),
        "use `tracing`, or return what should be printed",
    ),
    (
        concat!("print", "!("),
        "use `tracing`, or return what should be printed",
    ),
    (concat!("dbg", "!("), "remove it"),
    (
        concat!("env::", "var"),
        "take a parameter; libraries do not read the environment",
    ),
];
/// Folders that exist on one machine only.
const LOCAL_PATHS: [&str; 4] = [
    concat!("/", "work/"),
    concat!("/", "root/"),
    concat!("/", "home/"),
    concat!("/", "tmp/"),
];

pub(super) fn check(file: &TextFile, findings: &mut Vec<Finding>) {
    let mut report =
        |line: usize, message: String| findings.push(Finding::new(&file.path, line, message));
    for (number, line) in (1..).zip(file.text.lines()) {
        if let Some(path) = LOCAL_PATHS
            .into_iter()
            .find(|path| names_folder(line, path))
        {
            report(
                number,
                format!("remove the path below `{path}`; it exists on one machine only"),
            );
        }
    }
    if !file.is_rust() {
        return;
    }
    if !file.text.starts_with("//!") {
        report(
            1,
            "start the file with a `//!` line that says what it is for".into(),
        );
    }
    let length = file.code().count();
    if length > MAX_LINES {
        report(
            MAX_LINES,
            format!("split the file: {length} lines outside tests, at most {MAX_LINES}"),
        );
    }
    for (number, line) in (1..).zip(file.text.lines()) {
        if line.contains(IGNORED_EXAMPLE) {
            report(
                number,
                "make the example compile, or mark it as `text`".into(),
            );
        }
        if line.trim_start().starts_with(IGNORED_TEST) {
            report(
                number,
                "let the test run, or assert what happens today".into(),
            );
        }
        if !is_comment(line)
            && let Some(word) = UNFINISHED.into_iter().find(|word| line.contains(word))
        {
            report(number, format!("finish what `{word}..)` stands for"));
        }
    }
    if file.is_library() {
        for (number, line) in file.code().filter(|(_, line)| !is_comment(line)) {
            if let Some((word, advice)) = NOT_IN_LIBRARIES
                .into_iter()
                .find(|(word, _)| line.contains(word))
            {
                report(number, format!("`{word}` in a library: {advice}"));
            }
        }
    }
}

/// Whether `line` names a folder below `path`, rather than an address or a longer path.
fn names_folder(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(start, _)| {
        let before = line[..start].chars().next_back();
        before.is_none_or(|c| !(c.is_alphanumeric() || "/._-~}$*".contains(c)))
    })
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}
