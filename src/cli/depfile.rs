//! `--depfile`, of every subcommand that writes files for a build.

use std::path::{Path, PathBuf};

use ntgate_gen::build::depfile;

use super::{Failure, output};

/// What the outputs depend on.
#[derive(Debug, clap::Args)]
pub(super) struct DepfileArg {
    /// Write what the output depends on to this file, as a rule for make or ninja
    #[arg(long, value_name = "FILE", requires = "output")]
    depfile: Option<PathBuf>,
}

impl DepfileArg {
    /// The file of the rule, if there is to be one.
    pub(super) fn path(&self) -> Option<&Path> {
        self.depfile.as_deref()
    }

    /// A rule needs a file that it is for.
    pub(super) fn check(&self, subcommand: &str, output: Option<&Path>) -> Result<(), Failure> {
        match (&self.depfile, output) {
            (Some(_), Some(output)) if output::is_standard(output) => {
                let message = "the argument '--depfile <FILE>' cannot be used with '--output -'";
                Err(Failure::usage_tip(subcommand, message, "a rule is for a file: name one after --output"))
            }
            _ => Ok(()),
        }
    }

    /// Writes outputs, and first the rule for them. Standard input is no file to depend on.
    pub(super) fn write(&self, files: &[(&Path, &[u8])], inputs: &[&Path]) -> Result<(), Failure> {
        let Some(path) = &self.depfile else {
            return output::write_files(files);
        };
        let outputs: Vec<_> = files.iter().map(|(path, _)| *path).collect();
        let inputs: Vec<_> = inputs.iter().copied().filter(|path| !output::is_standard(path)).collect();
        let rule = depfile(&outputs, &inputs).map_err(|error| Failure::input(error.to_string()))?;
        output::write_files(&[&[(path.as_path(), rule.as_slice())], files].concat())
    }
}
