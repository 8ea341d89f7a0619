//! Golden values: the bytes of each message. `./just golden` writes `crates/wire/golden.txt` anew.

use crate::samples::{challenge, from_coordinator, from_prover, push, unsigned_hello, unsigned_push};
use std::fmt::Write as _;
use std::path::Path;

/// Set to `refresh`, it makes the test write the file instead of comparing with it.
const VARIABLE: &str = "CROWDFOLD_GOLDEN";
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/golden.txt");
const HEADER: &str = "\
# Golden values of the protocol: a message of each kind (tests/it/samples.rs) and its bytes. P is sent by provers, C by
# coordinators. The test `golden` compares with them; `./just golden` writes them anew. Bytes that change go with another
# protocol version.

";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn values() -> String {
    let mut text = HEADER.to_owned();
    let prover = from_prover().into_iter().map(|(name, message)| ('P', name, message.encode()));
    let coordinator = from_coordinator().into_iter().map(|(name, message)| ('C', name, message.encode()));
    for (side, name, frame) in prover.chain(coordinator) {
        let _ = writeln!(text, "{side} {name} = {}", hex(&frame));
    }
    let _ = writeln!(text, "PushTask = {}", hex(&push().encode()));
    let _ = writeln!(text, "signed by PushTask = {}", hex(&unsigned_push().signed_bytes()));
    let _ = writeln!(text, "signed by Hello = {}", hex(&unsigned_hello().signed_bytes(&challenge())));
    text
}

#[test]
fn golden_values_are_as_recorded() {
    let found = values();
    if std::env::var(VARIABLE).is_ok_and(|value| value == "refresh") {
        std::fs::write(FILE, found).expect("the golden file can be written");
        return;
    }
    let golden = std::fs::read_to_string(Path::new(FILE)).unwrap_or_default();
    assert!(
        golden == found,
        "golden values changed; if that is meant, run `./just golden` and review the difference with git; found:\n{found}"
    );
}
