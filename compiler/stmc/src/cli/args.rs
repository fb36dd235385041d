//! The arguments.
use crate::{DeviceKind, Stage, Target};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// A language and compiler for spatio-temporal models.
#[derive(Parser, Debug)]
#[command(
    name = "stmc",
    version,
    about,
    after_help = "Examples:
  stmc new rain                              begin a model; it trains as it is
  stmc check nowcast.stm                     find mistakes, run nothing
  stmc train nowcast.stm                     train; results go to runs/nowcast-1
  stmc train nowcast.stm --set frames=3 --set train.batch=8
  stmc train --resume runs/nowcast-1         go on where it stopped
  stmc eval runs/nowcast-1                   the metrics of the run's weights
  stmc export runs/nowcast-1 --out nowcast.onnx
  stmc profile nowcast.stm                   where the time of a step goes
  stmc fmt nowcast.stm                       bring a file into the house style
  stmc explain E0202                         the longer story of a message

Exit codes:
  0    done
  1    a mistake in the program or its data, or a machine that fails
  2    a mistake in the command line
  130  interrupted; what was done is saved

Without a terminal, or with NO_COLOR set, nothing is coloured."
)]
pub(super) struct Args {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub shared: Shared,
}

#[derive(ClapArgs, Debug)]
pub(super) struct Shared {
    /// Override a hyper, a key of `train`, or where data come from: `frames=3`, `beats.width=3` for a hyper of `beats.stm`, `train.batch=8`, `radar.from="rain.npy"`
    #[arg(long, global = true, value_name = "NAME=VALUE")]
    pub set: Vec<String>,
    /// Which model, where the file has several
    #[arg(long, global = true, value_name = "NAME")]
    pub model: Option<String>,
    /// A schema (JSON, as `stmc schema` prints it) that stands in for data that are not there
    #[arg(long, global = true, value_name = "FILE")]
    pub schema: Option<PathBuf>,
    /// Where to run
    #[arg(long, global = true, value_enum, default_value_t = DeviceKind::Cpu)]
    pub device: DeviceKind,
    /// Threads of the CPU device; 0 takes all cores. Results do not depend on it
    #[arg(long, global = true, default_value_t = 0)]
    pub threads: usize,
    /// How messages are written
    #[arg(long, global = true, value_enum, default_value_t = Format::Human)]
    pub message_format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Format {
    Human,
    Json,
}

#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// Begin a model: a folder with a program that trains as it is, on made-up data
    #[command(after_help = "Examples:
  stmc new rain                              rain/rain.stm, a nowcast
  stmc new warming --template forecast")]
    New {
        /// The folder; its last part is the program's name
        name: PathBuf,
        /// What to begin with
        #[arg(long, value_enum, default_value_t = super::new::Template::Nowcast)]
        template: super::new::Template,
    },
    /// Check a file: every error and warning, without running anything
    #[command(after_help = "Example:\n  stmc check nowcast.stm --message-format json")]
    Check { file: PathBuf },
    /// Train a model
    #[command(
        after_help = "Examples:\n  stmc train nowcast.stm --out runs/wide --set hidden=[64,64]\n  stmc train --resume runs/wide"
    )]
    Train {
        /// The model file
        #[arg(required_unless_present = "resume")]
        file: Option<PathBuf>,
        /// The run directory [default: runs/<file>-<n>]
        #[arg(long, value_name = "DIR", conflicts_with = "resume")]
        out: Option<PathBuf>,
        /// Go on with this run, bit for bit
        #[arg(long, value_name = "RUN", conflicts_with = "file")]
        resume: Option<PathBuf>,
    },
    /// Search over the hypers as the file's `tune` block says: one run for each trial, one after the other
    #[command(after_help = "Examples:
  stmc tune nowcast.stm                      trials go to runs/nowcast-tune; begun again, it goes on
  stmc tune nowcast.stm --set hidden=[32,32] with a hyper fixed

trials.csv in the folder has a row for each trial.")]
    Tune {
        /// The model file
        file: PathBuf,
        /// The folder of the search [default: runs/<file>-tune]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Evaluate a run's weights on its data, or on another file's
    #[command(after_help = "Example:\n  stmc eval runs/nowcast-1 --on other_region.stm")]
    Eval {
        run: PathBuf,
        /// Take data and metrics from this file
        #[arg(long, value_name = "FILE")]
        on: Option<PathBuf>,
    },
    /// Run a trained model on arrays
    #[command(after_help = "Example:\n  stmc predict runs/nowcast-1 --input past=past.npy --out forecasts")]
    Predict {
        run: PathBuf,
        /// An input of the model as an NPY file, samples first
        #[arg(long, required = true, value_name = "NAME=FILE")]
        input: Vec<String>,
        /// The folder for the outputs, one NPY file each
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// Begin a run with weights made elsewhere; it can be evaluated, predicted with, and trained on
    #[command(after_help = "Examples:
  stmc import nowcast.stm --torch weights.safetensors
  stmc import nowcast.stm --torch weights.safetensors --map names.toml --out runs/theirs
  stmc train --resume runs/theirs            go on from there

In Python: safetensors.torch.save_file(model.state_dict(), \"weights.safetensors\")")]
    Import {
        /// The model file
        file: PathBuf,
        /// A PyTorch state dict as safetensors
        #[arg(long, value_name = "FILE")]
        torch: PathBuf,
        /// A map file (TOML) that renames, squeezes, slices, concatenates, permutes, leaves out
        #[arg(long, value_name = "FILE")]
        map: Option<PathBuf>,
        /// The run directory [default: runs/<file>-<n>]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Write a trained model for other programs: as ONNX, or its weights alone
    #[command(after_help = "Examples:
  stmc export runs/nowcast-1 --out nowcast.onnx
  stmc export runs/nowcast-1 --to safetensors --out weights.safetensors")]
    Export {
        run: PathBuf,
        /// The format [default: as the name of the file ends]
        #[arg(long, value_enum)]
        to: Option<crate::Format>,
        /// The file
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Shapes by axis name, parameters, FLOPs, memory
    #[command(after_help = "Example:\n  stmc summary nowcast.stm --set hidden=[64,64]")]
    Summary { file: PathBuf },
    /// Time the training step: forward, backward and optimizer together
    #[command(after_help = "Examples:
  stmc bench nowcast.stm --step
  stmc bench nowcast.stm --step --threads 1 --samples 50
  stmc bench nowcast.stm --step --json       one line of JSON: seconds, bytes, operations

The step runs on the first batch of the train part, again and again. Nothing is saved.")]
    Bench {
        file: PathBuf,
        /// The whole step
        #[arg(long, required = true)]
        step: bool,
        /// Steps that are timed, after three that are not
        #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        samples: u32,
        /// One line of JSON
        #[arg(long)]
        json: bool,
        /// Time so many steps again for each number on standard input, to take turns with another program
        #[arg(long, requires = "json")]
        turns: bool,
    },
    /// Show where the time of a training step goes, kernel by kernel
    #[command(after_help = "Examples:
  stmc profile nowcast.stm
  stmc profile nowcast.stm --threads 1 --json")]
    Profile {
        file: PathBuf,
        /// Steps that are measured, each beside one that is not
        #[arg(long, default_value_t = 15, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        steps: u32,
        /// One line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what a phase of the compiler made of a file
    #[command(after_help = "Examples:
  stmc emit nowcast.stm --stage graph        the tensor graphs after all passes
  stmc emit nowcast.stm --after autodiff     the same after this pass
  stmc emit nowcast.stm --after list         the passes in their order
  stmc emit nowcast.stm --target cuda --arch sm_90 --dir kernels")]
    Emit {
        file: PathBuf,
        /// The phase
        #[arg(long, value_enum, conflicts_with = "target")]
        stage: Option<Stage>,
        /// The graphs after the pass of this name; `list` says which there are
        #[arg(long, value_name = "PASS", conflicts_with_all = ["stage", "target"])]
        after: Option<String>,
        /// Write the kernels in this language
        #[arg(long, value_enum)]
        target: Option<Target>,
        /// The GPU that CUDA code is compiled for. The kernels are the same for all; each says how to compile it
        #[arg(long, requires = "target", value_name = "sm_90", value_parser = architecture)]
        arch: Option<String>,
        /// One file per kernel, here
        #[arg(long, requires = "target", value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print what the data of a file look like
    #[command(after_help = "Example:\n  stmc schema nowcast.stm > nowcast.schema.json")]
    Schema { file: PathBuf },
    /// Run optimizer steps on one given batch, to compare with another program
    #[command(after_help = "Examples:
  stmc step nowcast.stm                       names, dtypes and axes of what a batch must hold
  stmc step nowcast.stm --weights w.safetensors --batch b.safetensors --steps 5 --out o.safetensors")]
    Step {
        file: PathBuf,
        /// Weights by path
        #[arg(long, value_name = "FILE")]
        weights: Option<PathBuf>,
        /// The sample's parts, as `input.<name>`. Without a batch, what it must hold is printed
        #[arg(long, value_name = "FILE", requires = "out")]
        batch: Option<PathBuf>,
        /// Dropout masks, as `dropout_mask.<path of the layer>`, which go before those in the batch
        #[arg(long, value_name = "FILE")]
        masks: Option<PathBuf>,
        /// A map file (TOML) that renames, squeezes, slices, concatenates, permutes
        #[arg(long, value_name = "FILE")]
        map: Option<PathBuf>,
        /// Number of updates
        #[arg(long, default_value_t = 1)]
        steps: u64,
        /// Where the results go
        #[arg(long, value_name = "FILE", requires = "batch")]
        out: Option<PathBuf>,
    },
    /// Bring files into the house style; comments and line breaks stay
    #[command(after_help = "Examples:
  stmc fmt nowcast.stm blocks.stm            rewrite the files
  stmc fmt --check models                    show what would change in all files of a folder; exit code 1 if anything
  stmc fmt - < nowcast.stm                   from standard input to standard output")]
    Fmt {
        /// Files, folders of `.stm` files, or `-` for standard input
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Change nothing; print the differences and fail if there are any
        #[arg(long)]
        check: bool,
    },
    /// Documentation of the library, of what is built in, or of a file
    #[command(after_help = "Examples:
  stmc doc                                   the modules
  stmc doc std.nn                            what is in one
  stmc doc Conv                              all of an entry: signature, formula, source
  stmc doc model.stm --html pages            the same and the library as pages for a browser")]
    Doc {
        /// A module, a name, or a `.stm` file [default: a list of the modules]
        name: Option<String>,
        /// Write pages into this folder; they need no server and no network
        #[arg(long, value_name = "DIR")]
        html: Option<PathBuf>,
    },
    /// The longer story of a diagnostic code
    #[command(after_help = "Example:\n  stmc explain E0202")]
    Explain {
        /// Such as E0202; without it all are listed.
        code: Option<String>,
    },
    /// Serve an editor: messages while typing, hover, definitions, completion, renaming, formatting, remedies
    #[command(
        after_help = "It speaks the language server protocol on standard input and output. An editor starts it:
  VS Code     the extension in grammar/editors/vscode
  Neovim      vim.lsp.config('stmc', { cmd = { 'stmc', 'lsp' }, filetypes = { 'stm' } })
  Helix       language-server.stmc = { command = \"stmc\", args = [\"lsp\"] }"
    )]
    Lsp,
    /// Print a script that completes commands and options in a shell
    #[command(after_help = "Examples:
  stmc completions bash > ~/.local/share/bash-completion/completions/stmc
  stmc completions zsh > ~/.zfunc/_stmc      with `fpath+=~/.zfunc` before `compinit` in ~/.zshrc
  stmc completions fish > ~/.config/fish/completions/stmc.fish")]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write a page for each command
    #[command(after_help = "Examples:\n  stmc man | man -l -\n  stmc man --out ~/.local/share/man/man1")]
    Man {
        /// The folder for the pages
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

/// `sm_90`, `sm_90a`.
fn architecture(text: &str) -> Result<String, String> {
    let number = text.strip_prefix("sm_").map(|n| n.trim_end_matches(['a', 'f']));
    match number {
        Some(n) if n.len() >= 2 && n.bytes().all(|b| b.is_ascii_digit()) => Ok(text.to_string()),
        _ => Err("an architecture is written like `sm_80` or `sm_90`".into()),
    }
}
