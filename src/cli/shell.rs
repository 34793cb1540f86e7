//! `holistics completions` and `holistics man`: what a shell and `man` know of the program.

use std::path::PathBuf;

use clap::Args;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::cli::output::print;
use crate::cli::output::unwritable;
use crate::error::Error;
use crate::error::Result;

#[derive(Args)]
#[command(after_help = "Examples:
  source <(holistics completions bash)                     in ~/.bashrc
  holistics completions zsh > ~/.zfunc/_holistics          in a folder of $fpath
  holistics completions fish > ~/.config/fish/completions/holistics.fish")]
pub(super) struct CompletionsArgs {
    /// The shell that is to know the commands
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Args)]
#[command(after_help = "Examples:
  holistics man ~/.local/share/man/man1
  man holistics-export")]
pub(super) struct ManArgs {
    /// The folder, made if it is not there
    dir: PathBuf,
}

pub(super) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "holistics", &mut script);
    let script = String::from_utf8(script).map_err(Error::internal)?;
    print(script.trim_end())
}

pub(super) fn man(args: &ManArgs) -> Result<()> {
    let place = format!("`{}`", args.dir.display());
    std::fs::create_dir_all(&args.dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), &args.dir))
        .map_err(|error| unwritable(&place, &error))
}
