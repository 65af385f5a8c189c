//! A rule must find what breaks it, and nothing else.

use std::path::Path;

use super::*;

fn findings(path: &str, text: &str) -> Vec<String> {
    let file = TextFile {
        path: path.into(),
        text: text.into(),
    };
    let mut findings = Vec::new();
    sources::check(&file, &mut findings);
    shapes::check(&file, &mut findings);
    findings
        .iter()
        .map(|finding| format!("{}: {}", finding.line, finding.message))
        .collect()
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[&str]) {
    let found = findings(path, text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found} instead of {expected}");
    }
}

const LIBRARY: &str = "crates/potstill-core/src/lib.rs";

#[test]
fn a_clean_file_has_no_findings() {
    check(
        LIBRARY,
        "//! Words.\n\n/// One.\npub fn one() -> usize {\n    1\n}\n",
        &[],
    );
}

#[test]
fn a_file_says_what_it_is_for() {
    check(
        "benches/src/lib.rs",
        "fn main() {}\n",
        &["1: start the file"],
    );
    check("docs/log.md", "# Log\n", &[]);
}

#[test]
fn a_library_neither_unwraps_nor_prints_outside_its_tests() {
    let broken = concat!(
        "//! A.\nfn f() {\n    g().unwrap",
        "();\n    eprintln",
        "!(\"\");\n}\n"
    );
    check(
        LIBRARY,
        broken,
        &["3: `.unwrap()` in a library", "4: `println!(` in a library"],
    );
    check("examples/a/src/main.rs", broken, &[]);
    check("crates/potstill-core/src/a/tests.rs", broken, &[]);
    for attribute in ["#[cfg(test)]", "#[cfg(all(test, unix))]"] {
        check(
            LIBRARY,
            &broken.replace("fn f", &format!("{attribute}\nfn f")),
            &[],
        );
    }
    check(
        LIBRARY,
        concat!("//! A.\n/// let x = y.unwrap", "();\nfn f() {}\n"),
        &[],
    );
}

#[test]
fn long_files_are_split_but_tests_do_not_count() {
    let body = "fn f() {}\n".repeat(400);
    check(
        LIBRARY,
        &format!("//! A.\n{body}"),
        &["400: split the file: 401 lines"],
    );
    check(LIBRARY, &format!("//! A.\n#[cfg(test)]\n{body}"), &[]);
}

#[test]
fn unfinished_code_and_silenced_tests_are_found() {
    check(
        "xtask/src/main.rs",
        concat!(
            "//! A.\n#[",
            "ignore]\nfn f() { todo",
            "!() }\n/// ```",
            "ignore\n"
        ),
        &[
            "2: let the test run",
            "3: finish what",
            "4: make the example compile",
        ],
    );
}

#[test]
fn a_path_of_one_machine_is_found_but_an_address_is_not() {
    check(
        "docs/log.md",
        concat!("see /", "root/data"),
        &["1: remove the path"],
    );
    check(
        "docs/log.md",
        concat!("https://example.org/", "home/x and ../", "work/y"),
        &[],
    );
}

#[test]
fn a_public_function_on_tensors_documents_shapes() {
    let function = "pub fn f(\n    x: Tensor<2>,\n) -> usize {\n    0\n}\n";
    check(
        LIBRARY,
        &format!("//! A.\n/// F.\n{function}"),
        &["3: `f` takes a tensor"],
    );
    let documented = "/// F.\n///\n/// # Shapes\n///\n/// - `x`: `[a, b]`\n#[must_use]\n";
    check(LIBRARY, &format!("//! A.\n{documented}{function}"), &[]);
    check(
        LIBRARY,
        "//! A.\n/// F.\npub fn f() -> Tensor<2> {\n    g()\n}\n",
        &[],
    );
    check(
        LIBRARY,
        "//! A.\n/// F.\npub fn new(x: Tensor<2>) -> Self {\n    g(x)\n}\n",
        &[],
    );
}

#[test]
fn test_files_are_told_from_code() {
    let file = |path: &str| TextFile {
        path: path.into(),
        text: String::new(),
    };
    assert!(file("crates/potstill-core/src/batch/tests.rs").is_test());
    assert!(file("crates/potstill-models/tests/parity.rs").is_test());
    assert!(!file("crates/potstill-core/src/batch.rs").is_test());
    assert!(!file("crates/potstill-testkit/src/lib.rs").is_library());
    assert!(Path::new(LIBRARY) == file(LIBRARY).path && file(LIBRARY).is_library());
}
