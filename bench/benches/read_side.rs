//! The cases of `cases::read_side`, timed by criterion.

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use mmu_notifier::Task;
use shootdown_bench::cases::read_side::cases;

fn all(criterion: &mut Criterion) {
    let mut task = Task::current().expect("the main thread has no task yet");
    let mut group = criterion.benchmark_group("read_side");
    for case in cases() {
        let mut work = (case.make)(&mut task);
        group.bench_function(case.name, |bencher| {
            bencher.iter_custom(|steps| {
                // Work in passes does as many steps as a pass has.
                let (mut done, mut took) = (0, Duration::ZERO);
                while done < steps {
                    let (more, time) = work.time(steps - done, &mut task);
                    done += more;
                    took += time;
                }
                took.mul_f64(steps as f64 / done as f64)
            });
        });
    }
    group.finish();
}

criterion_group!(benches, all);
criterion_main!(benches);
