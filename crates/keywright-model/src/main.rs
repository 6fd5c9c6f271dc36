//! Searches the model and prints the results. `model` searches the small configurations and `model
//! --full` the full ones. A further argument limits the search to those whose names contain it.
#![expect(clippy::print_stdout, reason = "a command line tool talks on its standard streams")]

use std::process::ExitCode;
use std::thread::available_parallelism;

use keywright_model::bugs::Bug;
use keywright_model::configs::{full, seeded, small};
use keywright_model::coverage::Event;
use keywright_model::model::Config;
use keywright_model::run::{Report, run};

fn main() -> ExitCode {
    let (flags, names): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let mut configs = if flags.iter().any(|flag| flag == "--full") { full() } else { small() };
    configs.retain(|config| names.is_empty() || names.iter().any(|name| config.name.contains(name.as_str())));
    let threads = available_parallelism().map_or(1, usize::from);

    println!("The design: every history within the bounds.");
    let reports: Vec<Report> =
        configs.into_iter().map(|config| run(config, threads)).inspect(|report| println!("{report}")).collect();
    let holds = reports.iter().all(|report| report.broken.is_empty());
    let unique: usize = reports.iter().map(|report| report.unique).sum();
    let seconds: f64 = reports.iter().map(|report| report.elapsed.as_secs_f64()).sum();
    println!("{unique} unique states in {seconds:.0} s.\n");

    println!("What the searches met, in transitions:");
    let mut all_met = true;
    let all = names.is_empty();
    for event in Event::ALL {
        let count: u64 = reports.iter().map(|report| report.coverage.count(event)).sum();
        all_met &= count > 0 || !all;
        println!("  {:<16} {count:>10}", format!("{event:?}"));
    }

    println!("\nSeeded faults: how long a history shows each.");
    let found = Bug::ALL.into_iter().filter(|&bug| is_found(bug)).count();
    println!("{found} of {} seeded faults found.", Bug::ALL.len());

    if holds && all_met && found == Bug::ALL.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Whether a fault breaks every promise that it should.
fn is_found(bug: Bug) -> bool {
    let (config, promises) = seeded(bug);
    let mut found = true;
    for promise in promises {
        let report = run(Config { watch: Some(promise), ..config.clone() }, 1);
        match report.broken.first() {
            Some((name, history)) => println!("  {bug:?}: not \"{name}\", in {} steps", history.len()),
            None => println!("  {bug:?}: NOT FOUND by \"{}\"", promise.name()),
        }
        found &= !report.broken.is_empty();
    }
    found
}
