//! The bounds of the queue, and what `info` says of it.

use super::*;
use worker_server_core::requests::Bound;

/// "`maxSize` counts who waits, `maxBytes` the UTF-8 of their payloads, `maxPerKey` those of one `fairKey`; beyond:
/// QUEUE_FULL at once. Who is withdrawn frees all three at once."
#[test]
fn each_bound_refuses_who_comes_beyond_it_until_one_is_withdrawn() {
    let limits = QueueLimits { max_size: 3, max_bytes: 100, max_per_key: Some(1) };
    let mut server = Server::with_limits(limits);
    server.register_busy("w", &["m"], 1);
    let of = |key: &'static str, bytes| {
        move |request: &mut Submission<'_>| {
            request.fair_key = Some(key.as_bytes());
            request.payload_bytes = bytes;
        }
    };
    let (a, _) = server.wait(&for_model("m"), of("a", 60));
    assert_eq!(server.submit(&for_model("m"), of("a", 1)), Submitted::Full(Bound::PerKey));
    assert_eq!(server.submit(&for_model("m"), of("b", 41)), Submitted::Full(Bound::Bytes));
    server.wait(&for_model("m"), of("b", 40));
    let unkeyed = |request: &mut Submission<'_>| request.payload_bytes = 0;
    server.wait(&for_model("m"), unkeyed);
    assert_eq!(server.submit(&for_model("m"), unkeyed), Submitted::Full(Bound::Size));
    assert!(server.requests.withdraw(&mut server.pool, a));
    server.wait(&for_model("m"), of("a", 60));
}

/// "maxPerKey: maxSize" is its default, and "`maxSize` 0: never wait".
#[test]
fn a_queue_of_size_zero_lets_nobody_wait() {
    let mut server = Server::with_limits(QueueLimits { max_size: 0, ..QueueLimits::default() });
    server.register("w", &["m"], 1.0);
    server.take(&for_model("m"), |_| {});
    assert_eq!(server.submit(&for_model("m"), |_| {}), Submitted::Full(Bound::Size));
}

/// "`queueTimeoutMs` … 0: never wait"
#[test]
fn a_request_that_never_waits_gets_a_free_slot_or_none() {
    let mut server = Server::new();
    server.register("w", &["m"], 1.0);
    server.take(&for_model("m"), |request| request.queue_ms = 0.0);
    assert_eq!(server.submit(&for_model("m"), |request| request.queue_ms = 0.0), Submitted::NeverWaits);
    assert_eq!(server.requests.size(), 0);
}

/// "position: itself and those that wait for the same model in its class or a higher one; size: all that wait"
#[test]
fn position_counts_those_for_the_same_model_with_its_priority_or_a_higher_one() {
    let mut server = Server::new();
    let place = |server: &mut Server, demand: &Demand, of: Priority| match server.submit(demand, |r| r.priority = of) {
        Submitted::Waits { position, size, .. } => (position, size),
        other => panic!("{other:?}"),
    };
    let in_category = Demand { category: Some("c".into()), ..for_model("m") };
    assert_eq!(place(&mut server, &for_model("m"), Priority::Low), (1, 1));
    assert_eq!(place(&mut server, &for_model("m"), Priority::High), (1, 2));
    assert_eq!(place(&mut server, &in_category, Priority::Medium), (2, 3));
    assert_eq!(place(&mut server, &for_model("other"), Priority::Low), (1, 4));
    assert_eq!(place(&mut server, &Demand::any(), Priority::Low), (1, 5));
    assert_eq!(place(&mut server, &for_model("m"), Priority::Low), (4, 6));
}

/// "getQueueInfo(): { size, bytes, oldestMs, byModel }; without a model: `*`; oldestMs 0 when empty"
#[test]
fn the_queue_tells_its_size_bytes_and_age_and_how_many_wait_for_each_model() {
    let mut server = Server::new();
    server.register_busy("w", &["m"], 1);
    let bytes = |payload_bytes| move |request: &mut Submission<'_>| request.payload_bytes = payload_bytes;
    server.now_ms = 1_000;
    let (first, _) = server.wait(&for_model("m"), bytes(10));
    server.now_ms = 1_500;
    server.wait(&for_model("m"), bytes(20));
    let (any, _) = server.wait(&Demand { worker_id: Some(Name::new("v")), ..Demand::any() }, bytes(3));
    server.now_ms = 1_750;
    let info = |server: &Server| {
        let info = server.requests.info(server.now());
        let by_model: Vec<_> = info.by_model.iter().map(|(model, count)| (model.to_string(), *count)).collect();
        (info.size, info.bytes, info.oldest_ms, by_model)
    };
    assert_eq!(info(&server), (3, 33, 750, vec![("*".to_owned(), 1), ("m".to_owned(), 2)]));
    assert!(server.requests.withdraw(&mut server.pool, first));
    assert!(server.requests.withdraw(&mut server.pool, any));
    assert_eq!(info(&server), (1, 20, 250, vec![("m".to_owned(), 1)]));
    server.requests.clear(&mut server.pool);
    assert_eq!(info(&server), (0, 0, 0, vec![]));
}

/// "NO_WORKER: no registered worker could ever take it: one that is not closing, takes requests, has the model, matches
/// `where` and `workerId`, with capacity and category limit above 0, whatever its status."
#[test]
fn there_is_no_worker_if_none_could_ever_take_it_whatever_its_status() {
    let mut server = Server::new();
    let demand = Demand { category: Some("c".into()), ..for_model("m") };
    let fails = |request: &mut Submission<'_>| request.fails_without_worker = true;
    let has_none = |server: &mut Server| server.submit(&demand, fails) == Submitted::NoWorker;
    assert!(has_none(&mut server), "nobody is registered");
    let closing = server.register_busy("closing", &["m"], 1);
    server.pool.mark_closed(closing);
    server.register_as("silent", &capabilities(&["m"], 1.0, &[]), Takes::Nothing, "{}");
    server.register_as("idle", &capabilities(&["m"], 0.0, &[]), Takes::Anything, "{}");
    server.register_as("limited", &capabilities(&["m"], 1.0, &[("c", 0.0)]), Takes::Anything, "{}");
    server.register("other", &["gpt"], 1.0);
    assert!(has_none(&mut server));
    let worker = server.register_busy("w", &["m"], 1);
    assert!(!has_none(&mut server), "a busy one could");
    server.now_ms = 1_000;
    let now = server.now();
    server.pool.check_health(now, 10, |()| false);
    assert_eq!(server.status(worker), Status::Unhealthy);
    assert!(!has_none(&mut server), "an unhealthy one could");
    let named = |id: &str| Demand { worker_id: Some(Name::new(id)), ..demand.clone() };
    assert!(!Requests::has_no_worker(&mut server.pool, &named("w")));
    assert!(Requests::has_no_worker(&mut server.pool, &named("other")));
    assert!(Requests::has_no_worker(&mut server.pool, &named("nobody")));
}

#[test]
fn a_ticket_counts_while_its_request_waits_and_tickets_are_small_numbers() {
    let mut server = Server::new();
    let (first, _) = server.wait(&for_model("m"), |_| {});
    let (second, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!((first.to_number(), second.to_number()), (0, 1));
    assert_eq!(Ticket::from_number(second.to_number()), second);
    assert!(server.requests.withdraw(&mut server.pool, first));
    assert!(!server.requests.withdraw(&mut server.pool, first));
    let (third, _) = server.wait(&for_model("m"), |_| {});
    assert_eq!(third, first, "the place is used again");
    for ticket in [second, third] {
        assert!(server.requests.withdraw(&mut server.pool, ticket));
    }
    assert!(!server.requests.withdraw(&mut server.pool, Ticket::from_number(u64::MAX)));
}

#[test]
fn a_demand_that_was_forgotten_is_said_to_be() {
    let mut server = Server::new();
    let old = server.requests.intern(&mut server.pool, for_model("m"));
    assert_eq!(server.requests.intern(&mut server.pool, for_model("m")), old, "it is known by its number");
    for number in 0..5_000 {
        server.requests.intern(&mut server.pool, for_model(&format!("model-{number}")));
    }
    let now = server.now();
    assert_eq!(server.requests.submit(&mut server.pool, &Submission::new(old), now), Submitted::Forgotten);
    server.wait(&for_model("m"), |_| {});
}
