//! The queue with the events of a server: what each costs, its lane, and its order.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

fn queue() -> (ServerEvents, Arc<AtomicUsize>) {
    let wakes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&wakes);
    let wake = move || {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    (ServerEvents::new(wake), wakes)
}

fn message(peer: &Arc<Peer>, text: &'static str) -> Event {
    Event::Message { peer: Arc::clone(peer), text: Utf8Bytes::from_static(text) }
}

#[test]
fn many_events_need_one_wake_until_the_queue_was_found_empty() {
    let (queue, wakes) = queue();
    let peer = Arc::new(Peer::new(1, 0));
    for _ in 0..3 {
        queue.push(message(&peer, "x"));
    }
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    assert_eq!(queue.drain(2, usize::MAX, false).len(), 2);
    queue.push(message(&peer, "x"));
    assert_eq!(queue.drain(9, usize::MAX, false).len(), 2);
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    assert!(queue.drain(9, usize::MAX, false).is_empty());
    queue.push(message(&peer, "x"));
    assert_eq!(wakes.load(Ordering::SeqCst), 2);
}

#[test]
fn an_application_that_comes_again_by_itself_is_not_woken() {
    let (queue, wakes) = queue();
    let peer = Arc::new(Peer::new(1, 0));
    queue.push(message(&peer, "x"));
    assert_eq!(queue.drain(9, usize::MAX, true).len(), 1);
    assert!(queue.drain(9, usize::MAX, true).is_empty());
    queue.push(message(&peer, "x"));
    assert_eq!(wakes.load(Ordering::SeqCst), 1);
    assert_eq!(queue.drain(9, usize::MAX, true).len(), 1);
    assert!(queue.drain(9, usize::MAX, false).is_empty());
    queue.push(message(&peer, "x"));
    assert_eq!(wakes.load(Ordering::SeqCst), 2);
}

#[test]
fn i5_bytes_count_as_unhandled_until_the_next_drain() {
    let (queue, _) = queue();
    let peer = Arc::new(Peer::new(1, 0));
    queue.push(message(&peer, "12345"));
    assert_eq!((peer.unhandled(), queue.unhandled()), (EVENT_BYTES + 5, EVENT_BYTES + 5));
    assert_eq!(queue.drain(9, usize::MAX, false).len(), 1);
    assert_eq!(peer.unhandled(), EVENT_BYTES + 5);
    assert!(queue.drain(9, usize::MAX, false).is_empty());
    assert_eq!((peer.unhandled(), queue.unhandled()), (0, 0));
}

#[test]
fn i5_a_log_line_costs_what_its_peer_wrote_into_it() {
    let (queue, _) = queue();
    let peer = Arc::new(Peer::new(1, 0));
    let line = Line::warn("x", serde_json::json!({ "workerId": "y".repeat(5000) }));
    queue.push(Event::Log { line, peer: Some(Arc::clone(&peer)) });
    assert!(peer.unhandled() > 5000);
    assert_eq!(peer.unhandled_messages(), 0);
}

/// The events in the order in which they are drained, `count` at a time.
fn drained(queue: &ServerEvents, at_most: usize) -> Vec<Event> {
    let drained = || Some(queue.drain(at_most, usize::MAX, false)).filter(|events| !events.is_empty());
    std::iter::from_fn(drained).flatten().collect()
}

/// Whose events these are.
fn lanes(events: &[Event]) -> Vec<PeerId> {
    events.iter().map(Entry::lane).collect()
}

#[test]
fn i7_a_peer_that_floods_does_not_keep_the_others_waiting() {
    let (queue, _) = queue();
    let [flooding, other] = [1, 2].map(|id| Arc::new(Peer::new(id, 0)));
    (0..50_000).for_each(|_| queue.push(message(&flooding, "x")));
    queue.push(message(&other, "x"));
    queue.push(Event::Log { line: Line::warn("x", Value::Null), peer: None });
    let drained = lanes(&drained(&queue, 512));
    let place = |lane| drained.iter().position(|&of| of == lane);
    assert!(place(other.id).is_some_and(|place| place < 100));
    assert!(place(SERVER_LANE).is_some_and(|place| place < 100));
    assert_eq!(drained.len(), 50_002);
}

#[cfg(unix)]
#[tokio::test]
async fn i7_a_connection_for_node_goes_between_what_peers_have_sent() {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let stream = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (queue, _) = queue();
    for id in 1..=8 {
        let peer = Arc::new(Peer::new(id, 0));
        (0..1_000).for_each(|_| queue.push(message(&peer, "x")));
    }
    queue.push(Event::Connection { socket: Descriptor::of(stream).unwrap(), head: Bytes::new(), secured: None });
    let place = drained(&queue, 512).iter().position(|event| matches!(event, Event::Connection { .. }));
    assert_eq!(place, Some(8 * 64));
}

#[test]
fn i2_one_peers_events_stay_in_order() {
    let (queue, _) = queue();
    let [flooding, other] = [1, 2].map(|id| Arc::new(Peer::new(id, 0)));
    let text = Utf8Bytes::from_static("register");
    queue.push(Event::Register { peer: Arc::clone(&other), text, replaces: None });
    for number in 0..1_000 {
        queue.push(message(&flooding, "x"));
        let text = number.to_string().into();
        queue.push(Event::Message { peer: Arc::clone(&other), text });
    }
    queue.push(Event::Closed { peer: Arc::clone(&other), code: 1000, reason: Utf8Bytes::default() });
    let drained = drained(&queue, 7);
    let mut events = drained.iter().filter(|event| event.lane() == other.id);
    assert!(matches!(events.next(), Some(Event::Register { .. })));
    for number in 0..1_000 {
        let Some(Event::Message { text, .. }) = events.next() else { unreachable!("a message is missing") };
        assert_eq!(text.as_str(), number.to_string());
    }
    assert!(matches!(events.next(), Some(Event::Closed { .. })));
    assert!(events.next().is_none());
}

#[test]
fn i2_nothing_of_a_peer_is_taken_in_behind_its_end_and_only_the_first_end_counts() {
    let (queue, _) = queue();
    let peer = Arc::new(Peer::new(1, 0));
    let end = |code| Event::Closed { peer: Arc::clone(&peer), code, reason: Utf8Bytes::default() };
    queue.push(message(&peer, "before"));
    queue.push(end(4003));
    queue.push(message(&peer, "behind"));
    queue.push(Event::Log { line: Line::warn("x", Value::Null), peer: Some(Arc::clone(&peer)) });
    queue.push(end(1006));
    let drained = drained(&queue, 9);
    assert!(matches!(drained[..], [Event::Message { .. }, Event::Closed { code: 4003, .. }]), "{drained:?}");
    assert_eq!((peer.unhandled(), queue.unhandled()), (0, 0));
}

#[test]
fn i2_a_registration_comes_after_what_the_replaced_peer_has_sent() {
    let (queue, _) = queue();
    let [old, new] = [1, 2].map(|id| Arc::new(Peer::new(id, 0)));
    (0..1_000).for_each(|_| queue.push(message(&old, "x")));
    let text = Utf8Bytes::from_static("register");
    queue.push(Event::Register { peer: Arc::clone(&new), text, replaces: Some(old.id) });
    let drained = lanes(&drained(&queue, 512));
    assert_eq!(drained.iter().position(|&lane| lane == new.id), Some(1_000));
}

#[test]
fn a_barrier_comes_behind_all_that_was_in_its_lane_and_lanes_with_nothing_have_none() {
    let (queue, wakes) = queue();
    let peers = [1, 2, 3].map(|id| Arc::new(Peer::new(id, 0)));
    let barrier = |number| queue.push_behind_each(|lane| Event::Barrier { number, lane });
    assert_eq!(barrier(1), 0);
    assert_eq!(wakes.load(Ordering::SeqCst), 0);
    for peer in &peers[..2] {
        (0..1_000).for_each(|_| queue.push(message(peer, "x")));
    }
    queue.push(Event::Closed { peer: Arc::clone(&peers[0]), code: 1000, reason: Utf8Bytes::default() });
    queue.push(Event::Log { line: Line::warn("x", Value::Null), peer: None });
    assert_eq!(barrier(2), 3);
    peers[1..].iter().for_each(|peer| queue.push(message(peer, "later")));
    let mut before = std::collections::HashMap::new();
    let mut barriers = Vec::new();
    for event in drained(&queue, 7) {
        match event {
            Event::Barrier { number: 2, lane } => barriers.push((lane, before.get(&lane).copied())),
            event => *before.entry(event.lane()).or_insert(0) += 1,
        }
    }
    barriers.sort_unstable();
    assert_eq!(barriers, [(SERVER_LANE, Some(1)), (1, Some(1_001)), (2, Some(1_000))]);
    queue.push(message(&peers[1], "x"));
    queue.close();
    assert_eq!(barrier(3), 0);
}

#[test]
fn a_closed_queue_drops_everything_but_the_end() {
    let (queue, _) = queue();
    let peer = Arc::new(Peer::new(1, 0));
    queue.push(message(&peer, "x"));
    queue.close();
    assert_eq!((peer.unhandled(), queue.unhandled()), (0, 0));
    queue.push(message(&peer, "x"));
    queue.push(Event::Stopped);
    assert!(matches!(queue.drain(9, usize::MAX, false)[..], [Event::Stopped]));
}
