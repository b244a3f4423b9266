//! What is fetched ahead of readers, and what memory it may take.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::join_all;
use gribfs::dataset::archive::rows_of;
use gribfs::storage::{Storage, StorageConfig};
use gribfs::store::{FieldReader, Read, ReaderConfig};
use gribfs::vfs::MountTree;
use gribfs::vfs::tree::{Answer, Tree as _};

use crate::mount_tree::{Bed, find, names};
use crate::support::http::Fault;

/// The array that is walked through.
const ARRAY: &str = "run_time.zarr/t2m";

/// The chunk keys of an array in the order of its cells.
fn chunks(tree: &MountTree) -> Vec<String> {
    let mut keys: Vec<Vec<u32>> = names(tree, find(tree, ARRAY).unwrap().inode)
        .iter()
        .filter(|name| !name.starts_with('.'))
        .map(|name| name.split('.').map(|part| part.parse().unwrap()).collect())
        .collect();
    keys.sort();
    let text = |key: Vec<u32>| key.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
    keys.into_iter()
        .map(|key| format!("{ARRAY}/{}", text(key)))
        .collect()
}

/// How often each range of each object was asked for.
fn ranges(bed: &Bed) -> BTreeMap<(String, Option<String>), usize> {
    let mut counted = BTreeMap::new();
    for seen in bed.server.requests() {
        assert_eq!(seen.method, "GET", "nothing is asked but for messages");
        *counted.entry((seen.path, seen.range)).or_default() += 1;
    }
    counted
}

fn without_look_ahead() -> ReaderConfig {
    ReaderConfig {
        look_ahead: 0,
        ..ReaderConfig::default()
    }
}

#[test]
fn a_serial_walk_is_fetched_ahead_each_message_once() {
    let bed = Bed::new();
    let table = bed.index().0;
    let plain = bed.show_with(Arc::clone(&table), &without_look_ahead());
    let keys = chunks(&plain);
    let expected: Vec<_> = keys
        .iter()
        .map(|key| bed.read(&plain, key).unwrap())
        .collect();
    assert_eq!(
        bed.server.most_in_flight(),
        1,
        "without look-ahead one after the other"
    );
    let needed = ranges(&bed);

    bed.server.latency(Duration::from_millis(20));
    let ahead = bed.show_with(table, &ReaderConfig::default());
    for (key, expected) in keys.iter().zip(&expected) {
        assert!(bed.read(&ahead, key).unwrap() == *expected, "{key}");
    }
    assert!(
        keys.len() >= 6,
        "the walk is long enough to be one: {}",
        keys.len()
    );
    assert!(bed.server.most_in_flight() > 1, "several at once");
    assert_eq!(ranges(&bed), needed, "the same messages, each once");
}

#[test]
fn single_reads_fetch_nothing_else() {
    let bed = Bed::new();
    let tree = bed.mount();
    let keys = chunks(&tree);
    for key in [keys.first().unwrap(), keys.last().unwrap()] {
        bed.read(&tree, key).unwrap();
    }
    bed.read(&tree, "run_time.zarr/u10/0.1.0.0").unwrap();
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(bed.server.requests().len(), 3);
}

#[test]
fn what_failed_ahead_of_its_reader_is_tried_again_by_it() {
    let bed = Bed::new();
    let tree = bed.mount();
    let keys = chunks(&tree);
    let file = format!("/{}", bed.files.last().unwrap());
    // More refusals than one read makes tries (two), fewer than two reads make.
    bed.server.fault(&file, Fault::Status(503).times(2));
    for key in &keys {
        let read = bed.read(&tree, key);
        // The fault may have met a reader instead, when it came first; then its next try is good.
        if read.is_err() {
            std::thread::sleep(Duration::from_millis(1100));
            bed.read(&tree, key).unwrap();
        }
    }
    assert!(!bed.server.requests_of(&file).is_empty());
}

#[test]
fn with_memory_for_one_field_all_readers_finish_one_after_the_other() {
    let bed = Bed::new();
    let table = bed.index().0;
    let keys = chunks(&bed.show_with(Arc::clone(&table), &without_look_ahead()));
    let tight = ReaderConfig {
        memory_bytes: 60_000,
        ..ReaderConfig::default()
    };
    let tree = bed.show_with(table, &tight);
    let mut reads = Vec::new();
    for key in &keys {
        let at = find(&tree, key).unwrap();
        match tree.read(at.inode, 0, usize::try_from(at.size).unwrap()) {
            Answer::Now(read) => assert!(read.is_ok()),
            Answer::Later(read) => reads.push(read),
        }
    }
    assert!(reads.len() > 4);
    let done = bed.runtime.block_on(async {
        // Each is let go as soon as it is there, as a reply to the kernel is.
        let reads = reads
            .into_iter()
            .map(|read| async { read.await.map(|field| field.len()) });
        tokio::time::timeout(Duration::from_secs(30), join_all(reads)).await
    });
    assert!(done.unwrap().iter().all(Result::is_ok));
    let status =
        String::from_utf8(bed.read(&tree, ".gribfs/status.json").unwrap().to_vec()).unwrap();
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let peak = status["memory"]["peak_bytes"].as_u64().unwrap();
    assert!(peak > 0 && peak <= 60_000, "{peak}");
}

#[test]
fn neighbours_that_are_fetched_ahead_share_a_request() {
    let bed = Bed::new();
    let table = bed.index().0;
    let reader = FieldReader::new(
        rows_of(Arc::clone(&table)),
        bed.storage.clone(),
        bed.runtime.handle().clone(),
        &ReaderConfig::default(),
    );
    // The messages of one file, one behind the other, as if they were an axis.
    let object = table.rows.first().unwrap().object;
    let mut rows: Vec<u64> = (0..u64::try_from(table.rows.len()).unwrap())
        .filter(|row| table.rows[usize::try_from(*row).unwrap()].object == object)
        .collect();
    rows.sort_by_key(|row| table.rows[usize::try_from(*row).unwrap()].offset);
    rows.dedup_by_key(|row| table.rows[usize::try_from(*row).unwrap()].offset);
    let row_of = |chunk: u64| rows.get(usize::try_from(chunk).unwrap()).copied();
    bed.server.forget();
    bed.server.latency(Duration::from_millis(10));
    let mut bytes = 0;
    for (chunk, row) in rows.iter().enumerate() {
        let read = reader.read(*row, 4);
        // As a reader that always waits: what it is given does not depend on how fast this machine is.
        reader.step(1, &[rows.len() as u64], chunk as u64, true, row_of);
        let field = match read {
            Read::Now(field) => field.unwrap(),
            Read::Later(field) => bed.runtime.block_on(field).unwrap(),
        };
        bytes += field.len();
    }
    assert!(bytes > 0 && rows.len() >= 10);
    let statistics = reader.statistics();
    assert_eq!(statistics.fields, rows.len() as u64);
    let requests = bed.server.requests().len();
    assert!(
        requests < rows.len() / 2,
        "{requests} requests for {} neighbours",
        rows.len()
    );
    assert_eq!(
        (statistics.ahead_standing_bytes, statistics.ahead_lost_bytes),
        (0, 0)
    );
}

#[test]
fn counters_can_be_read_while_reads_fail() {
    // Once the two took the same two locks in opposite order, and both stood still.
    let bed = Bed::new();
    let table = bed.index().0;
    let keys = u64::try_from(table.rows.len()).unwrap();
    let storage = Storage::new(StorageConfig {
        max_attempts: 1,
        ..StorageConfig::default()
    });
    let reader = Arc::new(FieldReader::new(
        rows_of(table),
        storage.unwrap(),
        bed.runtime.handle().clone(),
        &without_look_ahead(),
    ));
    for file in &bed.files {
        bed.server.fault(&format!("/{file}"), Fault::Status(404));
    }
    let over = Arc::new(AtomicBool::new(false));
    let (counting, until) = (Arc::clone(&reader), Arc::clone(&over));
    let counter = std::thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            assert!(counting.statistics().in_flight <= keys);
        }
    });
    let mut ended = Vec::new();
    for row in 0..keys {
        let failed = match reader.read(row, 4) {
            Read::Now(read) => Some(read.is_err()),
            Read::Later(read) => bed.runtime.block_on(async {
                let read = tokio::time::timeout(Duration::from_secs(30), read).await;
                read.ok().map(|read| read.is_err())
            }),
        };
        ended.push(failed);
        if failed.is_none() {
            break;
        }
    }
    let all_failed = ended.iter().all(|failed| *failed == Some(true));
    if !all_failed {
        // Its threads stand still: waiting for them would hide the failure.
        std::mem::forget(bed);
    }
    assert!(all_failed, "a read stands still, or is right");
    over.store(true, Ordering::Relaxed);
    counter.join().unwrap();
    assert_eq!(reader.statistics().failures, keys);
}
