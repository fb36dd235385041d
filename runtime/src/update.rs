//! From gradients to an update of the weights. With `precision = "f16"` gradients are those of a scaled loss while they are
//! taken; the scale is as large as it can be, so at times one overflows. Such an update is skipped: weights, the state of the
//! rules and their averages, and all that schedules count stay as they are.
use crate::error::Result;
use crate::session::{Moment, Session};
use stmc_ir::program::BufferId;

/// The entries that make an update.
#[derive(Clone, Copy, Debug)]
pub struct Update {
    /// Adds the gradients of a micro-step to their sums. `None`: an update has one micro-step.
    accumulate: Option<usize>,
    /// Tells the size of the largest gradient, there. `None`: the loss is not scaled.
    check: Option<(usize, BufferId)>,
    /// Clears the sums of gradients that are not applied. `None`: there are none, or none to check.
    discard: Option<usize>,
    /// Takes the gradients, or their sums, which it clears.
    apply: usize,
}

/// What became of an update.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Applied {
    /// The weights moved.
    Made,
    /// A gradient was infinite or NaN.
    Skipped,
}

impl Update {
    /// Those of a session's program, which trains.
    pub fn new(session: &Session<'_>) -> Result<Update> {
        let largest = |entry: usize| {
            let port = session.at(entry).outputs.first();
            (entry, port.expect("`check` tells a number").buffer)
        };
        Ok(Update {
            accumulate: session.entry("accumulate"),
            check: session.entry("check").map(largest),
            discard: session.entry("discard"),
            apply: session.required("apply")?,
        })
    }

    /// At the end of a micro-step.
    pub fn accumulate(&self, session: &mut Session<'_>, moment: Moment) -> Result<()> {
        self.accumulate.map_or(Ok(()), |entry| session.run(entry, moment))
    }

    /// After the last micro-step: moves the weights, and schedules and the loss scale go on.
    pub fn apply(&self, session: &mut Session<'_>, moment: Moment) -> Result<Applied> {
        if let Some((check, largest)) = self.check {
            session.run(check, moment)?;
            let size = session.read(largest)?[0];
            if size >= f32::INFINITY.to_bits() {
                self.discard.map_or(Ok(()), |entry| session.run(entry, moment))?;
                session.schedules.overflowed();
                return Ok(Applied::Skipped);
            }
            session.schedules.fitted();
        }
        session.run(self.apply, moment)?;
        session.schedules.advance(&session.module.states, moment);
        Ok(Applied::Made)
    }
}
