//! How a connection becomes a worker.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

mod support;

use support::client::{Client, Raw, TEXT, frame, registration};
use support::{App, Seen, eventually};
use worker_server::Server;
use worker_server::events::Event;
use worker_server::peer::PeerId;
use worker_server_core::config::ServerConfig;
use worker_server_core::worker::WorkerKey;

/// Tracks a request on the worker that registered last. Returns its key, if anybody is there.
fn track_on_last(server: &Server) -> Option<WorkerKey> {
    let key = server.workers().last()?.key;
    server.track(key, None).then_some(key)
}

/// The active requests of a worker, if it is there.
fn active(server: &Server, key: WorkerKey) -> Option<u64> {
    server.worker(key).map(|worker| worker.active)
}

#[tokio::test]
async fn a_registration_is_acknowledged_with_a_session_and_the_heartbeat_interval() {
    let mut app = App::start(ServerConfig { heartbeat_interval_ms: 1234.0, ..ServerConfig::default() });
    let mut client = Client::connect(app.port()).await;
    client.send(&registration("w")).await;
    let ack = client.text().await;
    let Seen::Connected { id, session, .. } = app.event().await else { panic!("not connected") };
    assert_eq!(id, "w");
    assert_eq!(
        ack,
        format!(
            r#"{{"type":"worker_registration_ack","success":true,"sessionId":"{session}","heartbeatIntervalMs":1234}}"#
        )
    );
}

#[tokio::test]
async fn i3_a_worker_that_has_its_ack_is_in_the_pool() {
    let app = App::start(ServerConfig::default());
    for count in 1..=20 {
        let _client = Client::registered(app.port(), &format!("w{count}")).await;
        assert!(track_on_last(&app.server).is_some());
    }
}

#[tokio::test]
async fn i1_no_worker_joins_while_the_application_is_busy() {
    let mut app = App::start(ServerConfig::default());
    let hold = app.hold().await;
    let mut client = Client::connect(app.port()).await;
    client.send(&registration("w")).await;
    // A refusal needs no application; it shows that the server is not just slow.
    let mut other = Client::connect(app.port()).await;
    other.send(r#"{"type":"worker_registration"}"#).await;
    assert_eq!(other.json().await["success"], false);
    assert_eq!(app.server.worker_count(), 0);
    hold.release();
    assert!(matches!(app.event().await, Seen::Connected { count: 1, .. }));
}

#[tokio::test]
async fn i1_a_worker_whose_socket_died_stays_with_its_requests_until_its_end_is_told() {
    let mut app = App::start(ServerConfig::default());
    let (client, _) = Client::registered(app.port(), "w").await;
    app.event().await;
    let hold = app.hold().await;
    drop(client);
    eventually(|| app.server.select_any().is_none()).await;
    assert_eq!(app.server.worker_count(), 1);
    assert!(!app.server.send("w", "{}".into()));
    let key = track_on_last(&app.server).expect("tracked on an entry that is still there");
    assert_eq!(active(&app.server, key), Some(1));
    hold.release();
    assert!(matches!(app.event().await, Seen::Gone { worker: Some(id), count: 0, .. } if id == "w"));
    assert_eq!(active(&app.server, key), None, "it has left");
}

#[tokio::test]
async fn i2_what_follows_a_registration_is_read_when_that_is_settled() {
    let mut app = App::start(ServerConfig::default());
    let hold = app.hold().await;
    let mut client = Client::connect(app.port()).await;
    for text in [r#"{"type":"0"}"#, &registration("a"), r#"{"type":"1"}"#, &registration("b"), r#"{"type":"2"}"#] {
        client.send(text).await;
    }
    hold.release();
    let mut seen = Vec::new();
    while seen.len() < 6 {
        seen.push(match app.event().await {
            Seen::Connected { id, .. } => format!("connected {id}"),
            Seen::Replaced { id, .. } => format!("replaced {id}"),
            Seen::Message { worker, text } => format!("{worker:?} {text}"),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(
        seen,
        [
            r#"None {"type":"0"}"#,
            "connected a",
            r#"Some("a") {"type":"1"}"#,
            "replaced a",
            "connected b",
            r#"Some("b") {"type":"2"}"#
        ]
    );
}

#[tokio::test]
async fn a_wrong_token_is_refused_with_4001_and_never_logged() {
    let mut app = App::start(ServerConfig { auth_tokens: Some(vec!["right".into()]), ..ServerConfig::default() });
    let mut client = Client::connect(app.port()).await;
    client.send(&registration("w").replacen('{', r#"{"authToken":"wrong-7","#, 1)).await;
    assert_eq!(
        client.text().await,
        r#"{"type":"worker_registration_ack","success":false,"error":"Invalid authentication token"}"#
    );
    assert_eq!(client.closed().await, (4001, "Authentication failed".into()));
    let mut lines = Vec::new();
    loop {
        match app.next().await {
            Seen::Gone { worker, code, .. } => break assert_eq!((worker, code), (None, 4001)),
            other => lines.push(format!("{other:?}")),
        }
    }
    assert!(lines.iter().any(|line| line.contains("invalid auth token")));
    assert!(!lines.iter().any(|line| line.contains("wrong-7")));
    assert_eq!(app.server.worker_count(), 0);
}

#[tokio::test]
async fn a_right_token_is_accepted() {
    let app = App::start(ServerConfig { auth_tokens: Some(vec!["right".into()]), ..ServerConfig::default() });
    let mut client = Client::connect(app.port()).await;
    client.send(&registration("w").replacen('{', r#"{"authToken":"right","#, 1)).await;
    assert_eq!(client.json().await["success"], true);
}

#[tokio::test]
async fn a_malformed_registration_is_refused_with_4002_and_says_what_is_wrong() {
    let mut app = App::start(ServerConfig::default());
    for text in [
        r#"{"type":"worker_registration","workerId":"w"}"#,
        r#"{"type":"worker_registration","workerId":7,"capabilities":{"models":[],"maxConcurrentRequests":1}}"#,
        r#"{"type":"worker_registration","workerId":"w","capabilities":{"models":[],"maxConcurrentRequests":-1}}"#,
    ] {
        let mut client = Client::connect(app.port()).await;
        client.send(text).await;
        let answer = client.json().await;
        assert!(answer["error"].as_str().is_some_and(|error| error.starts_with("Invalid registration: ")), "{answer}");
        assert_eq!(client.closed().await, (4002, "Invalid registration".into()));
        app.log("Worker registration rejected: invalid registration").await;
    }
}

#[tokio::test]
async fn i2_a_second_connection_of_an_id_replaces_the_first() {
    let mut app = App::start(ServerConfig::default());
    let (mut old, first) = Client::registered(app.port(), "w").await;
    assert!(matches!(app.event().await, Seen::Connected { session, .. } if session == first));
    let (mut new, second) = Client::registered(app.port(), "w").await;
    assert_ne!(first, second);
    assert!(matches!(app.event().await, Seen::Replaced { count: 0, .. }));
    assert!(matches!(app.event().await, Seen::Connected { session, count: 1, .. } if session == second));
    assert_eq!(old.closed().await, (4003, "Replaced by new connection".into()));
    assert!(matches!(app.event().await, Seen::Gone { worker: None, count: 1, .. }));
    assert!(app.server.send("w", "to the new".into()));
    assert_eq!(new.text().await, "to the new");
}

#[tokio::test]
async fn i2_no_message_of_a_replaced_session_comes_from_the_worker() {
    let mut app = App::start(ServerConfig::default());
    let mut old = Raw::registered(app.port(), "w").await;
    let _new = Client::registered(app.port(), "w").await;
    assert_eq!(old.closed().await, (4003, "Replaced by new connection".into()));
    // It speaks on before it answers the close frame.
    old.write(&frame(TEXT, br#"{"type":"old"}"#)).await;
    old.write(&frame(0x88, &4003_u16.to_be_bytes())).await;
    loop {
        match app.event().await {
            Seen::Message { worker, .. } => assert_eq!(worker, None),
            Seen::Gone { worker, count, .. } => break assert_eq!((worker, count), (None, 1)),
            _ => {}
        }
    }
}

#[tokio::test]
async fn the_same_id_on_the_same_socket_starts_a_new_session_and_keeps_the_socket() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, first) = Client::registered(app.port(), "w").await;
    let key = track_on_last(&app.server).expect("it is there");
    let second = client.register("w").await;
    assert_ne!(first, second);
    assert_eq!(active(&app.server, key), None, "the old session has left");
    assert_eq!(app.server.workers().iter().map(|worker| worker.active).collect::<Vec<_>>(), [0]);
    client.send(r#"{"type":"x"}"#).await;
    assert_eq!(app.message().await.0.as_deref(), Some("w"));
    assert_eq!(app.server.worker_count(), 1);
}

#[tokio::test]
async fn another_id_on_the_same_socket_lets_the_first_worker_leave() {
    let mut app = App::start(ServerConfig::default());
    let (mut client, _) = Client::registered(app.port(), "a").await;
    client.register("b").await;
    assert_eq!(app.server.worker_count(), 1);
    assert!(!app.server.send("a", "x".into()));
    assert!(app.server.send("b", "x".into()));
    drop(client);
    assert_eq!(app.gone().await.0.as_deref(), Some("b"));
}

/// Takes events until `is_done` says so of all that were taken.
async fn take_until(server: &Server, mut is_done: impl FnMut(&[Event]) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    eventually(|| {
        events.extend(server.drain(100, usize::MAX, false, false).0);
        is_done(&events)
    })
    .await;
    events
}

fn registrations(events: &[Event]) -> Vec<PeerId> {
    let peer_of = |event: &Event| if let Event::Register { peer, .. } = event { Some(peer.id) } else { None };
    events.iter().filter_map(peer_of).collect()
}

#[tokio::test]
async fn a_registration_whose_own_socket_is_being_closed_displaces_nobody_and_nothing_behind_it_is_heard() {
    let server = Server::start(ServerConfig::default(), || ()).unwrap();
    let mut old = Raw::upgraded(server.port()).await;
    let old_says = |text: &str| frame(TEXT, text.as_bytes());
    old.write(&old_says(&registration("w"))).await;
    let [old_id] = registrations(&take_until(&server, |events| !registrations(events).is_empty()).await)[..] else {
        panic!("one registration");
    };
    assert!(server.displace(old_id).is_empty());
    server.register(old_id).expect("it is registered");
    server.flush();
    old.frame().await;

    // Both register, and the application is busy until both registrations are there.
    let mut new = Client::connect(server.port()).await;
    new.send(&registration("w")).await;
    let behind = r#"{"type":"of the session that never begins"}"#;
    old.write(&[old_says(&registration("w")), old_says(behind)].concat()).await;
    let both = registrations(&take_until(&server, |events| registrations(events).len() == 2).await);
    let new_id = *both.iter().find(|&&id| id != old_id).unwrap();
    assert_eq!(server.displace(new_id).len(), 1, "the one that holds the id");
    let registered = server.register(new_id).expect("it is registered");
    assert!(server.displace(old_id).is_empty());
    assert_eq!(server.register(old_id), None);
    server.flush();

    assert_eq!(new.json().await["sessionId"], registered.session_id.as_str());
    assert!(server.send("w", "to the new".into()));
    // It speaks on, and even registers, before it answers the close frame.
    old.write(&[old_says(behind), old_says(&registration("v")), old_says(behind)].concat()).await;
    old.write(&frame(0x88, &4003_u16.to_be_bytes())).await;
    let rest = take_until(&server, |events| events.iter().any(|event| matches!(event, Event::Closed { .. }))).await;
    let told: Vec<_> = rest.iter().filter(|event| !matches!(event, Event::Log { .. })).collect();
    assert!(matches!(told[..], [Event::Closed { .. }]), "{told:?}");
    assert_eq!(server.depart(old_id), None);
    assert_eq!(server.depart(old_id), None, "nor the second time");
    assert_eq!(server.worker_count(), 1);
}

#[tokio::test]
async fn after_a_registration_that_is_ignored_nothing_of_that_peer_is_heard() {
    let mut app = App::start(ServerConfig::default());
    let mut old = Raw::registered(app.port(), "w").await;
    let _new = Client::registered(app.port(), "w").await;
    assert_eq!(old.closed().await, (4003, "Replaced by new connection".into()));
    old.write(&frame(TEXT, registration("v").as_bytes())).await;
    old.write(&frame(TEXT, br#"{"type":"as v"}"#)).await;
    old.write(&frame(0x88, &4003_u16.to_be_bytes())).await;
    loop {
        match app.event().await {
            Seen::Message { worker, text } => panic!("{text} as of {worker:?}"),
            Seen::Gone { worker, count, .. } => break assert_eq!((worker, count), (None, 1)),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_registration_that_is_being_settled_stays_settled_though_its_socket_closes_meanwhile() {
    let server = Server::start(ServerConfig::default(), || ()).unwrap();
    let mut ids = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let mut client = Client::connect(server.port()).await;
        client.send(&registration("w")).await;
        let events = take_until(&server, |events| !registrations(events).is_empty()).await;
        ids.extend(registrations(&events));
        let displaced = server.displace(ids[ids.len() - 1]);
        assert_eq!(displaced.len(), clients.len());
        clients.push(client);
        if ids.len() == 1 {
            server.register(ids[0]).expect("it is registered");
        }
    }
    // Somebody was displaced for it: it must take that place, and leave with an event of its own.
    drop(clients.pop());
    assert!(server.register(ids[1]).is_some());
    let is_its_end = |event: &Event| matches!(event, Event::Closed { peer, .. } if peer.id == ids[1]);
    take_until(&server, |events| events.iter().any(is_its_end)).await;
    assert!(server.depart(ids[1]).is_some());
}
