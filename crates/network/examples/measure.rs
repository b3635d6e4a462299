//! Measures attach and detach on the real kernel: `ip netns exec SOME measure [COUNT] [-p PORT]...`.
//!
//! Makes COUNT namespaces with `ip netns add`, attaches and detaches them one after the other, and prints the
//! time of the first, the median and the last of each kind in microseconds. Needs root. Run it in a network
//! namespace of its own to leave the host alone.
#![forbid(unsafe_code)]

use std::error::Error;
use std::fs::File;
use std::os::fd::AsFd as _;
use std::process::Command;
use std::time::Instant;

use stockade_network::{Attach, Network, NetworkConfig, PortMapping};

fn main() -> Result<(), Box<dyn Error>> {
    let mut count = 20;
    let mut ports: Vec<PortMapping> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-p" => ports.push(arguments.next().unwrap_or_default().parse()?),
            number => count = number.parse()?,
        }
    }
    let dir = std::env::temp_dir().join(format!("stockade-measure-{}", std::process::id()));
    let config = NetworkConfig {
        bridge: "skmeasure0".to_owned(),
        table: "skmeasure".to_owned(),
        veth_prefix: "skm".to_owned(),
        ..NetworkConfig::default()
    };
    let network = Network::open(&dir, &dir, config)?;
    let names: Vec<_> = (0..count).map(|n| format!("skm-{}-{n}", std::process::id())).collect();
    for name in &names {
        Command::new("ip").args(["netns", "add", name]).status()?;
    }
    let result = measure(&network, &names, &ports);
    for name in &names {
        let _ = network.detach(name);
        Command::new("ip").args(["netns", "del", name]).status()?;
    }
    std::fs::remove_dir_all(&dir)?;
    result
}

fn measure(network: &Network, names: &[String], ports: &[PortMapping]) -> Result<(), Box<dyn Error>> {
    let mut attach_us = Vec::new();
    let mut release_us = Vec::new();
    let mut finish_us = Vec::new();
    let mut endpoints = Vec::new();
    for name in names {
        let netns = File::open(format!("/run/netns/{name}"))?;
        // Only the first can have the ports.
        let ports = if endpoints.is_empty() { ports } else { &[] };
        let start = Instant::now();
        endpoints.push(network.attach(&Attach { ports, ..Attach::new(name, netns.as_fd()) })?);
        attach_us.push(start.elapsed().as_micros());
    }
    for name in names {
        let start = Instant::now();
        let released = network.release(name)?;
        release_us.push(start.elapsed().as_micros());
        released.finish()?;
        finish_us.push(start.elapsed().as_micros());
    }
    for (what, times) in [("attach", &attach_us), ("release", &release_us), ("release and finish", &finish_us)] {
        let mut sorted = times.clone();
        sorted.sort_unstable();
        println!(
            "{what}: first {} us, median {} us, last {} us",
            times.first().copied().unwrap_or_default(),
            sorted.get(sorted.len() / 2).copied().unwrap_or_default(),
            times.last().copied().unwrap_or_default()
        );
    }
    Ok(())
}
