//! `stockade port`

use crate::Outcome;
use crate::container::engine;
use crate::context::Context;
use crate::failure::{Exit, Failure};
use crate::output;

/// Arguments of `stockade port`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Container
    container: String,
    /// Only this port of the container: 80 or 80/udp
    #[arg(value_name = "PORT[/PROTOCOL]")]
    port: Option<String>,
}

/// Shows where a container's ports are on the host.
pub fn run(args: Args, context: &Context) -> Outcome {
    let record = engine(context)?.find(&args.container)?;
    let published = record.state.endpoint.map(|e| e.ports).unwrap_or_default();
    let mut text = String::new();
    let wanted = args.port.as_deref().map(|p| if p.contains('/') { p.to_owned() } else { format!("{p}/tcp") });
    for port in &published {
        let inside = format!("{}/{}", port.container_port, port.protocol);
        let outside = if port.host_ip.is_ipv6() {
            format!("[{}]:{}", port.host_ip, port.host_port)
        } else {
            format!("{}:{}", port.host_ip, port.host_port)
        };
        match &wanted {
            None => text.push_str(&format!("{inside} -> {outside}\n")),
            Some(wanted) if *wanted == inside => text.push_str(&format!("{outside}\n")),
            Some(_) => {}
        }
    }
    if text.is_empty()
        && let Some(wanted) = wanted
    {
        return Err(Failure::new(format!("container {} publishes no port {wanted}", args.container)));
    }
    output::to_stdout(&text)?;
    Ok(Exit::DONE)
}
