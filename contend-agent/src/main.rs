//! x
use contend_agent::probe::{Probes, Setup};
use contend_ebpf::record::Settings;
fn main() {
    let s = Settings { buffer: 0, only_watched: 0, label_thread: 1, label_lock: 1, mutex_fraction: 1, block_rate: 1 };
    let (mut p, _r) = match Probes::load(&Setup { settings: s, kernel_log: std::env::args().count() > 1 }) { Ok(x) => x, Err(e) => { println!("{e}\n{e:?}"); return; } };
    p.attach().expect("attach");
    std::thread::sleep(std::time::Duration::from_secs(4));
    for (k, t) in p.maps.totals().expect("totals") { println!("{k:?} {t:?}"); }
    println!("{:?}", p.maps.lost());
    println!("{:?}", p.maps.lock_leftover());
    let s = p.maps.turn_samples().expect("x"); println!("{}", s.len());
    let s = p.maps.turn_samples().expect("x"); println!("{}", s.len());
}
