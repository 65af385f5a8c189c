//! What a pipeline sees that calls the example in a wrong way.

use std::process::Command;

#[test]
fn only_a_model_is_ever_blamed_and_no_other_code_is_used() {
    for (arguments, code) in [
        (["--help"].as_slice(), 0),
        (&["--gate", "gates.toml"], 1),
        (&["--problems", "many"], 1),
        (&["--gates", "no/such/gates.toml"], 1),
    ] {
        let gate = Command::new(env!("CARGO_BIN_EXE_gate"))
            .args(arguments)
            .output();
        let status = gate.map(|output| output.status.code());
        assert_eq!(status.ok().flatten(), Some(code), "{arguments:?}");
    }
}
