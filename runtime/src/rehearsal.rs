//! One update again and again on the first batch of the train part: what benchmarks and profiles measure. Nothing is saved.
use crate::error::{Result, RunError};
use crate::feed::{self, Data};
use crate::session::{Moment, Session};
use crate::update::Update;
use stmc_data::Position;
use stmc_ir::module::OutputRole;
use stmc_ir::program::BufferId;

/// A session with a batch in place.
pub struct Rehearsal<'s, 'a> {
    session: &'s mut Session<'a>,
    entry: usize,
    update: Update,
    losses: Vec<BufferId>,
    /// Forward and backward passes of an update.
    accumulate: usize,
    done: u64,
}

impl<'s, 'a> Rehearsal<'s, 'a> {
    /// Fits what the data need, and loads the batch.
    pub fn new(session: &'s mut Session<'a>, data: &Data) -> Result<Rehearsal<'s, 'a>> {
        let train = session.module.train.as_ref();
        let train = train.ok_or_else(|| RunError::Tensor("there is no `train` block".into()))?;
        feed::fit(session, data)?;
        let feed = feed::training(session, data, train)?;
        let batch = feed.stream(Position::default(), 1).next(session)?;
        batch.expect("an epoch has at least one batch");
        let outputs = session.at(feed.entry).outputs.iter();
        let losses = outputs.filter(|port| matches!(port.role, OutputRole::Loss { .. }));
        Ok(Rehearsal {
            entry: feed.entry,
            update: Update::new(session)?,
            losses: losses.map(|port| port.buffer).collect(),
            accumulate: train.accumulate.max(1),
            session,
            done: 0,
        })
    }

    /// Samples that an update sees.
    pub fn samples(&self) -> usize {
        self.session.at(self.entry).batch * self.accumulate
    }

    /// One update: forward, backward, optimizer. The loss before it.
    pub fn step(&mut self) -> Result<f64> {
        let step = self.done;
        let moment = |pass: usize| Moment { step, updates: step, pass: pass as u32 };
        let mut loss = 0.0;
        for micro in 0..self.accumulate {
            let moment = moment(step as usize * self.accumulate + micro);
            self.session.run(self.entry, moment)?;
            for buffer in &self.losses {
                loss += self.session.number(*buffer)? / self.accumulate as f64;
            }
            self.update.accumulate(self.session, moment)?;
        }
        self.update.apply(self.session, moment(step as usize * self.accumulate))?;
        self.done += 1;
        Ok(loss)
    }

    /// The session, to look at what was measured.
    pub fn session(&mut self) -> &mut Session<'a> {
        self.session
    }
}
