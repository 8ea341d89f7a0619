//! `params`.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Subcommand;
use crowdfold_coordinator::catalog::file_name;
use crowdfold_coordinator::chance;
use crowdfold_fold::srs::Origin;
use crowdfold_fold::{Parameters, ProgramId, Srs};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_wire::ParametersId;
use serde_json::{Value, json};

use super::exit::Exit;
use super::output::answer;
use super::{files, mirror};

/// What is printed wherever parameters for development are used.
pub(crate) const INSECURE: &str =
    "!! INSECURE: these powers of tau are for development. Anyone can forge proofs with them.";
/// Bytes of a file of parameters: the largest that there are have 1.3 GB.
const PARAMETERS_BYTES: u64 = 4 << 30;
/// Bytes read of powers of tau at once: files of ceremonies have gigabytes.
const BUFFER_BYTES: usize = 1 << 20;
/// Hexadecimal digits of its digest in the name of a file that another has taken the place of.
const DIGITS: usize = 8;

/// What to do with parameters.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Make the parameters of a program. Those that were there stay as NAME~DIGEST.params, for jobs that need them.
    Make(Make),
    /// Check files of parameters, and say what they are.
    Check(Check),
    /// Serve a folder's parameters to provers, as an origin for a mirror or a content delivery network.
    Serve(mirror::Serve),
}

/// Powers of tau.
#[derive(Debug, clap::Args)]
struct Powers {
    /// How many powers of tau to read.
    #[arg(long, default_value_t = 1 << 16)]
    powers: usize,
    /// The SHA-256 of the file with powers of tau, as its ceremony published it.
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    sha256: Option<[u8; 32]>,
}

/// What to make.
#[derive(Debug, clap::Args)]
pub(crate) struct Make {
    /// The program, as rollup/1.
    program: String,
    /// File with powers of tau.
    #[arg(long)]
    srs: PathBuf,
    #[command(flatten)]
    powers: Powers,
    /// Folder for the result.
    #[arg(long, env = "COORDINATOR_PARAMS", default_value = "params")]
    out: PathBuf,
}

/// What to check.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    /// The files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Their program, where the names of the files don't say.
    #[arg(long)]
    program: Option<String>,
    /// File with powers of tau: makes the parameters anew and compares.
    #[arg(long)]
    srs: Option<PathBuf>,
    #[command(flatten)]
    powers: Powers,
}

/// Does it.
pub(crate) async fn run(task: &Task, json: bool) -> anyhow::Result<()> {
    match task {
        Task::Make(task) => make(task, json),
        Task::Check(task) => check(task, json),
        Task::Serve(task) => mirror::run(task, json).await,
    }
}

/// A program by its name.
pub(crate) fn program(name: &str) -> anyhow::Result<Builtin> {
    let expected = || Exit::NotFound.error(format!("there is no program `{name}`: expected {}", Builtin::forms()));
    Builtin::from_name(name).ok_or_else(expected)
}

/// The program that a file of parameters is named after, in its place or kept beside it.
fn named_after(path: &Path) -> Option<String> {
    let stem = path.file_stem()?.to_str()?;
    Some(stem.split_once('~').map_or(stem, |(name, _)| name).replace('+', "/"))
}

/// Reads parameters, and checks the digest of every part.
///
/// # Errors
/// [`Exit::NotFound`] without the file, [`Exit::Failure`] if it is not whole: that says nothing about a proof.
pub(crate) fn load(path: &Path, program: Builtin) -> anyhow::Result<Parameters<Builtin>> {
    let bytes = files::read(path, PARAMETERS_BYTES)?;
    Parameters::from_bytes(program, &bytes).with_context(|| format!("{} can't be used", path.display()))
}

/// The parameters of a program in a folder that are in use.
pub(crate) fn of_program(folder: &Path, name: &str) -> anyhow::Result<Parameters<Builtin>> {
    load(&folder.join(file_name(name)), program(name)?)
}

/// Files of parameters in a folder, with their programs: of all, or of one, those in use before those that are kept.
pub(crate) fn of_folder(folder: &Path, only: Option<&str>) -> anyhow::Result<Vec<(PathBuf, Builtin)>> {
    let read = || format!("{} can't be read", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(read)? {
        let path = entry.with_context(read)?.path();
        let Some(name) = named_after(&path).filter(|_| path.extension().is_some_and(|kind| kind == "params")) else {
            continue;
        };
        if only.is_none_or(|only| only == name)
            && let Some(program) = Builtin::from_name(&name)
        {
            found.push((path, program));
        }
    }
    found.sort_by_key(|(path, _)| (path.to_string_lossy().contains('~'), path.clone()));
    Ok(found)
}

fn id(parameters: &Parameters<Builtin>) -> ParametersId {
    parameters.prover().digest().into()
}

fn read_srs(path: &Path, powers: &Powers) -> anyhow::Result<Srs> {
    let file = File::open(path).with_context(|| format!("{} can't be read", path.display()))?;
    let reader = BufReader::with_capacity(BUFFER_BYTES, file);
    let read = Srs::read_ptau(reader, powers.powers, powers.sha256, &mut chance::generator()?);
    let srs = read.map_err(|error| Exit::NotValid.error(format!("{}: {error}", path.display())))?;
    match srs.origin() {
        Origin::InsecureDevelopment => eprintln!("{INSECURE}"),
        Origin::Ceremony { pinned: false, .. } => {
            eprintln!("{}: compare this with what the ceremony published, and pass it with --sha256", srs.origin());
        }
        Origin::Ceremony { pinned: true, .. } => {}
    }
    Ok(srs)
}

fn make(make: &Make, json: bool) -> anyhow::Result<()> {
    let program = program(&make.program)?;
    let path = make.out.join(file_name(&make.program));
    let srs = read_srs(&make.srs, &make.powers)?;
    let parameters = Parameters::generate(program.clone(), &srs)?;
    let kept = if path.exists() { keep(&path, program, &parameters)? } else { None };
    files::write(&path, &parameters.to_bytes())?;
    let kept = kept.map(|kept| kept.display().to_string());
    let mut text = format!("{}: {}", path.display(), id(&parameters));
    if let Some(kept) = &kept {
        text += &format!("\n{kept}: those that were there, for jobs that need them");
    }
    let mut made = about(&path, &parameters);
    made["kept"] = kept.into();
    answer(json, &made, text)
}

/// Gives a file whose place others will take a name of its own. At every moment there is one of the old name.
fn keep(path: &Path, program: Builtin, new: &Parameters<Builtin>) -> anyhow::Result<Option<PathBuf>> {
    let there = load(path, program).context("what is there can't be kept: move it away")?;
    // Circuits of another version are not in this program, so nobody here could go on with their jobs.
    if there.prover().program() != new.prover().program() || there.merge_size() != new.merge_size() {
        let path = path.display();
        return Err(Exit::Conflict.error(format!(
            "{path} is of another version of the circuits: let the old coordinator end its jobs, and move it away"
        )));
    }
    let old = id(&there);
    if old == id(new) {
        return Ok(None);
    }
    let digest = old.to_string();
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let kept = path.with_file_name(format!("{stem}~{}.params", digest.get(..DIGITS).unwrap_or(&digest)));
    if !kept.exists() {
        files::write(&kept, &files::read(path, PARAMETERS_BYTES)?)?;
    }
    Ok(Some(kept))
}

/// What is known of parameters.
fn about(path: &Path, parameters: &Parameters<Builtin>) -> Value {
    let prover = parameters.prover();
    let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
    json!({
        "file": path.display().to_string(), "program": crowdfold_fold::StepFunction::name(prover.step()),
        "parameters": id(parameters).to_string(), "insecure": prover.is_insecure(), "bytes": bytes,
        "fold_bytes": prover.to_bytes().len(), "step_rows": prover.step_size().constraints,
        "merge_rows": parameters.merge_size().constraints, "cyclefold_rows": prover.cyclefold_size().constraints,
    })
}

fn check(check: &Check, json: bool) -> anyhow::Result<()> {
    let srs = check.srs.as_deref().map(|path| read_srs(path, &check.powers)).transpose()?;
    for path in &check.files {
        let name = check.program.clone().or_else(|| named_after(path)).unwrap_or_default();
        let program = program(&name).with_context(|| format!("{}", path.display()))?;
        let invalid = |why: String| Exit::NotValid.error(format!("{}: {why}", path.display()));
        let bytes = files::read(path, PARAMETERS_BYTES)?;
        let parameters = Parameters::from_bytes(program.clone(), &bytes).map_err(|error| invalid(error.to_string()))?;
        if ProgramId::of(&program)? != parameters.prover().program() {
            return Err(invalid("it is made from another version of the program's circuit: make it anew".into()));
        }
        if let Some(srs) = &srs {
            let expected = id(&Parameters::generate(program, srs)?);
            if expected != id(&parameters) {
                return Err(invalid(format!(
                    "these powers of tau give parameters {expected}, not {}",
                    id(&parameters)
                )));
            }
        }
        let mut about = about(path, &parameters);
        about["compared"] = srs.is_some().into();
        let sizes = ["bytes", "fold_bytes", "step_rows", "merge_rows", "cyclefold_rows"];
        let sizes = sizes.map(|key| format!("{key} {}", about[key])).join(", ");
        let mut text = format!("{}: {name}, parameters {}\n  {sizes}", path.display(), id(&parameters));
        if srs.is_some() {
            text += "\n  made from these powers of tau by these circuits";
        }
        answer(json, &about, text)?;
        if parameters.prover().is_insecure() {
            eprintln!("{INSECURE}");
        }
    }
    Ok(())
}

fn sha256(text: &str) -> Result<[u8; 32], String> {
    let mut hash = [0; 32];
    hex::decode_to_slice(text, &mut hash).map_err(|_| "expected a SHA-256 as 64 hexadecimal digits".to_owned())?;
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::named_after;
    use std::path::Path;

    #[test]
    fn files_are_named_after_programs() {
        for (file, name) in [
            ("params/rollup+1.params", "rollup/1"),
            ("rollup+1~0123abcd.params", "rollup/1"),
            ("squarings+1+7.params", "squarings/1/7"),
        ] {
            assert_eq!(named_after(Path::new(file)).as_deref(), Some(name));
        }
    }
}
