//! The program: hands its arguments over and leaves with the exit code.

fn main() -> std::process::ExitCode {
    gribfs::cli::main()
}
