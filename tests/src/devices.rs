//! Every device that this machine has, in the order of distance from the definition.
use std::io::Write;
use stmc_cpu::{CpuDevice, Isa};
use stmc_ir::Device;
use stmc_ir::kernel_interpret::Interpreter;

/// A device under test.
pub struct Subject {
    /// For messages.
    pub name: String,
    /// It itself.
    pub device: Box<dyn Device>,
    /// How exactly it computes.
    pub precision: Precision,
}

/// How exactly a device computes elementary functions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Precision {
    /// A few units in the last place.
    Processor,
    /// As loosely as the WGSL specification allows.
    Graphics,
}

/// The interpreter of kernels, the processor on each of its instruction paths and on two threads, and with feature `gpu` what wgpu finds.
pub fn all() -> Vec<Subject> {
    let subject = |name: &str, device| Subject { name: name.into(), device, precision: Precision::Processor };
    let mut subjects = vec![subject("interpreter", Box::new(Interpreter::default()) as Box<dyn Device>)];
    for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
        let device = CpuDevice::new(1, isa).expect("the path is available");
        subjects.push(subject(isa.name(), Box::new(device)));
    }
    let two = CpuDevice::new(2, Isa::detect()).expect("the path is available");
    subjects.push(subject("two threads", Box::new(two)));
    subjects.extend(gpu());
    subjects
}

/// The adapter that wgpu finds. `None`, said loudly: there is none.
#[cfg(feature = "gpu")]
pub fn gpu() -> Option<Subject> {
    match stmc_gpu::GpuDevice::wgpu() {
        Ok(device) => {
            let device: Box<dyn Device> = Box::new(device);
            Some(Subject { name: device.name(), device, precision: Precision::Graphics })
        }
        Err(error) => {
            let needed = std::env::var_os("STMC_ADAPTER").is_some();
            assert!(!needed, "STMC_ADAPTER is set, so there must be a graphics adapter: {error}");
            skipped(&format!("every comparison with wgpu: {error}"));
            None
        }
    }
}

/// The wgpu device takes part with feature `gpu` only.
#[cfg(not(feature = "gpu"))]
pub fn gpu() -> Option<Subject> {
    None
}

/// Says on the terminal, past the capture of the test harness, what was not tested.
pub fn skipped(what: &str) {
    // A closed terminal is no reason to fail.
    let _ = writeln!(std::io::stderr(), "SKIPPED {what}");
}
