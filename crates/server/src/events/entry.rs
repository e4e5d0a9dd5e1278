//! What the event queue asks of those that wait in it.

/// Something that can be queued.
pub trait Entry {
    /// What it puts on an account.
    type Charge: Charge;

    /// Whose it is: with those of the same lane it keeps its order, and with other lanes it takes turns.
    fn lane(&self) -> u64;

    /// Another lane, if it must not come before what is already waiting there.
    fn after(&self) -> Option<u64>;

    /// What it costs until it is handled.
    fn charge(&self) -> Option<Self::Charge>;

    /// As how many it counts when it is drained.
    fn count(&self) -> usize;

    /// Whether even a closed queue takes it.
    fn is_last(&self) -> bool;

    /// Whether it is dropped when this many entries are waiting.
    fn may_be_left_out(&self, waiting: usize) -> bool;

    /// Whether it is still wanted. Asked once, as it is put in, and of one entry at a time: so a peer that was reported
    /// gone can't be heard of afterwards, whichever thread speaks of it.
    fn admit(&self) -> bool {
        true
    }
}

/// What is on an account until it is credited.
pub trait Charge {
    /// Bytes.
    fn bytes(&self) -> usize;

    /// Puts it on the account.
    fn debit(&self);

    /// Takes it off the account.
    fn credit(&self);
}
