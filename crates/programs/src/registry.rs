//! Sets of programs: one type for many, chosen by name.

use crate::Squarings;
use crate::rollup::Rollup;

crate::registry! {
    /// The programs that come with Crowdfold. Coordinators and provers know them by their names.
    pub enum Builtin;
    /// An input of a step of a [`Builtin`].
    pub enum BuiltinInput;

    Squarings(Squarings),
    Rollup(Rollup),
}

/// Makes one program of many: an enum with a variant for each, which is a [`Program`](crate::Program) itself, and an
/// enum of their inputs.
///
/// A line is the name of a variant with the program's type, which has to be in scope or written as a path. Names,
/// circuits, codecs and limits are those of the program in the variant, so a program's
/// [`ProgramId`](crowdfold_fold::ProgramId) and the digest of its parameters are the same by itself and in every
/// registry. Registries can be lines of other registries.
///
/// No two programs may accept the same name: the first would take it. An input that is another program's is refused by
/// `apply` and by the circuit, and its encoding is empty.
///
/// ```
/// use crowdfold_fold::StepFunction;
/// use crowdfold_programs::{Builtin, Program, Squarings};
///
/// crowdfold_programs::registry! {
///     /// What our network proves.
///     pub enum Ours;
///     /// An input of one of its steps.
///     pub enum OurInput;
///
///     Squarings(Squarings),
///     Others(Builtin),
/// }
///
/// let program = Ours::from_name("squarings/1/10").expect("it is in the list");
/// assert!(matches!(program, Ours::Squarings(_)));
/// assert_eq!(program.name(), "squarings/1/10");
/// ```
#[macro_export]
macro_rules! registry {
    (
        $(#[$attribute:meta])* $visibility:vis enum $programs:ident;
        $(#[$input_attribute:meta])* $input_visibility:vis enum $inputs:ident;

        $($(#[$line_attribute:meta])* $variant:ident($program:ty)),+ $(,)?
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visibility enum $programs {
            $(
                $(#[$line_attribute])*
                #[doc = concat!("[`", stringify!($program), "`].")]
                $variant($program)
            ),+
        }

        $(#[$input_attribute])*
        #[derive(Clone, Debug)]
        #[allow(clippy::large_enum_variant, reason = "a program's inputs are all of one variant")]
        $input_visibility enum $inputs {
            $(
                #[doc = concat!("One of [`", stringify!($program), "`].")]
                $variant(<$program as $crate::reexport::StepFunction>::Input)
            ),+
        }

        impl $programs {
            /// The families of programs in this set: what there is to choose from.
            pub fn list() -> Vec<$crate::Family> {
                <Self as $crate::Program>::families()
            }
        }

        #[allow(unreachable_patterns, reason = "where there is one program, no input is another's")]
        impl $crate::reexport::StepFunction for $programs {
            type Input = $inputs;

            fn name(&self) -> String {
                match self { $(Self::$variant(program) => program.name()),+ }
            }

            fn arity(&self) -> usize {
                match self { $(Self::$variant(program) => program.arity()),+ }
            }

            fn apply(
                &self,
                state: &[$crate::reexport::Fr],
                input: &$inputs,
            ) -> Result<Vec<$crate::reexport::Fr>, $crate::reexport::Error> {
                match (self, input) {
                    $((Self::$variant(program), $inputs::$variant(input)) => program.apply(state, input),)+
                    _ => Err($crate::reexport::Error::Step(format!("{}: the input is another program's", self.name()))),
                }
            }

            fn shape_input(&self) -> $inputs {
                match self { $(Self::$variant(program) => $inputs::$variant(program.shape_input())),+ }
            }

            fn synthesize<CS: $crate::reexport::ConstraintSystem<$crate::reexport::Fr>>(
                &self,
                cs: &mut CS,
                state: &[$crate::reexport::AllocatedNum<$crate::reexport::Fr>],
                input: &$inputs,
            ) -> Result<
                Vec<$crate::reexport::AllocatedNum<$crate::reexport::Fr>>,
                $crate::reexport::SynthesisError,
            > {
                match (self, input) {
                    $((Self::$variant(program), $inputs::$variant(input)) => program.synthesize(cs, state, input),)+
                    _ => Err($crate::reexport::SynthesisError::AssignmentMissing),
                }
            }

            fn max_input_bytes(&self) -> usize {
                match self { $(Self::$variant(program) => program.max_input_bytes()),+ }
            }

            fn encode_input(&self, input: &$inputs) -> Vec<u8> {
                match (self, input) {
                    $((Self::$variant(program), $inputs::$variant(input)) => program.encode_input(input),)+
                    _ => Vec::new(),
                }
            }

            fn decode_input(&self, bytes: &[u8]) -> Result<$inputs, $crate::reexport::Error> {
                match self { $(Self::$variant(program) => program.decode_input(bytes).map($inputs::$variant)),+ }
            }
        }

        impl $crate::Program for $programs {
            fn families() -> Vec<$crate::Family> {
                let mut families = Vec::new();
                $(families.extend(<$program as $crate::Program>::families());)+
                families
            }

            fn from_name(name: &str) -> Option<Self> {
                None$(.or_else(|| <$program as $crate::Program>::from_name(name).map(Self::$variant)))+
            }

            fn summary(&self) -> String {
                match self { $(Self::$variant(program) => program.summary()),+ }
            }

            fn describe(
                &self,
                state: &[$crate::reexport::Fr],
            ) -> Result<Vec<$crate::StateField>, $crate::reexport::Error> {
                match self { $(Self::$variant(program) => program.describe(state)),+ }
            }

            fn max_job_bytes(&self) -> usize {
                match self { $(Self::$variant(program) => program.max_job_bytes()),+ }
            }

            fn plan(&self, job: &[u8]) -> Result<$crate::Plan<$inputs>, $crate::PlanError> {
                // A program that forgot is held to its limit all the same.
                self.check_job_size(job)?;
                match self { $(Self::$variant(program) => program.plan(job).map(|plan| plan.map($inputs::$variant))),+ }
            }

            fn cost(&self) -> $crate::Cost {
                match self { $(Self::$variant(program) => program.cost()),+ }
            }
        }
    };
}
/// What [`registry!`] names: a crate that uses it need not depend on where these come from.
#[doc(hidden)]
pub mod reexport {
    pub use crowdfold_fold::{Error, Fr, StepFunction};
    pub use nova_snark::frontend::num::AllocatedNum;
    pub use nova_snark::frontend::{ConstraintSystem, SynthesisError};
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Family, PlanError, Program, conformance};
    use crowdfold_fold::recorder::Recorder;
    use crowdfold_fold::{Error, Fr, ProgramId, StepFunction};
    use nova_snark::frontend::ConstraintSystem;
    use std::collections::BTreeSet;

    /// Squarings, but of other names.
    mod renamed {
        use crate::{Builtin, Squarings};

        crate::registry! {
            /// A set with two programs of the same input type.
            pub enum Two;
            /// An input of theirs.
            pub enum TwoInput;

            First(Squarings),
            Second(Builtin),
        }
    }
    use renamed::{Two, TwoInput};

    fn state(element: u64) -> Vec<Fr> {
        vec![Fr::from(element)]
    }

    #[test]
    fn every_family_has_one_place_in_the_list() {
        let families = Builtin::list();
        let names: BTreeSet<_> = families.iter().map(|family| (family.name, family.version)).collect();
        assert_eq!(names.len(), families.len(), "{families:?}");
        for Family { name, version, form, summary } in families {
            assert!(form.starts_with(&format!("{name}/{version}")), "{form}");
            assert!(summary.ends_with('.'), "{summary}");
        }
    }

    #[test]
    fn the_list_has_all_that_the_lines_have() {
        assert_eq!(Two::list(), [Squarings::families(), Builtin::list()].concat());
        assert_eq!(Two::forms(), format!("{}, or {}", Squarings::forms(), Builtin::forms()));
    }

    #[test]
    fn a_registry_finds_programs_by_name() {
        let name = "squarings/1/3";
        let program = Builtin::from_name(name).expect("it is built in");
        assert!(matches!(&program, Builtin::Squarings(squarings) if squarings.per_step() == 3));
        assert_eq!(program.name(), name);
        for name in ["", "squarings/1", "squarings/1/03", "nothing/1"] {
            assert!(Builtin::from_name(name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_registry_does_not_change_the_identity_of_a_program() {
        let alone = Squarings::new(3);
        let id = ProgramId::of(&alone).expect("it has a circuit");
        let listed = Builtin::from_name("squarings/1/3").expect("it is built in");
        assert_eq!(ProgramId::of(&listed).expect("it has a circuit"), id);
        assert_eq!(ProgramId::of(&Two::Second(listed)).expect("it has a circuit"), id);
        assert_ne!(ProgramId::of(&Squarings::new(4)).expect("it has a circuit"), id);
    }

    #[test]
    fn a_registry_passes_everything_on() {
        let alone = Squarings::new(3);
        let listed = Builtin::Squarings(alone.clone());
        let job = Squarings::job(Fr::from(5), &[Fr::from(1), Fr::from(2)]);
        conformance::check(&listed, &job, 2);
        assert_eq!(listed.arity(), alone.arity());
        assert_eq!(listed.max_input_bytes(), alone.max_input_bytes());
        assert_eq!(listed.max_job_bytes(), alone.max_job_bytes());
        assert_eq!((listed.cost(), listed.summary()), (alone.cost(), alone.summary()));
        assert_eq!(listed.describe(&state(7)).expect("a state"), alone.describe(&state(7)).expect("a state"));
        let end = alone.plan(&job).expect("a job").execute(&alone).last().expect("steps").expect("accepted").state;
        let listed_end = listed.plan(&job).expect("a job").execute(&listed).last().expect("steps").expect("accepted");
        assert_eq!(listed_end.state, end);
        assert!(matches!(listed.decode_input(&[0; 31]), Err(Error::Length { .. })));
    }

    #[test]
    fn an_input_of_another_program_is_refused() {
        let program = Two::First(Squarings::new(3));
        let (own, other) = (program.shape_input(), Two::Second(Builtin::Squarings(Squarings::new(3))).shape_input());
        assert!(matches!((&own, &other), (TwoInput::First(_), TwoInput::Second(_))));
        program.apply(&state(5), &own).expect("its own");
        let error = program.apply(&state(5), &other).expect_err("another's");
        assert!(matches!(&error, Error::Step(reason) if reason.contains("another program's")), "{error}");
        assert!(program.encode_input(&other).is_empty());
        program.synthesize(&mut Recorder::new(), &[], &other).expect_err("another's");
    }

    #[test]
    fn a_job_beyond_the_limit_is_refused() {
        let program = Builtin::Squarings(Squarings::new(1));
        let error = program.plan(&vec![0; program.max_job_bytes() + 1]).expect_err("it is too large");
        assert!(matches!(error, PlanError::TooLarge { .. }), "{error}");
    }
}
