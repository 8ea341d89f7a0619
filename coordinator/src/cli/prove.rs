//! `prove`: a job from its bytes to its root proof in this process alone.
//!
//! Threads take runs of steps in order and fold them side by side; neighbours merge as soon as there are two of a level
//! of the tree. So there are never more proofs at hand than threads and two for each level.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use crowdfold_coordinator::chance;
use crowdfold_coordinator::settings::address;
use crowdfold_fold::limits::MAX_SEGMENT_STEPS;
use crowdfold_fold::{Address, Context, Fr, Job, Parameters, RangeProof, Segment, StepFunction, merge, verify};
use crowdfold_programs::{Builtin, Execution, Program as _};
use rand_chacha::ChaCha20Rng;
use rayon::ThreadPool;
use serde_json::json;

use super::exit::Exit;
use super::output::answer;
use super::screen::{Bar, seconds};
use super::signals::Signals;
use super::{files, params};

/// Segments for each thread, where there are many: the last ones end at about the same time then.
const SEGMENTS_PER_THREAD: u64 = 4;
/// The fewest steps of a segment, if it is not chosen and all threads have one: a merge costs as much as some steps.
const FEWEST_STEPS: u64 = 16;
/// The most steps of a segment, if it is not chosen: their inputs lie in memory.
const MOST_STEPS: u64 = 4_096;
/// Threads at most.
const THREADS: u16 = 1_024;
/// Time between two looks at how far it is.
const LOOK: Duration = Duration::from_millis(200);
/// Time between two lines about that, where no line is live.
const TELL: Duration = Duration::from_secs(10);

/// What to prove.
#[derive(Debug, clap::Args)]
pub(crate) struct Prove {
    /// The program, as rollup/1.
    #[arg(long)]
    program: String,
    /// File with the job in bytes; - for standard input.
    #[arg(long)]
    job: PathBuf,
    /// Folder with the parameters of programs.
    #[arg(long, env = "COORDINATOR_PARAMS", default_value = "params")]
    params: PathBuf,
    /// File for the proof.
    #[arg(long)]
    out: PathBuf,
    /// Write over the file if it is there.
    #[arg(long)]
    force: bool,
    /// Threads; 0 for one for each core.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u16).range(0..=i64::from(THREADS)))]
    threads: u16,
    /// Steps of a segment; chosen by the number of threads if not given.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=MAX_SEGMENT_STEPS))]
    segment: Option<u64>,
    /// Address that the proof says has proved it.
    #[arg(long, default_value = "0x0000000000000000000000000000000000000000", value_parser = address)]
    payout: Address,
    /// Chain that the proof is for.
    #[arg(long, env = "COORDINATOR_CHAIN_ID", default_value_t = 31_337)]
    chain_id: u64,
    /// Contract that the proof is for.
    #[arg(long, env = "COORDINATOR_CONTRACT", default_value = "0x0000000000000000000000000000000000000000",
        value_parser = address)]
    contract: Address,
    /// The job's name on the chain: 64 hexadecimal digits. Random if not given.
    #[arg(long, value_parser = job_id)]
    job_id: Option<[u8; 32]>,
}

fn job_id(text: &str) -> Result<[u8; 32], String> {
    let mut id = [0; 32];
    let digits = text.strip_prefix("0x").unwrap_or(text);
    hex::decode_to_slice(digits, &mut id).map_err(|_| "expected 64 hexadecimal digits".to_owned())?;
    Ok(id)
}

/// Proves until it is done or a signal comes; a second signal doesn't wait for the step under way.
pub(crate) async fn run(order: Prove, json: bool) -> anyhow::Result<()> {
    let mut signals = Signals::watch()?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let mut proving = tokio::task::spawn_blocking(move || prove(&order, json, &stopped));
    tokio::select! {
        proved = &mut proving => return proved?,
        () = signals.next() => stop.store(true, Ordering::Relaxed),
    }
    tokio::select! {
        proved = proving => proved?,
        () = signals.next() => Err(interrupted()),
    }
}

fn interrupted() -> anyhow::Error {
    Exit::Interrupted.error("interrupted: nothing was written")
}

/// Where the time went. That of threads is added up.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    loading: Duration,
    executing: Duration,
    folding: Duration,
    merging: Duration,
    verifying: Duration,
    writing: Duration,
    all: Duration,
}

fn prove(order: &Prove, json: bool, stop: &AtomicBool) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut times = Times::default();
    files::check_new(&order.out, order.force)?;
    let program = params::program(&order.program)?;
    let job = files::read(&order.job, program.max_job_bytes() as u64)?;
    // Whatever is wrong with the job shows here, long before it would in a circuit.
    let executing = Instant::now();
    let mut execution = program.plan(&job)?.execute(&program);
    let (start, mut steps) = (execution.state().to_vec(), 0);
    for step in execution.by_ref() {
        step?;
        steps += 1;
        if stop.load(Ordering::Relaxed) {
            return Err(interrupted());
        }
    }
    let end = execution.state().to_vec();
    times.executing = executing.elapsed();
    let loading = Instant::now();
    let parameters = params::of_program(&order.params, &order.program)?;
    times.loading = loading.elapsed();
    let job_id = order.job_id.map_or_else(chance::bytes, Ok)?;
    let name = Job { chain_id: order.chain_id, contract: order.contract, job_id };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if order.threads == 0 { cores() } else { usize::from(order.threads) };
    let length = order.segment.unwrap_or_else(|| length(steps, threads));
    let work = Work {
        pool: rayon::ThreadPoolBuilder::new().num_threads(threads).build().context("threads can't be started")?,
        context: Context { job: name, prover: order.payout },
        length,
        cut: Mutex::new((0, program.plan(&job)?.execute(&program))),
        tree: Mutex::default(),
        parameters,
        stop,
    };
    if !json {
        eprintln!("proving {steps} steps of {} in segments of {length}, {threads} at once", order.program);
    }
    let root = work.run(threads, steps, json, &mut times)?;
    let verifying = Instant::now();
    verify(&work.parameters, &root, &mut chance::generator()?).context("what was proved")?;
    let is_whole = root.start() == start && root.end() == end && root.count() == steps && *root.job() == name;
    anyhow::ensure!(is_whole, "the proof does not say what the job is");
    times.verifying = verifying.elapsed();
    let writing = Instant::now();
    let bytes = root.to_bytes();
    files::write(&order.out, &bytes)?;
    times.writing = writing.elapsed();
    times.all = begun.elapsed();
    tell(order, &work, &root, &times, threads, bytes.len(), json)
}

/// Steps of a segment, if it is not chosen.
fn length(steps: u64, threads: usize) -> u64 {
    let threads = threads as u64;
    // One thread gains nothing by a merge.
    let most = if threads == 1 { 1 } else { SEGMENTS_PER_THREAD * threads };
    let segments = (steps / FEWEST_STEPS).clamp(threads, most);
    steps.div_ceil(segments).clamp(1, MOST_STEPS)
}

/// A run of steps for one thread.
struct Part {
    index: u64,
    start: Vec<Fr>,
    inputs: Vec<<Builtin as StepFunction>::Input>,
}

/// Proofs that wait for their neighbours: by level of the tree and place in it.
#[derive(Debug, Default)]
struct Tree(BTreeMap<(u32, u64), RangeProof>);

impl Tree {
    /// Takes a proof in, or gives it back with its neighbour.
    fn put(&mut self, level: u32, place: u64, proof: RangeProof) -> Option<(RangeProof, RangeProof)> {
        match self.0.remove(&(level, place ^ 1)) {
            Some(neighbour) if place.is_multiple_of(2) => Some((proof, neighbour)),
            Some(neighbour) => Some((neighbour, proof)),
            None => {
                self.0.insert((level, place), proof);
                None
            }
        }
    }

    /// What is left when all are in, in the order of their steps: one, unless their number is no power of two.
    fn rest(self) -> Vec<RangeProof> {
        let mut rest: Vec<_> = self.0.into_iter().map(|((level, place), proof)| (place << level, proof)).collect();
        rest.sort_by_key(|(first, _)| *first);
        rest.into_iter().map(|(_, proof)| proof).collect()
    }
}

/// What a thread tells.
enum News {
    Folded(Duration),
    Merged(Duration),
}

/// What all threads share.
struct Work<'a> {
    pool: ThreadPool,
    parameters: Parameters<Builtin>,
    context: Context,
    length: u64,
    /// The next part's number, and the job from there on.
    cut: Mutex<(u64, Execution<Builtin>)>,
    tree: Mutex<Tree>,
    stop: &'a AtomicBool,
}

impl Work<'_> {
    /// Folds and merges all of it.
    fn run(&self, threads: usize, steps: u64, json: bool, times: &mut Times) -> anyhow::Result<RangeProof> {
        let (tell, news) = mpsc::channel();
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    let tell = tell.clone();
                    scope.spawn(move || {
                        let done = self.fold(&tell);
                        if done.is_err() {
                            self.stop.store(true, Ordering::Relaxed);
                        }
                        done
                    })
                })
                .collect();
            drop(tell);
            follow(&news, steps, json, times);
            let ended = workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(broken())));
            // One that failed stops the others: what it says counts, not that they were stopped.
            let failures: Vec<_> = ended.filter_map(Result::err).collect();
            let is_own = |error: &anyhow::Error| super::exit::of(error) != Exit::Interrupted;
            let own = failures.iter().position(is_own).unwrap_or(0);
            failures.into_iter().nth(own).map_or(Ok(()), Err)
        })?;
        let tree = std::mem::take(&mut *self.tree.lock().unwrap_or_else(PoisonError::into_inner));
        let mut rng = chance::generator()?;
        let mut rest = tree.rest().into_iter().rev();
        let mut root = rest.next().context("the job has no steps")?;
        for left in rest {
            let (merged, time) = self.merge(&left, &root, &mut rng)?;
            times.merging += time;
            root = merged;
        }
        Ok(root)
    }

    /// What one thread does.
    fn fold(&self, tell: &Sender<News>) -> anyhow::Result<()> {
        let mut rng = chance::generator()?;
        while let Some(part) = self.part()? {
            let mut segment = Segment::new(self.parameters.prover(), self.context, part.start)?;
            for input in &part.inputs {
                self.go_on()?;
                let begun = Instant::now();
                // A step at a time, so that threads of the pool never stack up long work.
                self.pool.install(|| segment.push(input, &mut rng))?;
                // Whoever listens ends after this.
                _ = tell.send(News::Folded(begun.elapsed()));
            }
            let mut proof = self.pool.install(|| segment.finish(&mut rng))?;
            let (mut level, mut place) = (0, part.index);
            while let Some((left, right)) = {
                let mut tree = self.tree.lock().unwrap_or_else(PoisonError::into_inner);
                tree.put(level, place, proof)
            } {
                let (merged, time) = self.merge(&left, &right, &mut rng)?;
                _ = tell.send(News::Merged(time));
                proof = merged;
                (level, place) = (level + 1, place / 2);
            }
        }
        Ok(())
    }

    fn merge(
        &self,
        left: &RangeProof,
        right: &RangeProof,
        rng: &mut ChaCha20Rng,
    ) -> anyhow::Result<(RangeProof, Duration)> {
        self.go_on()?;
        let begun = Instant::now();
        let merged = self.pool.install(|| merge(&self.parameters, left, Some(right), rng))?;
        Ok((merged, begun.elapsed()))
    }

    /// The next steps of the job.
    fn part(&self) -> anyhow::Result<Option<Part>> {
        let mut cut = self.cut.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, execution) = &mut *cut;
        let start = execution.state().to_vec();
        let mut inputs = Vec::new();
        while (inputs.len() as u64) < self.length {
            match execution.next().transpose()? {
                Some(step) => inputs.push(step.input),
                None => break,
            }
        }
        if inputs.is_empty() {
            return Ok(None);
        }
        let part = Part { index: *index, start, inputs };
        *index += 1;
        Ok(Some(part))
    }

    fn go_on(&self) -> anyhow::Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(interrupted()) } else { Ok(()) }
    }
}

/// Shows how far it is, until no thread has anything to tell.
fn follow(news: &Receiver<News>, steps: u64, json: bool, times: &mut Times) {
    let (bar, begun) = (Bar::new(steps, json), Instant::now());
    let (mut folded, mut told) = (0, begun);
    loop {
        match news.recv_timeout(LOOK) {
            Ok(News::Folded(time)) => {
                folded += 1;
                times.folding += time;
            }
            Ok(News::Merged(time)) => times.merging += time,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        bar.set("proving", folded, &left(begun.elapsed(), folded, steps));
        if !json && !bar.is_shown() && told.elapsed() > TELL {
            eprintln!("{folded} of {steps} steps folded{}", left(begun.elapsed(), folded, steps));
            told = Instant::now();
        }
    }
    bar.clear();
}

fn broken() -> anyhow::Error {
    anyhow::anyhow!("a thread broke down: this is a defect")
}

/// The time that the rest will take, in words.
fn left(elapsed: Duration, folded: u64, steps: u64) -> String {
    let rest = u128::from(steps.saturating_sub(folded));
    match elapsed.as_millis().checked_mul(rest).and_then(|all| all.checked_div(u128::from(folded))) {
        Some(left) => format!(", {} left", seconds(u64::try_from(left / 1000).unwrap_or(u64::MAX))),
        None => String::new(),
    }
}

/// Says what was proved, and where the time went.
fn tell(
    order: &Prove,
    work: &Work<'_>,
    root: &RangeProof,
    times: &Times,
    threads: usize,
    bytes: usize,
    json: bool,
) -> anyhow::Result<()> {
    let program = work.parameters.prover().step();
    let state = |state: &[Fr]| hex::encode(program.encode_state(state));
    let job = root.job();
    let segments = root.receipts().len();
    let parts = [
        ("loading", times.loading),
        ("executing", times.executing),
        ("folding", times.folding),
        ("merging", times.merging),
        ("verifying", times.verifying),
        ("writing", times.writing),
    ];
    let (file, [start, end]) = (order.out.display().to_string(), [root.start(), root.end()].map(state));
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let spent = parts.into_iter().chain([("all", times.all)]);
    let spent: serde_json::Map<_, _> = spent.map(|(what, time)| (format!("{what}_ms"), ms(time).into())).collect();
    let object = json!({
        "file": file, "bytes": bytes, "program": order.program, "steps": root.count(), "segments": segments,
        "threads": threads, "start": start, "end": end, "chain_id": job.chain_id,
        "contract": format!("0x{}", hex::encode(job.contract.0)), "job_id": hex::encode(job.job_id),
        "insecure": work.parameters.prover().is_insecure(), "times": spent,
    });
    let parts = parts.map(|(what, time)| format!("{what} {:.1} s", time.as_secs_f64())).join(", ");
    let text = [
        format!("{file}: {} steps of {} in {segments} segments, {bytes} bytes", root.count(), order.program),
        format!("job id: {}\nstart: {start}\nend: {end}", hex::encode(job.job_id)),
        format!("time: {:.1} s with {threads} threads, in which {parts}", times.all.as_secs_f64()),
    ];
    answer(json, &object, text.join("\n"))?;
    if work.parameters.prover().is_insecure() {
        eprintln!("{}", params::INSECURE);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{MOST_STEPS, left, length};
    use std::time::Duration;

    #[test]
    fn segments_keep_all_threads_busy() {
        assert_eq!(length(1_000, 1), 1_000, "one thread merges nothing");
        assert_eq!(length(1_000, 4), 63);
        assert_eq!(length(130, 4), 17);
        assert_eq!(length(10, 4), 3);
        assert_eq!(length(1, 4), 1);
        assert_eq!(length(1 << 40, 4), MOST_STEPS);
    }

    #[test]
    fn the_time_left_follows_from_the_time_so_far() {
        assert_eq!(left(Duration::from_secs(10), 5, 20), ", 30 s left");
        assert_eq!(left(Duration::from_secs(10), 0, 20), "");
    }
}
