//! Memory: places every buffer in one arena. Buffers that live within one run share memory where their lives do not overlap; so do what the
//! host writes before each run of an entry and what it reads right after. State, inputs that are written once, halos and constants keep their own.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use stmc_ir::Program;
use stmc_ir::module::{InputRole, OutputRole};
use stmc_ir::program::{BufferId, BufferKind, Step};

/// Elements: 64 bytes.
const ALIGN: usize = 16;

/// First and last position in the order of the steps of all entries.
type Span = (usize, usize);
/// When a buffer is used.
type Life = Vec<Span>;

/// Before: buffers without places. After: places and the arena's size; `verify_lives` has proven that no two live at once in one place.
/// `lasting`: inputs that are written once for all runs.
pub(crate) fn place(program: &mut Program, lasting: &dyn Fn(&InputRole) -> bool) {
    let lives = lives(program, lasting);
    let roots =
        (0..program.buffers.len()).map(BufferId::from_index).filter(|b| program.buffer(*b).parent.is_none());
    let passes = |b: &BufferId| program.buffer(*b).kind == BufferKind::Temp || lives.contains_key(b);
    let (mut passing, lasting): (Vec<BufferId>, Vec<BufferId>) = roots.partition(passes);
    // Lasting buffers first, at the bottom; then the largest others, each at the lowest place that is free during its life.
    passing.sort_by_key(|b| (Reverse(program.buffer(*b).len), *b));
    let mut end = 0;
    for b in lasting {
        program.buffers[b.index()].place = end;
        end += program.buffer(b).len.next_multiple_of(ALIGN);
    }
    let mut placed: Vec<(usize, usize, Life)> = vec![];
    for b in passing {
        let len = program.buffer(b).len.next_multiple_of(ALIGN);
        // A temporary that no step uses has no life; it still gets an address.
        let life = lives.get(&b).cloned().unwrap_or_default();
        let place = lowest(&placed, &life, len, end);
        placed.push((place, place + len, life));
        program.buffers[b.index()].place = place;
    }
    program.arena = placed.iter().map(|p| p.1).max().unwrap_or(0).max(end);
    verify_lives(program, &lives);
}

fn meet(a: &Life, b: &Life) -> bool {
    a.iter().any(|x| b.iter().any(|y| x.0 <= y.1 && y.0 <= x.1))
}

fn lowest(placed: &[(usize, usize, Life)], life: &Life, len: usize, bottom: usize) -> usize {
    let mut taken: Vec<Span> = placed.iter().filter(|p| meet(&p.2, life)).map(|p| (p.0, p.1)).collect();
    taken.sort_unstable();
    let mut at = bottom;
    for (start, end) in taken {
        if start >= at + len {
            break;
        }
        at = at.max(end);
    }
    at
}

/// Lives of temporaries, of inputs that are written before each run, and of outputs. A buffer used inside and outside a loop lives as long as the
/// whole loop.
fn lives(program: &Program, lasting: &dyn Fn(&InputRole) -> bool) -> BTreeMap<BufferId, Life> {
    let mut spans = BTreeMap::new();
    let mut clock = 0;
    // What the host writes before or reads after a run is not a temporary, so entries do not meet.
    let mut times = vec![];
    for entry in &program.entries {
        let start = clock + 1;
        scan(program, &entry.steps, &mut clock, &mut spans);
        clock += 1;
        times.push((start, clock));
    }
    let is_temporary = |b: &BufferId| program.buffer(*b).kind == BufferKind::Temp;
    spans.retain(|b, _| is_temporary(b));
    let mut lives: BTreeMap<BufferId, Life> = spans.into_iter().map(|(b, span)| (b, vec![span])).collect();
    // An update may run between two runs with one batch, and before the loss is read.
    let between = program.entries.iter().zip(&times).filter(|(entry, _)| entry.inputs.is_empty());
    let between: Vec<Span> = between.map(|(_, time)| *time).collect();
    let mut kept = BTreeSet::new();
    for (entry, time) in program.entries.iter().zip(times) {
        let trains = entry.outputs.iter().any(|port| matches!(port.role, OutputRole::Loss { .. }));
        let inputs = entry.inputs.iter().map(|port| (port.buffer, lasting(&port.role)));
        for (buffer, lasts) in inputs.chain(entry.outputs.iter().map(|port| (port.buffer, false))) {
            let root = program.root(buffer).0;
            if lasts || !matches!(program.buffer(root).kind, BufferKind::Input | BufferKind::Output) {
                kept.insert(root);
            }
            let life: &mut Life = lives.entry(root).or_default();
            life.push(time);
            life.extend(between.iter().filter(|_| trains));
        }
    }
    // An output may be a piece of the state.
    lives.retain(|b, _| !kept.contains(b));
    lives
}

fn scan(program: &Program, steps: &[Step], clock: &mut usize, lives: &mut BTreeMap<BufferId, Span>) {
    for (n, step) in steps.iter().enumerate() {
        *clock += 1;
        for b in step.bindings() {
            lives.entry(program.root(b.buffer).0).or_insert((*clock, *clock)).1 = *clock;
        }
        let Step::Loop { body, .. } = step else { continue };
        let start = *clock;
        let mut inner = BTreeMap::new();
        scan(program, body, clock, &mut inner);
        *clock += 1;
        let after = used(program, &steps[n + 1..]);
        for (b, life) in inner {
            // Known before the loop, or needed after it: then it must survive every iteration.
            let outer = lives.contains_key(&b) || after.contains(&b);
            let life = if outer { (start, *clock) } else { life };
            let known = lives.entry(b).or_insert(life);
            *known = (known.0.min(life.0), known.1.max(life.1));
        }
    }
}

/// The buffers that steps use, in their loops too.
fn used(program: &Program, steps: &[Step]) -> BTreeSet<BufferId> {
    let mut buffers = BTreeSet::new();
    for step in steps {
        buffers.extend(step.bindings().into_iter().map(|b| program.root(b.buffer).0));
        if let Step::Loop { body, .. } = step {
            buffers.extend(used(program, body));
        }
    }
    buffers
}

/// Panics if two buffers overlap in place and in time.
fn verify_lives(program: &Program, lives: &BTreeMap<BufferId, Life>) {
    let all: Vec<(&BufferId, &Life)> = lives.iter().collect();
    for (n, (a, first)) in all.iter().enumerate() {
        for (b, second) in &all[n + 1..] {
            let (x, y) = (program.buffer(**a), program.buffer(**b));
            let apart = x.place + x.len <= y.place || y.place + y.len <= x.place;
            assert!(
                apart || !meet(first, second),
                "buffers `{}` and `{}` live at once in one place",
                x.name,
                y.name
            );
        }
    }
}
