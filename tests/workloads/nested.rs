//! A mutex inside a condition variable's wait: each wait must be counted once.
//! nested [HOLD_US] [MILLISECONDS]

include!("truth.rs");

use std::sync::{Arc, Condvar, Mutex};

struct Queue {
    items: Mutex<(u64, bool)>,
    filled: Condvar,
}

/// Waits for an item; on its way out it takes the mutex, which the producer holds on to.
#[inline(never)]
fn take_item(queue: &Queue) -> bool {
    let mut items = waiting(|| queue.items.lock().unwrap());
    while items.0 == 0 && !items.1 {
        items = waiting(|| queue.filled.wait(items).unwrap());
    }
    if items.0 == 0 {
        return false;
    }
    items.0 -= 1;
    true
}

/// Notifies while it still holds the mutex, so that the woken one waits once more, for it.
#[inline(never)]
fn put_items(queue: &Queue, hold: Duration, end: bool) {
    let mut items = waiting(|| queue.items.lock().unwrap());
    items.0 += 3;
    items.1 = end;
    queue.filled.notify_all();
    std::thread::sleep(hold);
}

fn main() {
    gate();
    let hold = Duration::from_micros(argument(1, 1000));
    let deadline = Instant::now() + Duration::from_millis(argument(2, 2000));
    let queue = Arc::new(Queue { items: Mutex::new((0, false)), filled: Condvar::new() });
    let mut workers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            std::thread::spawn(move || {
                while take_item(&queue) {}
                tally_add();
            })
        })
        .collect();
    workers.push(std::thread::spawn(move || {
        let mut end = false;
        while !end {
            end = Instant::now() >= deadline;
            put_items(&queue, hold, end);
            std::thread::sleep(hold);
        }
        tally_add();
    }));
    finish(workers);
    report("nested");
}
