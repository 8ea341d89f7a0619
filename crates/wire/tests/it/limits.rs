//! The limits fit together, and what has to be carried fits into them.

use crate::samples::{chunk, hello, inputs, job, merge, segment};
use crowdfold_programs::{Builtin, Program};
use crowdfold_wire::limits::{
    INITIAL_CREDIT_BYTES, INPUT_OVERHEAD_BYTES, MAX_CACHED_PARAMETERS, MAX_CHUNK_BYTES, MAX_FRAME_BYTES,
    MAX_INPUT_BYTES, MAX_INPUTS_BYTES, MAX_INPUTS_PER_FRAME, MAX_ORIGIN_BYTES, MAX_PROGRAM_BYTES, MAX_REASON_BYTES,
    MAX_SOFTWARE_BYTES, MAX_STATE_BYTES, MAX_UPLOAD_BYTES,
};
use crowdfold_wire::{
    Bytes, Capabilities, FromCoordinator, FromProver, Goodbye, GoodbyeCode, Hello, InputList, Inputs, List, Merge,
    ParametersId, Segment, TaskId, Text, UploadId, Within,
};

fn longest<const MAX: usize>() -> Text<MAX> {
    Text::new("x".repeat(MAX)).expect("as long as allowed")
}

#[test]
fn the_longest_messages_fit_into_a_frame() {
    let list = List::new(vec![ParametersId([1; 32]); MAX_CACHED_PARAMETERS]).expect("as many as allowed");
    let hello = Hello {
        software: longest::<MAX_SOFTWARE_BYTES>(),
        origin: longest::<MAX_ORIGIN_BYTES>(),
        cached: list,
        capabilities: Capabilities { threads: Within::new(4096).expect("the most"), ..hello().capabilities },
        ..hello()
    };
    let long_chunk = chunk(UploadId([1; 32]), 0, &[7; MAX_CHUNK_BYTES]);
    let goodbye = Goodbye { code: GoodbyeCode::Idle, text: longest::<MAX_REASON_BYTES>() };
    for message in [FromProver::from(hello), goodbye.into(), long_chunk.clone().into()] {
        let frame = message.encode();
        assert!(frame.len() <= MAX_FRAME_BYTES, "{} bytes", frame.len());
        assert_eq!(FromProver::decode(&frame), Ok(message));
    }

    let input = vec![1; MAX_INPUT_BYTES];
    let long_input = Inputs { task: TaskId(1), index: Within::new(0).expect("0"), inputs: inputs(&[&input]) };
    let short = vec![&[1; MAX_INPUTS_BYTES / MAX_INPUTS_PER_FRAME - INPUT_OVERHEAD_BYTES][..]; MAX_INPUTS_PER_FRAME];
    let many_inputs = Inputs { inputs: inputs(&short), ..long_input.clone() };
    assert_eq!(many_inputs.inputs.cost(), MAX_INPUTS_BYTES as u64);
    let segment = Segment {
        program: longest::<MAX_PROGRAM_BYTES>(),
        start: Bytes::new([1; MAX_STATE_BYTES]).expect("as long as allowed"),
        ..segment(1, 1)
    };
    let merge = Merge { program: longest::<MAX_PROGRAM_BYTES>(), job: job(), ..merge(1, b"left", Some(b"right")) };
    for message in
        [FromCoordinator::from(long_input), many_inputs.into(), segment.into(), merge.into(), long_chunk.into()]
    {
        let frame = message.encode();
        assert!(frame.len() <= MAX_FRAME_BYTES, "{} bytes", frame.len());
        assert_eq!(FromCoordinator::decode(&frame), Ok(message));
    }
}

#[test]
fn inputs_and_states_of_built_in_programs_fit() {
    for name in ["rollup/1", "squarings/1/1048576"] {
        use crowdfold_fold::StepFunction;
        let program = Builtin::from_name(name).expect("it is built in");
        let input = vec![0; program.max_input_bytes()];
        let mut rest = std::iter::once(&input[..]).peekable();
        assert!(InputList::fill(&mut rest, INITIAL_CREDIT_BYTES).expect("not too long").is_some(), "{name}");
        assert!(program.state_bytes() <= MAX_STATE_BYTES, "{name}");
        assert!(name.len() <= MAX_PROGRAM_BYTES);
    }
}

#[test]
fn range_proofs_of_supported_circuits_fit() {
    // Measured: 64 bytes a row and some, and 3.4 MB for the merge circuit (crates/fold/golden.txt).
    for rows in [1 << 16, crowdfold_fold::limits::MAX_CONSTRAINTS as u64] {
        assert!(64 * rows + (4 << 20) + (32 << 20) <= MAX_UPLOAD_BYTES, "{rows} rows");
    }
}
