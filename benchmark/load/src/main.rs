//! The workers' side of the benchmarks: thousands of WebSocket or HTTP clients in one thread that costs far less for a
//! message than any server, so that it isn't what is measured.
//!
//! It takes one argument, a [`config::Config`] as JSON, and talks in lines with the process that started it. It writes
//! `{"event":"ready"}` once everyone is connected and registered, waits for the line `go`, does its work, and writes
//! `{"event":"done", ...}` with what it did. `vanish N` drops N connections, `report` writes what there is so far and starts
//! to count anew, `quit` or the end of the input ends it.

mod config;
mod connection;
mod consumer;
mod control;
mod fleet;
mod frame;
mod pace;
mod text;
mod work;

use std::error::Error;
use std::time::Instant;

use mio::{Events, Poll};
use serde_json::{Value, json};

use config::Config;
use control::{Command, Control};
use fleet::Fleet;
use work::kinds;

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).ok_or("usage: load CONFIG, a JSON text")?;
    run(&serde_json::from_str(&argument)?)
}

fn run(config: &Config) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1024);
    let control = Control::new(poll.registry())?;
    let mut fleet = Fleet::new(config, poll.registry().try_clone()?);
    let mut work = kinds::of(config);
    let mut phase = Phase::Gathering;
    let mut cpu = None;
    if work.connects_first() {
        fleet.connect(config.workers)?;
    }
    loop {
        if matches!(phase, Phase::Gathering) && (!work.connects_first() || fleet.open() == config.workers) {
            phase = Phase::Ready;
            say("ready", json!({}), &fleet);
        }
        let now = Instant::now();
        let timeout = work.due().map(|due| due.saturating_duration_since(now));
        if let Err(error) = poll.poll(&mut events, timeout)
            && error.kind() != std::io::ErrorKind::Interrupted
        {
            return Err(error.into());
        }
        let now = Instant::now();
        for event in &events {
            if event.token() == control::TOKEN {
                for command in control.commands() {
                    match command {
                        Command::Go => {
                            phase = Phase::Working;
                            cpu = cpu_micros();
                            work.go(&mut fleet, now)?;
                        }
                        Command::Vanish(count) => fleet.vanish(count),
                        Command::Report => say("report", work.report(), &fleet),
                        Command::Quit => return Ok(()),
                    }
                }
            } else {
                fleet.handle(event, &mut *work, now)?;
            }
        }
        if matches!(phase, Phase::Working) {
            work.tick(&mut fleet, now);
            // Without all of its workers no work is ever done; the report says so.
            if work.is_done(&fleet) || fleet.lost() > 0 {
                phase = Phase::Done;
                let mut report = work.report();
                report["cpuMicros"] = json!(cpu.zip(cpu_micros()).map(|(before, after)| after - before));
                say("done", report, &fleet);
            }
        }
    }
}

/// How far a run has come.
#[derive(Clone, Copy)]
enum Phase {
    /// Workers connect and register.
    Gathering,
    /// All of them have, and `go` is waited for.
    Ready,
    /// The work is under way.
    Working,
    /// The work is done, and the connections stay.
    Done,
}

/// CPU time of this thread, which is the one that works, in microseconds. Known on Linux alone.
fn cpu_micros() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(|nanos: u64| nanos / 1000)
}

fn say(event: &str, report: Value, fleet: &Fleet) {
    let mut line =
        json!({ "event": event, "open": fleet.open(), "lost": fleet.lost(), "unexpected": fleet.unexpected() });
    if let (Value::Object(line), Value::Object(report)) = (&mut line, report) {
        line.extend(report);
    }
    println!("{line}");
}
