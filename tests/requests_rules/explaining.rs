//! What `explain()` says.

use std::sync::Arc;

use super::*;
use worker_server_core::pool::Drainer;
use worker_server_core::requests::explain::explain;
use worker_server_core::requests::selector::Selector;

/// "each worker, in registration order, has the first reason that holds, in the order above"
#[test]
fn each_worker_has_the_first_reason_that_holds() {
    let mut server = Server::new();
    let two = capabilities(&["m"], 2.0, &[("c", 1.0)]);
    let eu = r#"{"region":"eu"}"#;
    for (id, takes, models, metadata) in [
        ("closing", Takes::Nothing, &["x"][..], "{}"),
        ("legacy", Takes::Nothing, &["x"], "{}"),
        ("model", Takes::Anything, &["x"], "{}"),
        ("selector", Takes::Anything, &["m"], "{}"),
        ("unhealthy", Takes::Anything, &["m"], eu),
        ("draining", Takes::Anything, &["m"], eu),
        ("busy", Takes::Anything, &["m"], eu),
        ("full", Takes::Anything, &["m"], eu),
        ("category", Takes::Anything, &["m"], eu),
        ("free", Takes::Anything, &["m"], eu),
    ] {
        let capabilities =
            Capabilities { models: models.iter().map(|&model| model.to_owned()).collect(), ..two.clone() };
        server.register_as(id, &capabilities, takes, metadata);
    }
    let key = |server: &Server, id| server.pool.key_of(id).unwrap();
    server.now_ms = 1_000;
    let now = server.now();
    for id in ["draining", "busy", "full", "category", "free", "selector"] {
        server.pool.heartbeat(id, now);
    }
    server.pool.check_health(now, 10, |()| false);
    let (draining, full) = (key(&server, "draining"), key(&server, "full"));
    for id in ["closing", "draining", "busy", "busy"] {
        let key = key(&server, id);
        server.pool.track(key, None);
    }
    let category = key(&server, "category");
    server.pool.track(category, Some(0));
    server.pool.set_draining(draining, Drainer::Application, true);
    server.pool.set_full(full, true);
    let closing = key(&server, "closing");
    server.pool.mark_closed(closing);

    let selector = Selector::read(eu).map(Arc::new);
    let demand = Demand { category: Some("c".into()), selector, ..for_model("m") };
    let explanation = explain(&server.pool, &demand);
    let reasons: Vec<_> = explanation.workers.iter().map(|(id, reason)| (&**id, reason.as_str())).collect();
    let expected = [
        ("closing", "closing"),
        ("legacy", "no-requests"),
        ("model", "model"),
        ("selector", "selector"),
        ("unhealthy", "unhealthy"),
        ("draining", "draining"),
        ("busy", "busy"),
        ("full", "busy"),
        ("category", "category"),
        ("free", "free"),
    ];
    assert_eq!(reasons, expected);
    assert_eq!(
        explanation.text,
        "10 worker(s): 2 busy, 1 closing, 1 does not take requests, 1 does not serve \"m\", 1 does not match where, 1 unhealthy, \
         1 draining, 1 at the limit of \"c\", 1 free"
    );
    let other = explain(&server.pool, &Demand { worker_id: Some(Name::new("free")), ..demand });
    assert_eq!(other.text, "10 worker(s): 8 are not \"free\", 1 closing, 1 free");
}

/// "counts, largest first, equal ones in the order of the reasons: `2 free`, `2 do not serve "m"` (1: `does not serve`)
/// …; `no workers`"
#[test]
fn the_text_counts_workers_with_the_same_reason() {
    let mut server = Server::new();
    assert_eq!(explain(&server.pool, &for_model("m")).text, "no workers");
    server.register("a", &["m"], 1.0);
    assert_eq!(explain(&server.pool, &Demand::any()).text, "1 worker(s): 1 free");
    server.register("b", &["m"], 1.0);
    server.register("c", &["x"], 1.0);
    server.register("d", &["x"], 1.0);
    server.register_as("e", &capabilities(&[], 1.0, &[]), Takes::Nothing, "{}");
    server.register_as("f", &capabilities(&[], 1.0, &[]), Takes::Nothing, "{}");
    server.register_busy("g", &["m"], 1);
    assert_eq!(
        explain(&server.pool, &for_model("m")).text,
        "7 worker(s): 2 do not take requests, 2 do not serve \"m\", 2 free, 1 busy"
    );
    let selector = Selector::read(r#"{"x":1}"#).map(Arc::new);
    assert_eq!(
        explain(&server.pool, &Demand { selector, ..Demand::any() }).text,
        "7 worker(s): 5 do not match where, 2 do not take requests"
    );
}
