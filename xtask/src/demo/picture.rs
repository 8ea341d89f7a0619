//! The steps of a job as a line of text.

use std::fmt;

/// Characters of a line at most: a job of more steps is shown in parts.
const WIDTH: usize = 64;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Open,
    Assigned,
    Verified,
}

/// Which steps are open, handed out and verified, and where ranges meet that are not merged.
#[derive(Default)]
pub(crate) struct Picture {
    steps: Vec<Step>,
    /// Whether a verified range begins at the step.
    begins: Vec<bool>,
}

impl Picture {
    /// All steps open.
    pub(crate) fn new(steps: u64) -> Self {
        let steps = usize::try_from(steps).unwrap_or(0);
        Self { steps: vec![Step::Open; steps], begins: vec![false; steps] }
    }

    fn set(&mut self, (first, steps): (u64, u64), to: Step) {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        self.steps
            .iter_mut()
            .skip(first)
            .take(steps)
            .filter(|step| **step != Step::Verified)
            .for_each(|step| *step = to);
    }

    /// Somebody folds these.
    pub(crate) fn assigned(&mut self, range: (u64, u64)) {
        self.set(range, Step::Assigned);
    }

    /// These are proved.
    pub(crate) fn verified(&mut self, range: (u64, u64)) {
        self.set(range, Step::Verified);
        if let Some(begins) = self.begins.get_mut(usize::try_from(range.0).unwrap_or(usize::MAX)) {
            *begins = true;
        }
    }

    /// These have one proof.
    pub(crate) fn merged(&mut self, (first, steps): (u64, u64)) {
        let first = usize::try_from(first).unwrap_or(usize::MAX);
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        self.begins.iter_mut().skip(first).take(steps).skip(1).for_each(|begins| *begins = false);
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = self.steps.len().div_ceil(WIDTH).max(1);
        let mut is_first = true;
        for (steps, begins) in self.steps.chunks(each).zip(self.begins.chunks(each)) {
            if !is_first && begins.contains(&true) {
                f.write_str("|")?;
            }
            is_first = false;
            let has = |step| steps.contains(&step);
            f.write_str(match (has(Step::Open), has(Step::Assigned)) {
                (true, _) => "\u{b7}",
                (false, true) => "\u{2592}",
                (false, false) => "\u{2588}",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Picture;

    #[test]
    fn a_job_is_drawn_from_open_to_merged() {
        let mut picture = Picture::new(6);
        assert_eq!(picture.to_string(), "\u{b7}".repeat(6));
        picture.assigned((0, 2));
        picture.verified((2, 2));
        assert_eq!(picture.to_string(), "\u{2592}\u{2592}|\u{2588}\u{2588}\u{b7}\u{b7}");
        picture.verified((0, 2));
        picture.merged((0, 4));
        assert_eq!(picture.to_string(), "\u{2588}\u{2588}\u{2588}\u{2588}\u{b7}\u{b7}");
    }
}
