//! Who is blamed, for how much, and that nothing is blamed twice.

use contend_tests::agent::profile_command;
use contend_tests::requirements::alone;
use contend_tests::stats::assert_within;

#[test]
fn the_holder_is_blamed_and_the_waiters_waited() {
    let _alone = alone();
    let run = profile_command(&["--run-queue", "split"], "blame", &[]);
    let pid = run.truth().pid;
    let (mutex, block) = (run.mutex(pid), run.block(pid));

    let holder = mutex.with("hold_five_ms").delay() as f64 / mutex.delay() as f64;
    assert!(holder >= 0.95, "the holder's release has {:.1} %:\n{}", 100.0 * holder, mutex.stacks());
    let waiters = block.with("waiter_take_lock").delay() as f64 / block.delay() as f64;
    assert!(waiters >= 0.95, "the waiters have {:.1} %:\n{}", 100.0 * waiters, block.stacks());

    let run_queue = block.labelled("phase", "run_queue");
    assert_eq!(run_queue.contentions(), 0, "run-queue samples count nothing");
    assert!(run_queue.delay() > 0, "no run-queue samples with --run-queue split");
    let waited = block.delay() - run_queue.delay();
    assert_within("Σ mutex against Σ block − Σ run queue", mutex.delay() as f64, waited as f64, 0.02);
}

#[test]
fn folded_and_split_run_queue_are_the_same_delay() {
    let _alone = alone();
    let run = profile_command(&["--run-queue", "split"], "hot_mutex", &[]);
    let truth = run.truth();
    assert_within("split", run.block(truth.pid).delay() as f64, truth.delay_ns as f64, 0.02);
    let run = profile_command(&["--run-queue", "fold"], "hot_mutex", &[]);
    let truth = run.truth();
    let folded = run.block(truth.pid);
    assert_within("fold", folded.delay() as f64, truth.delay_ns as f64, 0.02);
    assert!(folded.labelled("phase", "run_queue").samples.is_empty(), "{}", folded.stacks());
}

/// The scenario of golang/go#73760: the last to release must not be charged with what those before
/// it caused.
#[test]
fn each_holder_is_charged_with_its_own_part() {
    let _alone = alone();
    let run = profile_command(&[], "blame_shared", &[]);
    let truth = run.truth();
    let mutex = run.mutex(truth.pid);
    // Both shares grow by what the waiters waited before the first release: they arrive one by one.
    let long = mutex.with("long_hold_and_release").delay() as f64;
    let short = mutex.with("short_hold_and_release").delay() as f64;
    let before = truth.delay_ns as f64 - truth.number("long_ns") - truth.number("short_ns");
    assert!(
        long >= 0.97 * truth.number("long_ns") && long <= 1.02 * (truth.number("long_ns") + before),
        "long holder: {long} ns, truth {truth:?}\n{}",
        mutex.stacks()
    );
    assert_within("short holder", short, truth.number("short_ns"), 0.05);
}
