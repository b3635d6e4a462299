//! `stockade update`

use stockade_engine::{RestartPolicy, UpdateRequest};

use crate::Outcome;
use crate::container::flags::ResourceFlags;
use crate::container::{engine, for_each, values};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `stockade update`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Memory; 0 is no limit
    #[arg(short, long, value_name = "BYTES")]
    memory: Option<String>,
    /// Memory and swap together; -1 is no limit of swap
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    memory_swap: Option<String>,
    /// Memory that is left to it when the host runs short
    #[arg(long, value_name = "BYTES")]
    memory_reservation: Option<String>,
    /// CPU time, in cores
    #[arg(long, value_name = "CORES")]
    cpus: Option<String>,
    /// Relative weight, 1024 being normal
    #[arg(short = 'c', long, value_name = "WEIGHT")]
    cpu_shares: Option<u64>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "MICROSECONDS")]
    cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds
    #[arg(long, value_name = "MICROSECONDS", allow_negative_numbers = true)]
    cpu_quota: Option<i64>,
    /// Processes and threads; -1 is no limit
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// When to start it again
    #[arg(long, value_name = "POLICY")]
    restart: Option<RestartPolicy>,
    /// Containers
    #[arg(required = true)]
    containers: Vec<String>,
}

/// Changes limits and restart policy of containers.
pub fn run(args: Args, context: &Context) -> Outcome {
    let flags = ResourceFlags {
        memory: args.memory,
        memory_swap: args.memory_swap,
        memory_reservation: args.memory_reservation,
        cpus: args.cpus,
        cpu_shares: args.cpu_shares,
        cpu_period: args.cpu_period,
        cpu_quota: args.cpu_quota,
        pids_limit: args.pids_limit,
        ulimit: Vec::new(),
        sysctl: Vec::new(),
        oom_score_adj: None,
    };
    let request = UpdateRequest { limits: values::limits(&flags)?, restart: args.restart };
    if request.limits == stockade_engine::spec::LimitSpec::default() && request.restart.is_none() {
        return Err(Failure::usage("nothing to change: give --memory, --cpus, --pids-limit, --restart or their kin"));
    }
    let engine = engine(context)?;
    for_each(&args.containers, |name| {
        engine.update(name, &request)?;
        Ok(name.to_owned())
    })
}
