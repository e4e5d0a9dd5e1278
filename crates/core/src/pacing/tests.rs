use proptest::prelude::*;

use super::*;

/// What happens to a [`Pacing`]. Times are since what happened before, in microseconds.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The application takes events of a peer, this long after it handled the last ones, and handles them in no time.
    Events(u64, u64),
    /// It takes none.
    Nothing(u64),
    Send,
    Connect,
    /// The runtime's thread wakes it, for something that came just now, and rests as long as `on_wake` returns.
    Wake(u64),
}

use Step::{Connect, Events, Nothing, Send, Wake};

struct Run {
    pacing: Pacing,
    now: Instant,
}

impl Run {
    fn new(processors: usize) -> Self {
        let mut pacing = Pacing::new(processors);
        pacing.set_polls_sockets(true, false);
        Self { pacing, now: Instant::now() }
    }

    fn take(&mut self, step: Step) {
        let mut later = |micros| {
            self.now += Duration::from_micros(micros);
            self.now
        };
        match step {
            Events(after, peer) => {
                let now = later(after);
                self.pacing.on_ask(now);
                self.pacing.on_events(now, peer);
                self.pacing.on_ask(now);
            }
            Nothing(after) => {
                let now = later(after);
                self.pacing.on_ask(now);
            }
            Send => self.pacing.on_send(),
            Connect => self.pacing.on_connect(),
            Wake(after) => {
                let now = later(after);
                if let Some(rest) = self.pacing.on_wake(now, now) {
                    self.now += rest;
                    self.pacing.on_rested(self.now);
                }
            }
        }
    }

    fn repeat(&mut self, times: u32, steps: &[Step]) -> Verdict {
        for _ in 0..times {
            for &step in steps {
                self.take(step);
            }
        }
        self.pacing.verdict(self.now)
    }
}

/// What happens, with how many processors, which steps how often, and the verdict on that.
type Row<'a> = (&'a str, usize, &'a [(u32, &'a [Step])], Verdict);

#[test]
fn each_pattern_of_traffic_has_its_verdict() {
    let conversation = [Send, Events(30, 1)];
    let several = |peers: u64| (0..peers).flat_map(|peer| [Send, Events(30, peer)]).collect::<Vec<_>>();
    let streaming = [Wake(200)];
    let table: &[Row] = &[
        ("nothing has happened", 2, &[], Verdict::Sleep),
        ("answers at once, but not often enough yet", 2, &[(16, &conversation)], Verdict::Sleep),
        ("answers at once, again and again", 2, &[(17, &conversation)], Verdict::Poll),
        ("the same with one processor", 1, &[(100, &conversation)], Verdict::Sleep),
        ("a conversation with sixteen", 2, &[(20, &several(16))], Verdict::Poll),
        ("a conversation with seventeen", 2, &[(20, &several(17))], Verdict::Sleep),
        ("the same after a lull", 2, &[(99, &conversation), (1, &[Nothing(100)])], Verdict::Sleep),
        (
            "a lull does not end a conversation",
            2,
            &[(99, &conversation), (1, &[Nothing(9_999), Send, Events(1, 1), Send, Events(1, 1)])],
            Verdict::Poll,
        ),
        ("answers that take their time", 2, &[(100, &[Send, Events(100, 1)])], Verdict::Sleep),
        (
            "one answer of three comes late",
            2,
            &[(100, &[Send, Events(30, 1), Send, Events(30, 1), Send, Events(500, 1)])],
            Verdict::Sleep,
        ),
        ("events soon, that nobody asked for", 2, &[(100, &[Events(30, 1)])], Verdict::Sleep),
        ("late answers end a conversation", 2, &[(99, &conversation), (9, &[Send, Events(500, 1)])], Verdict::Sleep),
        ("messages stream in, but not for long yet", 2, &[(16, &streaming)], Verdict::Sleep),
        ("messages stream in", 2, &[(17, &streaming)], Verdict::Coalesce),
        ("the same with one processor", 1, &[(17, &streaming)], Verdict::Coalesce),
        ("messages now and then", 2, &[(100, &[Wake(1_000)])], Verdict::Sleep),
        ("a stream that has ended", 2, &[(99, &streaming), (9, &[Wake(5_000)])], Verdict::Sleep),
        ("a stream in which something is sent", 2, &[(99, &streaming), (1, &[Send])], Verdict::Sleep),
        ("a stream in which somebody connects", 2, &[(99, &streaming), (1, &[Connect])], Verdict::Sleep),
        ("a conversation among what streams in", 2, &[(99, &[Send, Events(30, 1), Wake(30)])], Verdict::Poll),
    ];
    for (name, processors, parts, verdict) in table {
        let mut run = Run::new(*processors);
        for (times, steps) in *parts {
            run.repeat(*times, steps);
        }
        assert_eq!(run.pacing.verdict(run.now), *verdict, "{name}");
    }
}

#[test]
fn the_application_looks_for_fewer_peers_where_it_cannot_read_their_sockets() {
    for (peers, verdict) in [(6, Verdict::Poll), (7, Verdict::Sleep)] {
        let mut run = Run::new(2);
        run.pacing.set_polls_sockets(false, true);
        let conversation: Vec<_> = (0..peers).flat_map(|peer| [Send, Events(30, peer)]).collect();
        assert_eq!(run.repeat(20, &conversation), verdict);
    }
}

#[test]
fn with_one_processor_the_application_looks_where_it_can_sleep_meanwhile() {
    for (polls_sockets, can_sleep, verdict) in
        [(true, true, Verdict::Poll), (true, false, Verdict::Sleep), (false, true, Verdict::Sleep)]
    {
        let mut run = Run::new(1);
        run.pacing.set_polls_sockets(polls_sockets, can_sleep);
        assert_eq!(run.pacing.look(), (verdict == Verdict::Poll).then_some(Look::Asleep));
        assert_eq!(run.repeat(17, &[Send, Events(900, 1)]), verdict);
        assert_eq!(run.pacing.verdict(run.now + SLEEPING_POLL_TIME), Verdict::Sleep);
    }
    assert_eq!(Run::new(2).pacing.look(), Some(Look::Awake), "though it could sleep");
}

#[test]
fn a_wake_waits_longer_and_the_thread_rests_only_while_messages_stream_in() {
    let mut run = Run::new(2);
    assert_eq!(run.pacing.wake_delay(), MAX_WAKE_DELAY);
    assert_eq!(run.pacing.on_wake(run.now, run.now), None);
    run.repeat(17, &[Wake(200)]);
    assert_eq!(run.pacing.wake_delay(), REST_TIME);
    assert_eq!(run.pacing.on_wake(run.now, run.now), Some(REST_TIME));
    run.take(Send);
    assert_eq!(run.pacing.wake_delay(), MAX_WAKE_DELAY);
    assert_eq!(run.pacing.on_wake(run.now, run.now), None);
}

#[test]
fn what_comes_within_a_rests_length_of_its_end_is_part_of_the_stream() {
    let mut run = Run::new(2);
    run.repeat(17, &[Wake(200)]);
    assert_eq!(run.repeat(100, &[Wake(999)]), Verdict::Coalesce);
}

#[test]
fn after_a_vain_standby_some_occasions_pass() {
    let mut pacing = Pacing::new(2);
    assert!(pacing.may_stand_by());
    assert!(pacing.may_stand_by());
    pacing.on_vain_standby();
    for _ in 0..SKIPPED_STANDBYS {
        assert!(!pacing.may_stand_by());
    }
    assert!(pacing.may_stand_by());
}

#[test]
fn a_clock_that_goes_back_is_no_error() {
    let mut run = Run::new(2);
    let earlier = run.now;
    run.now += Duration::from_secs(1);
    run.repeat(40, &[Send, Events(30, 1), Wake(30)]);
    run.pacing.on_ask(earlier);
    run.pacing.on_events(earlier, 1);
    run.pacing.on_wake(earlier, earlier);
    run.pacing.on_rested(earlier);
    run.pacing.verdict(earlier);
}

fn step() -> impl Strategy<Value = Step> {
    let micros = || prop_oneof![0..150_u64, 0..3_000_u64, 0..100_000_u64];
    prop_oneof![
        4 => (micros(), 0..20_u64).prop_map(|(after, peer)| Events(after, peer)),
        1 => micros().prop_map(Nothing),
        4 => Just(Send),
        1 => Just(Connect),
        4 => micros().prop_map(Wake),
    ]
}

proptest! {
    /// Whatever happened, nobody waits for long, and nobody looks without a reason.
    #[test]
    fn every_verdict_is_one_that_what_happened_allows(
        processors in 1_usize..4,
        steps in prop::collection::vec(step(), 0..300),
    ) {
        let mut run = Run::new(processors);
        let (mut sends, mut wakes) = (0_u32, 0_u32);
        for step in steps {
            run.take(step);
            match step {
                Send => { sends += 1; wakes = 0; }
                Connect => wakes = 0,
                Wake(_) => wakes += 1,
                Events(..) | Nothing(_) => {}
            }
            let verdict = run.pacing.verdict(run.now);
            if processors == 1 || sends <= 16 {
                prop_assert_ne!(verdict, Verdict::Poll);
            }
            if wakes <= 16 {
                prop_assert_ne!(verdict, Verdict::Coalesce);
                prop_assert_eq!(run.pacing.wake_delay(), MAX_WAKE_DELAY);
            }
            // With nothing to do nobody looks, and that is so soon.
            prop_assert_ne!(run.pacing.verdict(run.now + POLL_TIME), Verdict::Poll);
            prop_assert!(run.pacing.wake_delay() <= REST_TIME);
        }
    }

    /// What was is soon forgotten: the same pattern ends in the same verdict, however it began.
    #[test]
    fn a_pattern_that_goes_on_has_its_verdict_whatever_came_before(
        before in prop::collection::vec(step(), 0..300),
        talks in any::<bool>(),
    ) {
        let mut run = Run::new(2);
        for step in before {
            run.take(step);
        }
        run.repeat(40, &[Nothing(50_000)]);
        let (pattern, expected): (&[Step], _) = if talks {
            (&[Send, Events(30, 1)], Verdict::Poll)
        } else {
            (&[Wake(100)], Verdict::Coalesce)
        };
        prop_assert_eq!(run.repeat(40, pattern), expected);
    }
}

/// A run in which events of as many peers as are in a batch come at once, and each is answered.
fn in_batches(peers: u64, batch: usize) -> Verdict {
    let mut run = Run::new(2);
    let mut next = (0..peers).cycle();
    for _ in 0..200 {
        run.take(Send);
        run.now += Duration::from_micros(30);
        run.pacing.on_ask(run.now);
        let first = next.next().unwrap();
        run.pacing.on_events(run.now, first);
        next.by_ref().take(batch - 1).for_each(|peer| run.pacing.on_events_besides(peer));
        run.pacing.on_ask(run.now);
    }
    run.pacing.verdict(run.now)
}

#[test]
fn all_peers_of_a_batch_count_among_how_many_a_conversation_is() {
    for batch in [1, 4, 8, 15] {
        assert_eq!(in_batches(16, batch), Verdict::Poll, "{batch} at once");
        // Their batches are few enough, but they are not.
        assert_eq!(in_batches(50, batch), Verdict::Sleep, "{batch} at once");
    }
}
