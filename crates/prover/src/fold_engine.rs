//! The engine that folds for real.

use crate::engine::{Engine, Failure, Merging, Opening, Proof, Purpose, Size};
use crate::limits::LOADED_PARAMETERS;
use crowdfold_fold::{Error, Parameters, ProverParameters, RangeProof, Segment, merge};
use crowdfold_programs::Program;
use crowdfold_wire::ParametersId;
use rand_core::CryptoRngCore;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Parameters by digest, those used last first.
struct Store<T> {
    loaded: VecDeque<(ParametersId, Arc<T>)>,
    most: usize,
}

impl<T> Store<T> {
    fn new() -> Self {
        Self { loaded: VecDeque::new(), most: LOADED_PARAMETERS }
    }

    fn find(&self, id: &ParametersId) -> Option<&Arc<T>> {
        self.loaded.iter().find(|(other, _)| other == id).map(|(_, parameters)| parameters)
    }

    fn insert(&mut self, id: ParametersId, parameters: Arc<T>) {
        self.loaded.retain(|(other, _)| *other != id);
        self.make_room();
        self.loaded.push_front((id, parameters));
    }

    /// Drops what has to go before another one comes.
    fn make_room(&mut self) {
        self.loaded.truncate(self.most - 1);
    }

    fn keep_at_most(&mut self, most: usize) {
        self.most = most.clamp(1, LOADED_PARAMETERS);
        self.loaded.truncate(self.most);
    }

    /// The same as [`Store::find`], which counts as a use.
    fn take(&mut self, id: &ParametersId) -> Option<Arc<T>> {
        let parameters = Arc::clone(self.find(id)?);
        self.insert(*id, Arc::clone(&parameters));
        Some(parameters)
    }
}

/// Folds and merges with the programs of a registry. It keeps the last [`LOADED_PARAMETERS`] parameters that it loaded,
/// or fewer, see [`Self::keep_at_most`].
pub struct FoldEngine<P: Program> {
    fold: Store<ProverParameters<P>>,
    merge: Store<Parameters<P>>,
}

impl<P: Program> Default for FoldEngine<P> {
    fn default() -> Self {
        Self { fold: Store::new(), merge: Store::new() }
    }
}

impl<P: Program> FoldEngine<P> {
    /// An engine without parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps at most so many parameters for folding, and for merging, from now on: at least one. Where memory is scarce,
    /// that is as many as it has tasks.
    pub fn keep_at_most(&mut self, most: usize) {
        self.fold.keep_at_most(most);
        self.merge.keep_at_most(most);
    }

    /// Takes parameters that the host has loaded itself.
    pub fn provide(&mut self, parameters: Arc<ProverParameters<P>>) {
        self.fold.insert(parameters.digest().into(), parameters);
    }

    /// Takes parameters for merging.
    pub fn provide_for_merging(&mut self, parameters: Arc<Parameters<P>>) {
        self.merge.insert(parameters.prover().digest().into(), parameters);
    }
}

/// A segment being folded.
pub struct FoldSegment<P: Program> {
    program: P,
    segment: Segment<'static, P>,
}

impl<P: Program> fmt::Debug for FoldEngine<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldEngine").field("loaded", &self.loaded()).finish_non_exhaustive()
    }
}

impl<P: Program> fmt::Debug for FoldSegment<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoldSegment").field("count", &self.segment.count()).finish_non_exhaustive()
    }
}

fn failure(error: Error) -> Failure {
    let text = error.to_string();
    match error {
        // A proof that is none, however it came about.
        Error::Invalid(_) | Error::InvalidBatch(_) => Failure::BadProof(text),
        // Blinding can hit a case that a circuit can't express; other randomness does not.
        Error::Synthesis(_) => Failure::Retryable(text),
        _ => Failure::Fatal(text),
    }
}

fn missing(parameters: &ParametersId) -> Failure {
    Failure::Fatal(format!("parameters {parameters} are not loaded"))
}

fn program<P: Program>(name: &str) -> Result<P, Failure> {
    P::from_name(name).ok_or_else(|| Failure::Fatal(format!("there is no program `{name}` here, only {}", P::forms())))
}

fn check_digest(wanted: &ParametersId, found: ParametersId) -> Result<(), Failure> {
    if *wanted == found {
        Ok(())
    } else {
        Err(Failure::Fatal(format!("expected parameters {wanted}, got {found}: fetch them again")))
    }
}

impl<P: Program> Engine for FoldEngine<P> {
    type Segment = FoldSegment<P>;

    fn knows(&self, program: &str) -> bool {
        P::from_name(program).is_some()
    }

    fn loaded(&self) -> Vec<ParametersId> {
        self.fold.loaded.iter().map(|(id, _)| *id).collect()
    }

    fn size(&self, program: &str, parameters: &ParametersId) -> Option<Size> {
        let parameters = self.fold.find(parameters).filter(|parameters| parameters.step().name() == program)?;
        let (step, cyclefold) = (parameters.step_size(), parameters.cyclefold_size());
        // Witness and error vector of both circuits, 32 bytes an element; the rest is small.
        let elements = step.constraints + step.variables + cyclefold.constraints + cyclefold.variables;
        let rest = (4 << 10) + 2 * parameters.step().state_bytes() as u64;
        Some(Size { rows: step.constraints as u64, proof_bytes: 32 * elements as u64 + rest })
    }

    fn merges(&self, program: &str, parameters: &ParametersId) -> bool {
        self.merge.find(parameters).is_some_and(|parameters| parameters.prover().step().name() == program)
    }

    fn load(&mut self, name: &str, parameters: &ParametersId, purpose: Purpose, bytes: &[u8]) -> Result<(), Failure> {
        let program = program::<P>(name)?;
        match purpose {
            Purpose::Fold => {
                self.fold.make_room();
                let loaded = ProverParameters::from_bytes(program, bytes).map_err(failure)?;
                check_digest(parameters, loaded.digest().into())?;
                self.provide(Arc::new(loaded));
            }
            Purpose::Merge => {
                self.merge.make_room();
                let loaded = Parameters::from_bytes(program, bytes).map_err(failure)?;
                check_digest(parameters, loaded.prover().digest().into())?;
                self.provide_for_merging(Arc::new(loaded));
            }
        }
        Ok(())
    }

    fn open(&mut self, opening: &Opening<'_>) -> Result<FoldSegment<P>, Failure> {
        let parameters = self.fold.take(opening.parameters).ok_or_else(|| missing(opening.parameters))?;
        let program = parameters.step().clone();
        if program.name() != opening.program {
            let text = format!("parameters {} are for `{}`", opening.parameters, program.name());
            return Err(Failure::Fatal(text));
        }
        let start = program.decode_state(opening.start).map_err(failure)?;
        let segment = Segment::shared(parameters, opening.context, start).map_err(failure)?;
        Ok(FoldSegment { program, segment })
    }

    fn push(
        &mut self,
        segment: &mut FoldSegment<P>,
        input: &[u8],
        mut rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, Failure> {
        let input = segment.program.decode_input(input).map_err(failure)?;
        segment.segment.push(&input, &mut rng).map_err(failure)?;
        Ok(segment.program.encode_state(segment.segment.state()))
    }

    fn snapshot(&mut self, segment: &FoldSegment<P>, mut rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        segment.segment.snapshot(&mut rng).map(|proof| proof.to_bytes()).map_err(failure)
    }

    fn finish(&mut self, segment: FoldSegment<P>, mut rng: &mut dyn CryptoRngCore) -> Result<Vec<u8>, Failure> {
        segment.segment.finish(&mut rng).map(|proof| proof.to_bytes()).map_err(failure)
    }

    fn merge(&mut self, merging: &Merging<'_>, mut rng: &mut dyn CryptoRngCore) -> Result<Proof, Failure> {
        let parameters = self.merge.take(merging.parameters).ok_or_else(|| missing(merging.parameters))?;
        let read = |bytes| RangeProof::from_bytes(&parameters, bytes).map_err(failure);
        let left = read(merging.left)?;
        let right = merging.right.map(read).transpose()?;
        if left.job() != merging.job {
            return Err(Failure::Fatal("the proofs to merge are of another job".into()));
        }
        let merged = merge(&parameters, &left, right.as_ref(), &mut rng).map_err(failure)?;
        Ok(Proof { steps: merged.count(), bytes: merged.to_bytes() })
    }
}
