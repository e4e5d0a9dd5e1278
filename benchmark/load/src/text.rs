//! The texts that workers send, in frames that are made before they are needed.

use std::rc::Rc;

use fastrand::Rng;

use crate::config::Registration;
use crate::frame;

/// The size of a piece that is written at once, at most.
const CHUNK: usize = 256 * 1024;

/// Makes frames from a seed.
pub struct Texts {
    random: Rng,
}

impl Texts {
    /// The same texts for the same seed.
    pub fn new(seed: u64) -> Self {
        Self { random: Rng::with_seed(seed) }
    }

    /// A mask, which is never zero.
    pub fn mask(&mut self) -> [u8; 4] {
        std::array::from_fn(|_| self.random.u8(1..))
    }

    /// A frame around `text`.
    pub fn framed(&mut self, text: &str) -> Vec<u8> {
        let mut frame = Vec::with_capacity(text.len() + 14);
        frame::append_text(&mut frame, self.mask(), text.as_bytes());
        frame
    }

    /// Frames of different reports of `size` bytes, as many as a chunk holds; all are of the same length, which is given too.
    pub fn reports(&mut self, size: usize) -> (Rc<[u8]>, usize) {
        let mut chunk = self.report(size);
        let length = chunk.len();
        while chunk.len() + length <= CHUNK {
            let frame = self.report(size);
            chunk.extend(frame);
        }
        (chunk.into(), length)
    }

    fn report(&mut self, size: usize) -> Vec<u8> {
        let request = self.random.u32(..1_000_000);
        let tokens = self.random.u32(1000..10_000);
        let start =
            format!(r#"{{"type":"report","requestId":"r-{request:06}","tokens":{tokens},"done":false,"text":""#);
        let text = self.padded(&start, r#""}"#, size);
        self.framed(&text)
    }

    /// `start`, letters and `end`, `size` bytes in all.
    pub fn padded(&mut self, start: &str, end: &str, size: usize) -> String {
        let mut text = String::with_capacity(size.max(start.len() + end.len()));
        text.push_str(start);
        while text.len() + end.len() < size {
            text.push(self.random.lowercase());
        }
        text.push_str(end);
        text
    }
}

/// The registration of the worker with that number.
pub fn registration(number: usize, differs: &Registration) -> String {
    let id = format!("w{number}");
    let model = if differs.own_model { format!("model-{number}") } else { "llama-3-70b".to_owned() };
    let slots = differs.slots.unwrap_or(16);
    let features = if differs.features.is_empty() {
        String::new()
    } else {
        format!(r#","features":["{}"]"#, differs.features.join(r#"",""#))
    };
    format!(
        r#"{{"type":"worker_registration","workerId":"{id}","workerName":"Worker {id}","capabilities":{{"models":[{{"modelId":"{model}","displayName":"Llama 3 70B","maxContextTokens":8192,"maxOutputTokens":4096,"supportsStreaming":true}}],"maxConcurrentRequests":{slots},"concurrencyLimits":{{"chat":8}}}}{features}}}"#
    )
}

/// A heartbeat of a worker.
pub fn heartbeat(id: &str) -> String {
    format!(r#"{{"type":"heartbeat","workerId":"{id}","timestamp":"2026-01-01T00:00:00.000Z"}}"#)
}
