//! One `std::sync::Mutex` that all threads want: std_mutex [THREADS] [HOLD_US] [MILLISECONDS]

include!("truth.rs");

use std::sync::{Arc, Mutex};

#[inline(never)]
fn locked_section(lock: &Mutex<u64>, hold: Duration) {
    let mut count = waiting(|| lock.lock().unwrap());
    *count += 1;
    std::thread::sleep(hold);
}

fn main() {
    gate();
    let threads = argument(1, 8);
    let hold = Duration::from_micros(argument(2, 500));
    let deadline = Instant::now() + Duration::from_millis(argument(3, 2500));
    let lock = Arc::new(Mutex::new(0));
    let workers = (0..threads)
        .map(|_| {
            let lock = Arc::clone(&lock);
            std::thread::spawn(move || {
                while Instant::now() < deadline {
                    locked_section(&lock, hold);
                    std::thread::sleep(hold / 4);
                }
                tally_add();
            })
        })
        .collect();
    finish(workers);
    report("std_mutex");
}
