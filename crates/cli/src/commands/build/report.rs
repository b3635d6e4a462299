//! A failed build in words.

use stockade_build::{BuildError, Reproduction};

use crate::Outcome;
use crate::failure::{Exit, Failure};
use crate::output::{self, Style};

/// Shows why a build failed. `output_shown`: what the steps wrote is on the screen already.
pub fn failure(error: BuildError, output_shown: bool) -> Outcome {
    let style = Style::stderr();
    let usage = error.is_usage();
    match error {
        BuildError::Dockerfile(diagnostics) => {
            let mut text = String::new();
            for item in diagnostics.errors() {
                let rendered = item.render(&diagnostics.file, &diagnostics.text);
                text.push_str(&rendered.replacen(": error: ", &format!(": {} ", style.red("error:")), 1));
            }
            output::to_stderr(&text);
            Ok(Exit::FAILED)
        }
        BuildError::Step(step) => {
            let mut text = String::new();
            if !output_shown && !step.tail.is_empty() {
                text.push_str(&format!("------\n > {}\n{}\n------\n", step.instruction, printable_lines(&step.tail)));
            }
            let rule = "-".repeat(20);
            text.push_str(&format!("{}:{}\n{rule}\n{}{rule}\n", step.file, step.line, step.excerpt));
            output::to_stderr(&text);
            Err(Failure::new(step.to_string()))
        }
        BuildError::Base(base) => {
            let ways = base.ways_out();
            Err(Failure::new(base.to_string()).hint(format!("three ways out: {}", numbered(&ways))))
        }
        error => {
            let failure = Failure::from(error);
            Err(if usage { failure.with_exit(Exit::USAGE) } else { failure })
        }
    }
}

/// Says whether two builds gave the same. A difference is exit code 1.
pub fn reproduction(found: &Reproduction) -> Outcome {
    let Some(difference) = &found.difference else {
        output::to_stdout(&format!("reproducible: two builds gave the manifest {}\n", found.first))?;
        return Ok(Exit::DONE);
    };
    let shown = |text: &str| if text.is_empty() { "nothing".to_owned() } else { output::printable(text) };
    let path = if difference.path.is_empty() { String::new() } else { format!(" `{}`", output::printable(&difference.path)) };
    output::to_stderr(&format!(
        "not reproducible: {}\n  first difference:{path} ({})\n    first build:  {}\n    second build: {}\n",
        output::printable(&difference.step),
        difference.what,
        shown(&difference.first),
        shown(&difference.second)
    ));
    Ok(Exit::FAILED)
}

fn numbered(ways: &[String]) -> String {
    ways.iter().enumerate().map(|(i, way)| format!("\n    {}. {way}", i + 1)).collect()
}

fn printable_lines(text: &str) -> String {
    text.lines().map(output::printable).collect::<Vec<_>>().join("\n")
}
