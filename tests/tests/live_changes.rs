//! What may change while the programs run: who is watched, and the rates.

use std::thread::sleep;
use std::time::Duration;

use contend_agent::probe::{Probes, Setup};
use contend_ebpf::record::{Profile, Settings, Totals};
use contend_tests::requirements::alone;
use contend_tests::workload::Running;

const THREADS: u64 = 4;
const A_WHILE: Duration = Duration::from_millis(300);

const EVERYTHING: Settings =
    Settings { buffer: 0, only_watched: 1, label_thread: 0, label_lock: 0, mutex_fraction: 1, block_rate: 1 };

/// A program with contention, and the programs attached, watching nobody.
fn begin(settings: Settings) -> (Running, Probes) {
    let mut target = Running::start("hot_mutex", &["4", "500", "3000"]);
    let (mut probes, _events) = Probes::load(&Setup { settings, kernel_log: false }).expect("load");
    probes.attach().expect("attach");
    target.open_gate();
    (target, probes)
}

fn totals(probes: &Probes, pid: u32) -> Totals {
    let totals = probes.maps.totals().expect("read the totals");
    totals.into_iter().find(|(process, _)| process.tgid == pid).map_or_else(Totals::default, |(_, t)| t)
}

/// Contentions sampled since the last call.
fn sampled(probes: &mut Probes, profile: Profile) -> u64 {
    // The first turn takes what was recorded before the last one, the second what was since.
    let mut samples = probes.maps.turn_samples().expect("turn");
    sleep(Duration::from_millis(20));
    samples.extend(probes.maps.turn_samples().expect("turn"));
    samples.iter().filter(|(key, _)| key.profile == profile as u32).map(|(_, sums)| sums.contentions).sum()
}

#[test]
fn who_is_watched() {
    let _alone = alone();
    let (target, mut probes) = begin(EVERYTHING);
    let pid = target.pid();
    sleep(A_WHILE);
    assert_eq!(totals(&probes, pid), Totals::default(), "nobody was watched");
    probes.maps.watch(pid, false).expect("watch");
    sleep(A_WHILE);
    probes.maps.unwatch(pid).expect("unwatch");
    let watched = totals(&probes, pid).waits;
    assert!(watched > 50, "{watched} waits while it was watched");
    sleep(A_WHILE);
    let after = totals(&probes, pid).waits;
    assert!(after - watched <= THREADS, "{} waits began while it was not watched", after - watched);
    drop(target.finish());
}

#[test]
fn the_rates() {
    let _alone = alone();
    let off = Settings { mutex_fraction: 0, block_rate: 0, ..EVERYTHING };
    let (target, mut probes) = begin(off);
    probes.maps.watch(target.pid(), false).expect("watch");
    sleep(A_WHILE);
    assert_eq!(sampled(&mut probes, Profile::Mutex) + sampled(&mut probes, Profile::Block), 0);
    assert!(totals(&probes, target.pid()).waits > 50, "the totals do not depend on the rates");
    probes.maps.change_settings(Settings { mutex_fraction: 1, ..off }).expect("change");
    sleep(A_WHILE);
    assert!(sampled(&mut probes, Profile::Mutex) > 0);
    probes.maps.change_settings(Settings { block_rate: 1, ..off }).expect("change");
    sleep(A_WHILE);
    assert!(sampled(&mut probes, Profile::Block) > 0);
    let _rest = sampled(&mut probes, Profile::Mutex);
    sleep(A_WHILE);
    assert_eq!(sampled(&mut probes, Profile::Mutex), 0, "the mutex profile was switched off");
    drop(target.finish());
}
