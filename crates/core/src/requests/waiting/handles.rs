//! What the parts of the waiting room call each other by: places in slabs, used again when their holder is gone.

/// Names a request that waits.
pub type RequestId = usize;
/// Names a flow.
pub type FlowId = usize;
/// Names a fair key of which something waits.
pub type KeyId = usize;
/// Names a line.
pub type LineId = usize;
/// Names a board.
pub type BoardId = usize;
