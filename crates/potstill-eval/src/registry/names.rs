//! Names that are safe as names of files.

use super::RegistryError;

/// Longest name.
const LONGEST: usize = 100;

pub(super) fn check_name(what: &'static str, name: &str) -> Result<(), RegistryError> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins_well && name.len() <= LONGEST && name.chars().all(is_allowed) {
        return Ok(());
    }
    Err(RegistryError::Name {
        what,
        name: name.into(),
        expected: "it has up to 100 letters, digits, dots, dashes and underscores, a letter or digit first",
    })
}

/// Whether `path` stays below the folder that it is relative to, and on the line where it stands.
pub(super) fn is_inside(path: &str) -> bool {
    let is_part = |part: &str| {
        !matches!(part, "" | "." | "..") && !part.contains(['\\', '\0', ':', '\n', '\r'])
    };
    path.split('/').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_folder() {
        for name in ["student", "SmolLM2-135M.v1_b", "3"] {
            assert!(check_name("a model", name).is_ok(), "{name}");
        }
        let long = "x".repeat(101);
        for name in [
            "", ".", "..", ".git", "a/b", "a\\b", "é", "-x", "a b", "a\0", &long,
        ] {
            assert!(check_name("a model", name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_path_never_leaves_its_folder() {
        assert!(is_inside("model.safetensors") && is_inside("onnx/model data.bin"));
        for path in [
            "", "/etc/x", "../x", "a/../b", "a//b", "./a", "c:\\x", "a\\..\\b", "a\nb",
        ] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
