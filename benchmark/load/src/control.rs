//! Commands that come as lines on the standard input.

use std::io::{self, BufRead};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use mio::{Registry, Token, Waker};

/// The token of the events that announce commands.
pub const TOKEN: Token = Token(usize::MAX);

/// A line of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start the work.
    Go,
    /// Drop this many connections at once.
    Vanish(usize),
    /// Say what was done so far.
    Report,
    /// End.
    Quit,
}

impl Command {
    fn read(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        match (words.next()?, words.next()) {
            ("go", None) => Some(Self::Go),
            ("report", None) => Some(Self::Report),
            ("quit", None) => Some(Self::Quit),
            ("vanish", Some(count)) => count.parse().ok().map(Self::Vanish),
            _ => None,
        }
    }
}

/// The commands that came.
pub struct Control {
    lines: Receiver<Command>,
}

impl Control {
    /// Reads the input in a thread of its own, which wakes the event loop.
    pub fn new(registry: &Registry) -> io::Result<Self> {
        let waker = Arc::new(Waker::new(registry, TOKEN)?);
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            let input = io::stdin().lock().lines();
            for line in input.map_while(Result::ok) {
                match Command::read(&line) {
                    Some(command) => {
                        if sender.send(command).is_err() || waker.wake().is_err() {
                            return;
                        }
                    }
                    None => eprintln!("load: unknown command {line:?}"),
                }
            }
            // The process that started this is gone: so is the reason to go on.
            let _ = sender.send(Command::Quit);
            let _ = waker.wake();
        });
        Ok(Self { lines })
    }

    /// Those that wait.
    pub fn commands(&self) -> impl Iterator<Item = Command> {
        self.lines.try_iter()
    }
}
