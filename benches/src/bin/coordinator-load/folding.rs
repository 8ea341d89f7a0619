//! Provers that fold: how two compare with one, and what the coordinator costs beside them.

use std::time::Instant;

use crowdfold_bench::payments::ROLLUP;
use crowdfold_bench::report::Measure;

use crate::World;
use crate::process::{Choices, Coordinator, Process};
use crate::work;

/// Steps of the job by which provers load their parameters and learn their speed.
const WARM_UP: usize = 64;
/// Steps of the job that one prover does, and then two.
const SCALED: usize = 384;
/// Seconds that a segment of it should take: an operator's default.
const TARGET_S: u64 = 120;
/// Steps of a segment where processor time is compared, and segments.
const SEGMENT: u64 = 256;
const SEGMENTS: u64 = 2;

/// A job from its acceptance to its root proof: seconds.
fn prove(coordinator: &Coordinator, body: &[u8]) -> anyhow::Result<f64> {
    let job = coordinator.submit(ROLLUP, body)?;
    let began = Instant::now();
    coordinator.wait(job)?;
    Ok(began.elapsed().as_secs_f64())
}

/// One prover's time over that of two.
pub(crate) fn scaling(world: &World) -> anyhow::Result<Vec<Measure>> {
    let coordinator = world.coordinator("scaling", Choices { target_s: TARGET_S, min_steps: 1 })?;
    let (warm_up, bodies) =
        (work::body(ROLLUP, WARM_UP, 10)?, [work::body(ROLLUP, SCALED, 11)?, work::body(ROLLUP, SCALED, 12)?]);
    let mut times = Vec::new();
    let mut provers: Vec<Process> = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        provers.push(coordinator.site.prover(&format!("scaling-{number}"), 1)?);
        // The one that is new gets a part of it too.
        eprintln!("warming up {} prover(s)", number + 1);
        prove(&coordinator, &warm_up)?;
        eprintln!("{SCALED} steps of {ROLLUP} with {} prover(s)", number + 1);
        times.push(prove(&coordinator, body)?);
    }
    let what = format!("speed with 2 single-thread provers over 1, {SCALED} steps of {ROLLUP}");
    Ok(vec![
        Measure::new("scaling_2", what, times[0] / times[1], "").at_least(1.85),
        Measure::new("scaling_1_s", "the job with 1 prover", times[0], "s"),
        Measure::new("scaling_2_s", "the job with 2", times[1], "s"),
    ])
}

/// Processor time of the coordinator over that of its prover.
pub(crate) fn share(world: &World) -> anyhow::Result<Vec<Measure>> {
    let coordinator = world.coordinator("share", Choices { target_s: 600, min_steps: SEGMENT })?;
    let prover = coordinator.site.prover("share-0", 1)?;
    let steps = SEGMENT * SEGMENTS;
    let body = work::body(ROLLUP, usize::try_from(steps)?, 20)?;
    prove(&coordinator, &work::body(ROLLUP, WARM_UP, 21)?)?;
    eprintln!("{SEGMENTS} segments of {SEGMENT} steps of {ROLLUP}");
    let idle = coordinator.process.cpu()?;
    let job = coordinator.submit(ROLLUP, &body)?;
    let (before, prover_before) = (coordinator.process.cpu()?, prover.cpu()?);
    coordinator.wait(job)?;
    let (ours, theirs) = (coordinator.process.cpu()? - before, prover.cpu()? - prover_before);
    let each = |seconds: f64| seconds / steps as f64 * 1e3;
    let what = format!("coordinator CPU per folded step over the prover's, segments of {SEGMENT} steps, {ROLLUP}");
    Ok(vec![
        Measure::new("coordinator_cpu_share", what, ours / theirs, "").at_most(0.03),
        Measure::new("coordinator_cpu_step_ms", "processor time of the coordinator for a step", each(ours), "ms"),
        Measure::new("prover_cpu_step_ms", "processor time of the prover for a step", each(theirs), "ms"),
        Measure::new(
            "submit_cpu_step_ms",
            "executing the job and checking its signatures, once, beside it",
            each(before - idle),
            "ms",
        ),
    ])
}
