//! The command line. All that it does is in the library.

fn main() -> std::process::ExitCode {
    stmc::cli::main()
}
