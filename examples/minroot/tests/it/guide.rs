//! The guide's excerpts. Its complete pieces of code run as tests of the crate's documentation.

const GUIDE: &str = include_str!("../../../../docs/guide/programs.md");
const SOURCES: [&str; 2] = [include_str!("../../src/lib.rs"), include_str!("../../../../prover-wasm/src/lib.rs")];

/// The text without indentation.
fn flat(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("\n")
}

#[test]
fn excerpts_are_as_the_sources_have_them() {
    let excerpts: Vec<String> = GUIDE.split("```").filter_map(|part| part.strip_prefix("rs\n")).map(flat).collect();
    assert_eq!(excerpts.len(), 3);
    for excerpt in excerpts {
        assert!(SOURCES.iter().any(|source| flat(source).contains(excerpt.trim())), "in no source:\n{excerpt}");
    }
}
