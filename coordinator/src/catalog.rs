//! The programs that this coordinator proves, with their parameters.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use crowdfold_fold::{Error, Parameters, StepFunction as _};
use crowdfold_programs::{Builtin, Program as _};
use crowdfold_wire::ParametersId;

/// One program.
#[derive(Debug)]
pub struct Entry {
    /// Its parameters, for verifying and merging.
    pub parameters: Parameters<Builtin>,
    /// Their digest.
    pub id: ParametersId,
    /// Its name.
    pub name: String,
    /// Whether it only serves jobs that began with these parameters, as others took their place.
    pub is_draining: bool,
    /// Rows of a step circuit, in which work is measured and credit is given.
    pub rows: u64,
    /// The largest proof of one segment, in bytes, with some room.
    pub proof_bytes: u64,
    /// What a prover of segments loads.
    pub fold_file: Bytes,
    /// What a prover that merges loads.
    pub merge_file: Bytes,
}

impl Entry {
    /// The parameters of a program, ready to be served.
    pub fn new(parameters: Parameters<Builtin>) -> Self {
        let prover = parameters.prover();
        let (step, cyclefold) = (prover.step_size(), prover.cyclefold_size());
        let elements = step.constraints + step.variables + cyclefold.constraints + cyclefold.variables;
        Self {
            id: prover.digest().into(),
            name: prover.step().name(),
            is_draining: false,
            rows: step.constraints as u64,
            // 32 bytes for each element of both witnesses; the rest is small.
            proof_bytes: 32 * elements as u64 + (64 << 10) + 2 * prover.step().state_bytes() as u64,
            fold_file: Bytes::from(prover.to_bytes()),
            merge_file: Bytes::from(parameters.to_bytes()),
            parameters,
        }
    }
}

/// Why parameters could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The folder or a file can't be read.
    #[error("{path}: {error}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        error: std::io::Error,
    },
    /// A file is not what its name says.
    #[error("{path}: {error}")]
    Parameters {
        /// Which.
        path: String,
        /// What is wrong.
        error: Error,
    },
    /// A file is named after no program.
    #[error("{path} is named after no program: expected {expected}, with / written as +, then .params or ~WORD.params")]
    Name {
        /// Which.
        path: String,
        /// What names look like.
        expected: String,
    },
}

/// The programs by name, with the parameters for new jobs, and all parameters by digest.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    by_name: BTreeMap<String, Arc<Entry>>,
    by_id: BTreeMap<ParametersId, Arc<Entry>>,
}

/// The name of a program's file: `rollup/1` becomes `rollup+1.params`.
pub fn file_name(program: &str) -> String {
    format!("{}.params", program.replace('/', "+"))
}

impl Catalog {
    /// The programs whose parameters lie in a folder. `NAME.params` is for new jobs; `NAME~WORD.params`, with any word,
    /// only for jobs that began with it.
    ///
    /// # Errors
    /// [`CatalogError`] for the first file that can't be loaded.
    pub fn load(folder: &Path) -> Result<Self, CatalogError> {
        let io = |path: &Path, error| CatalogError::Io { path: path.display().to_string(), error };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| io(folder, error))? {
            let path = entry.map_err(|error| io(folder, error))?.path();
            if path.extension().is_some_and(|extension| extension == "params") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut catalog = Self::default();
        for path in paths {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().replace('+', "/");
            let (stem, is_draining) = stem.split_once('~').map_or((&stem[..], false), |(stem, _)| (stem, true));
            let named = || CatalogError::Name { path: path.display().to_string(), expected: Builtin::forms() };
            let program = Builtin::from_name(stem).ok_or_else(named)?;
            let bytes = std::fs::read(&path).map_err(|error| io(&path, error))?;
            let parameters = Parameters::from_bytes(program, &bytes)
                .map_err(|error| CatalogError::Parameters { path: path.display().to_string(), error })?;
            catalog.add(Entry { is_draining, ..Entry::new(parameters) });
        }
        Ok(catalog)
    }

    /// Adds a program. Parameters that are for new jobs and draining are for new jobs.
    pub fn add(&mut self, entry: Entry) {
        let entry = Arc::new(entry);
        if !entry.is_draining {
            self.by_name.insert(entry.name.clone(), Arc::clone(&entry));
            self.by_id.insert(entry.id, entry);
        } else {
            self.by_id.entry(entry.id).or_insert(entry);
        }
    }

    /// A program by its name, with the parameters for new jobs.
    pub fn named(&self, program: &str) -> Option<&Arc<Entry>> {
        self.by_name.get(program)
    }

    /// A program by the digest of its parameters.
    pub fn of(&self, id: ParametersId) -> Option<&Arc<Entry>> {
        self.by_id.get(&id)
    }

    /// All of them, those that are draining among them.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.by_id.values()
    }
}
