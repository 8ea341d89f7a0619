//! `job`.

use std::path::{Path, PathBuf};

use clap::{Subcommand, ValueEnum};
use crowdfold_coordinator::chance;
use crowdfold_coordinator::store::limits::PROOF_BYTES;
use serde_json::{Value, json};

use super::exit::Exit;
use super::output::{answer, say};
use super::remote::{Remote, RemoteArgs};
use super::verify::{self, Verified};
use super::{files, watch};

/// Bytes of a job that is handed in. A coordinator may take fewer.
const JOB_BYTES: u64 = 1 << 30;

/// What to do with jobs.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Hand in a job and print its number.
    Submit(Submit),
    /// Show how a job is.
    Show(One),
    /// Follow a job to its end; the exit code tells which. Goes on when the coordinator comes back after a restart.
    Watch(One),
    /// List jobs, the newest first.
    List(List),
    /// Cancel a job.
    Cancel(One),
    /// Fetch the proof of a job that is done.
    Proof(Proof),
}

/// A job.
#[derive(Debug, clap::Args)]
pub(crate) struct One {
    /// Its number.
    job: u64,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// How a job is written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// As its program defines it, in bytes.
    Binary,
    /// As its program defines it, in JSON.
    Json,
}

/// What to hand in.
#[derive(Debug, clap::Args)]
pub(crate) struct Submit {
    /// File with the job; - for standard input.
    file: PathBuf,
    /// Its program, as rollup/1.
    #[arg(long)]
    program: String,
    /// How the job is written; json if not given for a file whose name ends so, else binary.
    #[arg(long)]
    form: Option<Form>,
    /// Seconds from now after which nobody wants the proof.
    #[arg(long)]
    deadline: Option<u64>,
    /// What is paid, in thousandths of the going rate.
    #[arg(long)]
    bounty: Option<u32>,
    /// Place among the client's jobs, where they are a sequence; the lowest is proved first.
    #[arg(long)]
    height: Option<u64>,
    /// Text that names this request: with the same one a repeated request makes no second job. Random if not given.
    #[arg(long)]
    idempotency_key: Option<String>,
    /// Wait for the job's end; the exit code tells which.
    #[arg(long)]
    wait: bool,
    /// Wait for the job's end and show how it comes.
    #[arg(long)]
    watch: bool,
    /// Wait for the job's end, and write its proof to a new file.
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// How a job can be.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    Open,
    Done,
    Cancelled,
    Expired,
    Failed,
}

/// Which jobs.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// Only those that are so.
    #[arg(long)]
    state: Option<State>,
    /// Only those of this program.
    #[arg(long)]
    program: Option<String>,
    /// Only those before this number.
    #[arg(long)]
    before: Option<u64>,
    /// At most so many; the coordinator has a limit of its own.
    #[arg(long)]
    limit: Option<u32>,
    /// Those of all clients, for administrators.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Which proof, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Proof {
    /// The job's number.
    job: u64,
    /// File for the proof.
    #[arg(long)]
    out: PathBuf,
    /// Write over the file if it is there.
    #[arg(long)]
    force: bool,
    /// Folder with the parameters of programs: verifies the proof, and that it is the job's, before it is written.
    #[arg(long)]
    params: Option<PathBuf>,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// Does it.
pub(crate) fn run(task: &Task, json: bool) -> anyhow::Result<()> {
    match task {
        Task::Submit(task) => submit(task, json),
        Task::Show(task) => {
            let job = task.remote.remote()?.get(&path(task.job), &[])?;
            answer(json, &job, text_of(&job))
        }
        Task::Watch(task) => watch::to_the_end(&task.remote.remote()?, task.job, watch::Shown::Progress, json),
        Task::List(task) => list(task, json),
        Task::Cancel(task) => {
            let said = task.remote.remote()?.delete(&path(task.job))?;
            answer(json, &said, format!("job {} is cancelled", task.job))
        }
        Task::Proof(task) => {
            files::check_new(&task.out, task.force)?;
            let bytes = fetch(&task.remote.remote()?, task.job, &task.out, task.params.as_deref())?;
            let file = task.out.display().to_string();
            let text = format!("{file}: {bytes} bytes");
            answer(json, &json!({ "job": task.job, "file": file, "bytes": bytes }), text)
        }
    }
}

/// The path of a job.
pub(crate) fn path(job: u64) -> String {
    format!("/v1/jobs/{job}")
}

fn submit(order: &Submit, json: bool) -> anyhow::Result<()> {
    if let Some(out) = &order.proof {
        files::check_new(out, false)?;
    }
    let remote = order.remote.remote()?;
    let body = files::read(&order.file, JOB_BYTES)?;
    let is_json = match order.form {
        Some(form) => matches!(form, Form::Json),
        None => order.file.extension().is_some_and(|extension| extension == "json"),
    };
    let key = match &order.idempotency_key {
        Some(key) => key.clone(),
        None => hex::encode(chance::bytes::<16>()?),
    };
    let mut query = vec![("program", order.program.clone())];
    let numbers = [("deadline_s", order.deadline), ("bounty", order.bounty.map(u64::from)), ("height", order.height)];
    query.extend(numbers.into_iter().filter_map(|(name, value)| Some((name, value?.to_string()))));
    let form = if is_json { "application/json" } else { "application/octet-stream" };
    let headers = [("content-type", form), ("idempotency-key", key.as_str())];
    let accepted = remote.post("/v1/jobs", &query, &headers, &body).map_err(|error| {
        // Whether it was accepted is not known then, and asking again is safe with the same key.
        let is_unknown = super::exit::of(&error) == Exit::Unreachable;
        if is_unknown { error.context(format!("repeat it with --idempotency-key {key}")) } else { error }
    })?;
    let Some(job) = accepted["job"].as_u64() else {
        anyhow::bail!("the coordinator answers without a job's number: {accepted}");
    };
    answer(json, &accepted, job)?;
    if order.watch {
        watch::to_the_end(&remote, job, watch::Shown::Progress, json)?;
    } else if order.wait || order.proof.is_some() {
        watch::to_the_end(&remote, job, watch::Shown::Nothing, json)?;
    }
    if let Some(out) = &order.proof {
        let bytes = fetch(&remote, job, out, None)?;
        if json {
            say(json!({ "job": job, "file": out.display().to_string(), "bytes": bytes }))?;
        }
    }
    Ok(())
}

/// Writes a job's proof to a file, and says how many bytes it has.
fn fetch(remote: &Remote, job: u64, out: &Path, params: Option<&Path>) -> anyhow::Result<usize> {
    let bytes = remote.bytes(&format!("{}/proof", path(job)), PROOF_BYTES)?;
    if let Some(params) = params {
        let about = remote.get(&path(job), &[])?;
        let verified = verify::verify(&bytes, params, about["program"].as_str())?;
        compare(&verified, &about)?;
    }
    files::write(out, &bytes)?;
    Ok(bytes.len())
}

/// That a proof is of the job that the coordinator says it is.
fn compare(verified: &Verified, job: &Value) -> anyhow::Result<()> {
    let proof = verified.json();
    let same = [("start", "start"), ("end", "end"), ("count", "steps"), ("chain_id", "chain_id")];
    let same = same.into_iter().chain([("contract", "contract"), ("job_id", "job_id"), ("parameters", "parameters")]);
    for (of_proof, of_job) in same {
        if proof[of_proof] != job[of_job] {
            let (found, expected) = (&proof[of_proof], &job[of_job]);
            return Err(Exit::NotValid.error(format!("the proof's {of_proof} is {found}, the job's {expected}")));
        }
    }
    Ok(())
}

fn list(list: &List, json: bool) -> anyhow::Result<()> {
    let state = list.state.and_then(|state| Some(state.to_possible_value()?.get_name().to_owned()));
    let query = [
        ("state", state),
        ("program", list.program.clone()),
        ("before", list.before.map(|before| before.to_string())),
        ("limit", list.limit.map(|limit| limit.to_string())),
        ("all", list.all.then(|| "true".to_owned())),
    ];
    let query: Vec<_> = query.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    let page = list.remote.remote()?.get("/v1/jobs", &query)?;
    if json {
        return say(page);
    }
    for job in page["jobs"].as_array().into_iter().flatten() {
        let text = |key: &str| job[key].as_str().unwrap_or_default().to_owned();
        let (job, covered, steps) = (&job["job"], &job["covered"], &job["steps"]);
        say(format!("{job:>8}  {:9}  {covered}/{steps} steps  {}", text("state"), text("program")))?;
    }
    if let Some(before) = page["before"].as_u64() {
        eprintln!("there are more: --before {before}");
    }
    Ok(())
}

/// A job for people: a line for each thing that is known of it.
fn text_of(job: &Value) -> String {
    let line = |(key, value): (&String, &Value)| match value {
        Value::Null => None,
        Value::String(text) => Some(format!("{key}: {text}")),
        other => Some(format!("{key}: {other}")),
    };
    job.as_object().into_iter().flatten().filter_map(line).collect::<Vec<_>>().join("\n")
}
