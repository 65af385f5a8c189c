//! Public functions on tensors document their shapes.

use super::{Finding, TextFile};

pub(super) fn check(file: &TextFile, findings: &mut Vec<Finding>) {
    if !file.is_rust() || !file.is_library() {
        return;
    }
    let code: Vec<(usize, &str)> = file.code().collect();
    for (index, (number, line)) in code.iter().enumerate() {
        let Some(name) = public_function(line) else {
            continue;
        };
        // The fields of a type say what its constructor takes.
        if name == "new" || !takes_tensor(&code[index..]) || has_shapes(&code[..index]) {
            continue;
        }
        let message = format!("`{name}` takes a tensor: document it under `/// # Shapes`");
        findings.push(Finding::new(&file.path, *number, message));
    }
}

fn public_function(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = rest
        .strip_prefix("const ")
        .unwrap_or(rest)
        .strip_prefix("fn ")?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
}

/// Whether the parameters of the function that starts with `lines` name a tensor.
fn takes_tensor(lines: &[(usize, &str)]) -> bool {
    let mut signature = String::new();
    for (_, line) in lines {
        signature.push_str(line);
        if line.contains('{') || line.trim_end().ends_with(';') {
            break;
        }
    }
    // The return type stands behind the last arrow; closures among the parameters have their own.
    let parameters = signature
        .rsplit_once(") ->")
        .map_or(signature.as_str(), |(before, _)| before);
    parameters.contains("Tensor<")
}

fn has_shapes(lines: &[(usize, &str)]) -> bool {
    let attached = |line: &str| {
        let line = line.trim_start();
        line.starts_with("///") || line.starts_with("#[")
    };
    (lines.iter().rev())
        .map_while(|(_, line)| attached(line).then_some(line.trim_start()))
        .any(|line| line.starts_with("/// # Shapes"))
}
