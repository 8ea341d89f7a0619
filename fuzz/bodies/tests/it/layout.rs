//! The layout of parameter files against the real decoder.

use crowdfold_fold::{Error, Parameters, ProverParameters};
use crowdfold_fuzz_bodies::{ParameterLayout, Section, program, small_parameters};

#[test]
fn small_parameters_decode() {
    let bytes = small_parameters(true);
    assert!(bytes.len() < 4096, "libFuzzer's default limit");
    let params = Parameters::from_bytes(program(), &bytes).expect("all parameters");
    assert!(params.to_bytes() == bytes);
    let bytes = small_parameters(false);
    let params = ProverParameters::from_bytes(program(), &bytes).expect("a prover's parameters");
    assert!(params.to_bytes() == bytes);
}

#[test]
fn sections_lie_without_gaps_and_are_sealed() {
    let bytes = small_parameters(true);
    let layout = ParameterLayout::of(&bytes).expect("a layout");
    let mut end = 0;
    for (section, range) in layout.sections() {
        assert_eq!(range.start, end, "{section:?}");
        end = range.end;
    }
    assert_eq!(end, bytes.len());

    let mut changed = bytes.clone();
    // The number of public inputs of the merge circuit, which no size depends on.
    changed[layout.range(Section::MergeShape).start + 16] ^= 1;
    let refused = Parameters::from_bytes(program(), &changed).expect_err("the digest is another");
    assert!(matches!(refused, Error::ParameterFile("the merge circuit does not have its digest")), "{refused}");
    layout.seal(&mut changed);
    assert!(!matches!(
        Parameters::from_bytes(program(), &changed),
        Err(Error::ParameterFile("the merge circuit does not have its digest"))
    ));
}

#[test]
fn a_file_cut_short_or_continued_has_no_layout() {
    let bytes = small_parameters(false);
    for n in 0..bytes.len() {
        assert_eq!(ParameterLayout::of(&bytes[..n]), None, "{n} bytes");
    }
    assert_eq!(ParameterLayout::of(&[&bytes[..], &[0]].concat()), None);
}
