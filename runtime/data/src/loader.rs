//! Batches. Which samples a batch holds, and how they are flipped, is a pure function of (seed, epoch, batch), so that a
//! resumed run goes on exactly where it stopped.
use crate::balance::Drawn;
use crate::draw::Stream;
use crate::samples::steps;
use crate::{DataError, Dataset, Samples};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use stmc_base::Diagnostic;
use stmc_ir::data::{Balance, Slab};
use stmc_ir::program::{Buffer, BufferDim};

/// A place in the sequence of batches. The default is the start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub struct Position {
    /// Passes over the part before this one.
    pub epoch: usize,
    /// Batches of this pass before this one.
    pub batch: usize,
}

/// Samples that are computed together.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// Its place.
    pub position: Position,
    /// As many as the loader's batch has; at the end of a part the last sample is repeated.
    pub rows: Vec<Row>,
    /// Per row: 1 for a sample, 0 for a repetition.
    pub valid: Vec<f32>,
}

/// A sample in a batch.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// The position of each sample variable; of a fit, the position of its axis.
    pub positions: Vec<usize>,
    /// Per axis of `DataPlan::flips`: whether it runs backwards.
    pub flips: Vec<bool>,
    /// Per plane of `DataPlan::turns`: by how many right angles it is turned.
    pub turns: Vec<u8>,
    /// A new sample lies so far on the way to another: its positions. `None`: it is the sample itself.
    pub towards: Option<(Vec<usize>, f32)>,
}

impl Row {
    /// A sample as it is.
    fn plain(positions: Vec<usize>) -> Row {
        Row { positions, flips: vec![], turns: vec![], towards: None }
    }
}

/// Makes the batches of a part.
pub struct Loader {
    data: Arc<Dataset>,
    samples: Arc<Samples>,
    rows: Rows,
    batch: usize,
    order: Order,
    /// The order of the last epoch asked for.
    shuffled: Mutex<Option<(usize, Arc<Vec<u32>>)>>,
}

/// What is loaded.
enum Rows {
    /// The samples of a part.
    Part(usize),
    /// What a fit streams, at these positions of its axis.
    Fit { fit: usize, positions: Vec<Vec<usize>> },
}

#[derive(Clone, Copy)]
enum Order {
    /// As enumerated, all of them.
    Fixed,
    /// Anew for each epoch, with flips; whole batches only.
    Shuffled { seed: u64 },
}

impl Loader {
    /// For training: each epoch in another order, with the plan's flips. Samples that fill no whole batch are left out,
    /// others in each epoch.
    pub fn train(data: Arc<Dataset>, samples: Arc<Samples>, part: usize, batch: usize, seed: u64) -> Loader {
        Loader::new(data, samples, Rows::Part(part), batch, Order::Shuffled { seed })
    }

    /// For evaluation: every sample once, in a fixed order, as it is.
    pub fn evaluate(data: Arc<Dataset>, samples: Arc<Samples>, part: usize, batch: usize) -> Loader {
        Loader::new(data, samples, Rows::Part(part), batch, Order::Fixed)
    }

    /// For a fit: every position of its axis that lies in the train part, once. Slabs are numbered as in its plan.
    pub fn fit(
        data: Arc<Dataset>,
        samples: Arc<Samples>,
        fit: usize,
        batch: usize,
    ) -> Result<Loader, Diagnostic> {
        let positions = samples.fit_positions(data.plan(), fit)?;
        Ok(Loader::new(data, samples, Rows::Fit { fit, positions }, batch, Order::Fixed))
    }

    fn new(data: Arc<Dataset>, samples: Arc<Samples>, rows: Rows, batch: usize, order: Order) -> Loader {
        assert!(batch > 0, "a batch has a sample");
        Loader { data, samples, rows, batch, order, shuffled: Mutex::new(None) }
    }

    /// Samples of the part.
    pub fn len(&self) -> usize {
        match (&self.rows, self.balanced()) {
            (_, Some(drawn)) => drawn.len(),
            (Rows::Part(part), None) => self.samples.samples(*part).len(),
            (Rows::Fit { positions, .. }, None) => positions.len(),
        }
    }

    /// What an epoch draws, if it trains with balanced classes.
    fn balanced(&self) -> Option<&[Drawn]> {
        match (&self.rows, self.order) {
            (Rows::Part(part), Order::Shuffled { .. }) if self.samples.part("train") == Some(*part) => {
                self.samples.balanced()
            }
            _ => None,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Batches of an epoch.
    pub fn batches(&self) -> usize {
        match self.order {
            Order::Fixed => self.len().div_ceil(self.batch),
            Order::Shuffled { .. } => self.len() / self.batch,
        }
    }

    /// The place that follows.
    pub fn after(&self, position: Position) -> Position {
        if position.batch + 1 < self.batches() {
            Position { batch: position.batch + 1, ..position }
        } else {
            Position { epoch: position.epoch + 1, batch: 0 }
        }
    }

    /// The batch at a place.
    pub fn batch(&self, position: Position) -> Batch {
        assert!(position.batch < self.batches(), "an epoch has {} batches", self.batches());
        let first = position.batch * self.batch;
        let end = self.len();
        let rows = (first..first + self.batch).map(|i| self.row(position.epoch, i.min(end - 1))).collect();
        let valid = (first..first + self.batch).map(|i| if i < end { 1.0 } else { 0.0 }).collect();
        Batch { position, rows, valid }
    }

    /// The `i`-th row of an epoch.
    fn row(&self, epoch: usize, i: usize) -> Row {
        let part = match &self.rows {
            Rows::Fit { positions, .. } => return Row::plain(positions[i].clone()),
            Rows::Part(part) => self.samples.samples(*part),
        };
        let Order::Shuffled { seed } = self.order else { return Row::plain(self.samples.positions(part[i])) };
        let number = self.order_of(epoch, seed)[i] as usize;
        let drawn = match self.balanced() {
            Some(drawn) => drawn[number],
            None => Drawn { sample: part[number], towards: None },
        };
        // What balances the classes is flipped on its own: it has numbers beyond those of the samples.
        let place = if self.balanced().is_some() { number as u32 } else { drawn.sample.0 };
        let [flips, turns, ..] = Stream::new(seed, "flip", epoch as u32).words(place);
        let plan = self.data.plan();
        Row {
            positions: self.samples.positions(drawn.sample),
            flips: (0..plan.flips.len()).map(|axis| flips >> axis & 1 == 1).collect(),
            turns: (0..plan.turns.len()).map(|plane| (turns >> (2 * plane) & 3) as u8).collect(),
            towards: drawn.towards.map(|(other, share)| (self.samples.positions(other), share)),
        }
    }

    fn order_of(&self, epoch: usize, seed: u64) -> Arc<Vec<u32>> {
        let mut shuffled = self.shuffled.lock().unwrap_or_else(PoisonError::into_inner);
        match &*shuffled {
            Some((of, order)) if *of == epoch => order.clone(),
            _ => {
                let order = Arc::new(Stream::new(seed, "epoch", epoch as u32).permutation(self.len()));
                *shuffled = Some((epoch, order.clone()));
                order
            }
        }
    }

    /// Reads a slab of every row of a batch into a buffer's memory. The buffer's dims are `batch`, then the axes that the
    /// slab keeps, in its order; what lies between them is left alone.
    pub fn fill(&self, slab: usize, batch: &Batch, to: &Buffer, memory: &mut [u32]) -> Result<(), DataError> {
        let mixed = matches!(&self.data.plan().balance, Some(Balance { smote: Some(s), .. }) if s.slabs.contains(&slab));
        let slab = &self.slabs()[slab];
        let (rows, dims) =
            to.dims.split_first().expect("a slab that a sample variable moves has a batch axis");
        assert_eq!(rows.extent, batch.rows.len(), "`{}` holds a batch", to.name);
        let (shape, strides) = (slab.shape(), dims.iter().map(|d| d.stride).collect::<Vec<_>>());
        check_shape(to, dims, &shape);
        let mut values = vec![0; shape.iter().product()];
        let mut neighbour = values.clone();
        for (i, row) in batch.rows.iter().enumerate() {
            self.read(slab, &row.positions, &mut values)?;
            if let (true, Some((other, share))) = (mixed, &row.towards) {
                self.read(slab, other, &mut neighbour)?;
                mix(&mut values, &neighbour, *share);
            }
            let (strides, backwards) = self.oriented(slab, row, &strides);
            let image = Image { shape: &shape, strides: &strides, backwards: &backwards };
            image.scatter(&values, i * rows.stride, memory);
        }
        Ok(())
    }

    /// Reads a slab that no sample variable moves: once for all batches. The buffer's dims are the axes that it keeps.
    pub fn fill_fixed(&self, slab: usize, to: &Buffer, memory: &mut [u32]) -> Result<(), DataError> {
        let slab = &self.slabs()[slab];
        assert!(!slab.is_moved(), "`{}` is the same for all samples", to.name);
        check_shape(to, &to.dims, &slab.shape());
        let mut values = vec![0; slab.shape().iter().product()];
        self.read(slab, &[], &mut values)?;
        to.scatter(&values, memory);
        Ok(())
    }

    /// What `fill` numbers.
    pub fn slabs(&self) -> &[Slab] {
        match &self.rows {
            Rows::Part(_) => &self.data.plan().slabs,
            Rows::Fit { fit, .. } => &self.data.plan().fits[*fit].slabs,
        }
    }

    fn read(&self, slab: &Slab, positions: &[usize], values: &mut [u32]) -> Result<(), DataError> {
        let ranges: Vec<Range<usize>> = slab.range.iter().map(|range| steps(range, positions)).collect();
        self.data.read(slab.field, &ranges, values)
    }

    /// Per axis that the slab keeps: where its steps go in this row, and whether they go backwards.
    fn oriented(&self, slab: &Slab, row: &Row, strides: &[usize]) -> (Vec<usize>, Vec<bool>) {
        let plan = self.data.plan();
        let kept = plan.fields[slab.field].axes.iter().zip(&slab.range).filter(|(_, range)| range.keep);
        let names: Vec<&str> = kept.map(|((name, _), _)| name.as_str()).collect();
        let flipped =
            |axis: &&str| plan.flips.iter().zip(&row.flips).any(|(name, flip)| *flip && name == axis);
        let mut strides = strides.to_vec();
        let mut backwards: Vec<bool> = names.iter().map(flipped).collect();
        for ((first, second), turns) in plan.turns.iter().zip(&row.turns) {
            let place = |axis: &String| names.iter().position(|n| n == axis);
            let (Some(a), Some(b)) = (place(first), place(second)) else { continue };
            // A quarter turn takes (i, j) to (j, n - 1 - i).
            for turn in 0..*turns {
                strides.swap(a, b);
                let reversed = if turn % 2 == 0 { a } else { b };
                backwards[reversed] = !backwards[reversed];
            }
        }
        (strides, backwards)
    }
}

/// Goes a share of the way to other numbers.
fn mix(values: &mut [u32], others: &[u32], share: f32) {
    for (bits, other) in values.iter_mut().zip(others) {
        let (x, y) = (f32::from_bits(*bits), f32::from_bits(*other));
        *bits = (x + share * (y - x)).to_bits();
    }
}

fn check_shape(to: &Buffer, dims: &[BufferDim], shape: &[usize]) {
    let extents: Vec<usize> = dims.iter().map(|d| d.extent).collect();
    assert_eq!(extents, shape, "`{}` has the axes that its slab keeps", to.name);
}

/// Where the elements of a row-major array go.
struct Image<'a> {
    shape: &'a [usize],
    strides: &'a [usize],
    backwards: &'a [bool],
}

impl Image<'_> {
    fn scatter(&self, values: &[u32], at: usize, memory: &mut [u32]) {
        let ([extent, shape @ ..], [stride, strides @ ..], [backwards, rest @ ..]) =
            (self.shape, self.strides, self.backwards)
        else {
            memory[at] = values[0];
            return;
        };
        if shape.is_empty() {
            scatter_row(values, *backwards, *stride, &mut memory[at..]);
            return;
        }
        let inner = Image { shape, strides, backwards: rest };
        for (i, values) in values.chunks_exact(values.len() / extent).enumerate() {
            let i = if *backwards { extent - 1 - i } else { i };
            inner.scatter(values, at + i * stride, memory);
        }
    }
}

fn scatter_row(values: &[u32], backwards: bool, stride: usize, memory: &mut [u32]) {
    if stride == 1 {
        let memory = &mut memory[..values.len()];
        memory.copy_from_slice(values);
        if backwards {
            memory.reverse();
        }
        return;
    }
    for (i, value) in values.iter().enumerate() {
        let i = if backwards { values.len() - 1 - i } else { i };
        memory[i * stride] = *value;
    }
}
