//! Memory: places every buffer in one arena. Buffers that live within one run share memory where their lives do not overlap; state,
//! inputs, outputs, halos and constants keep their own.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use stmc_ir::Program;
use stmc_ir::program::{BufferId, BufferKind, Step};

/// Elements: 64 bytes.
const ALIGN: usize = 16;

/// When a buffer is used: first and last position in the order of the steps of all entries.
type Life = (usize, usize);

/// Before: buffers without places. After: places and the arena's size; `verify_lives` has proven that no two live at once in one place.
pub(crate) fn place(program: &mut Program) {
    let lives = lives(program);
    let roots =
        (0..program.buffers.len()).map(BufferId::from_index).filter(|b| program.buffer(*b).parent.is_none());
    let (mut temporaries, lasting): (Vec<BufferId>, Vec<BufferId>) =
        roots.partition(|b| program.buffer(*b).kind == BufferKind::Temp);
    // Lasting buffers first, at the bottom; then the largest temporaries, each at the lowest place that is free during its life.
    temporaries.sort_by_key(|b| (Reverse(program.buffer(*b).len), *b));
    let mut end = 0;
    for b in lasting {
        program.buffers[b.index()].place = end;
        end += program.buffer(b).len.next_multiple_of(ALIGN);
    }
    let mut placed: Vec<(usize, usize, Life)> = vec![];
    for b in temporaries {
        let len = program.buffer(b).len.next_multiple_of(ALIGN);
        // A temporary that no step uses has no life; it still gets an address.
        let life = lives.get(&b).copied().unwrap_or((0, 0));
        let place = lowest(&placed, life, len, end);
        placed.push((place, place + len, life));
        program.buffers[b.index()].place = place;
    }
    program.arena = placed.iter().map(|p| p.1).max().unwrap_or(0).max(end);
    verify_lives(program, &lives);
}

fn lowest(placed: &[(usize, usize, Life)], life: Life, len: usize, bottom: usize) -> usize {
    let mut taken: Vec<(usize, usize)> =
        placed.iter().filter(|p| p.2.0 <= life.1 && life.0 <= p.2.1).map(|p| (p.0, p.1)).collect();
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

/// Lives of temporaries. A buffer used inside and outside a loop lives as long as the whole loop.
fn lives(program: &Program) -> BTreeMap<BufferId, Life> {
    let mut lives = BTreeMap::new();
    let mut clock = 0;
    // What the host writes before or reads after a run is not a temporary, so entries do not meet.
    for entry in &program.entries {
        scan(program, &entry.steps, &mut clock, &mut lives);
    }
    lives
}

fn scan(program: &Program, steps: &[Step], clock: &mut usize, lives: &mut BTreeMap<BufferId, Life>) {
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

/// Panics if two temporaries overlap in place and in time.
fn verify_lives(program: &Program, lives: &BTreeMap<BufferId, Life>) {
    let all: Vec<(BufferId, Life)> = lives
        .iter()
        .map(|(b, l)| (*b, *l))
        .filter(|(b, _)| program.buffer(*b).kind == BufferKind::Temp)
        .collect();
    for (n, (a, first)) in all.iter().enumerate() {
        for (b, second) in &all[n + 1..] {
            let (x, y) = (program.buffer(*a), program.buffer(*b));
            let apart = x.place + x.len <= y.place || y.place + y.len <= x.place;
            let never = first.1 < second.0 || second.1 < first.0;
            assert!(apart || never, "buffers `{}` and `{}` live at once in one place", x.name, y.name);
        }
    }
}
