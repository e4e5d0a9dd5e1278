//! The fuzz targets over their seeds, without libFuzzer: what was once found stays found, and the targets keep
//! compiling, on any toolchain.

#![allow(clippy::expect_used, clippy::panic, reason = "a test may fail loudly")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;

/// Runs a target over every seed, and over every beginning of it: what comes in may end anywhere.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds: Vec<_> =
        fs::read_dir(&folder).expect("the folder of seeds").map(|entry| entry.expect("a seed").path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty(), "{} holds seeds", folder.display());
    for seed in seeds {
        let bytes = fs::read(&seed).expect("a readable seed");
        // Printed with the failure, if there is one.
        println!("{}", seed.display());
        run(&bytes);
    }
}

#[test]
fn request_heads_get_one_verdict_however_they_are_cut() {
    replay("request_head", bodies::request_head::run);
}

#[test]
fn messages_are_classified_as_a_full_parser_would() {
    replay("classifier", bodies::classifier::run);
}

#[test]
fn whatever_peers_say_sessions_and_pool_agree() {
    replay("session", bodies::session::run);
}

#[test]
fn proxies_name_their_clients_whatever_these_claim() {
    replay("forwarded", bodies::forwarded::run);
}

#[cfg(unix)]
#[test]
fn i2_whoever_is_judged_is_heard_no_further_than_it_was_let_in() {
    replay("door", bodies::door::run);
}

#[cfg(unix)]
#[test]
fn bytes_from_a_socket_mean_what_rfc_6455_says() {
    replay("frames", bodies::frames::run);
}
