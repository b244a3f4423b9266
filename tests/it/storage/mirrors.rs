//! Two servers with the same object: who is asked, when, and how often.

use std::path::Path;
use std::time::{Duration, Instant};

use gribfs::location::Location;
use gribfs::storage::{ErrorKind, Mirror, Short, Storage, StorageConfig};

use super::{PATH, RANGE, config, error_of, location, object, reads_right, right};
use crate::support::http::{Fault, TestServer};

/// Two servers with [`PATH`], storage that knows the second as the mirror of the first, and the object's location.
fn pair_with(config: StorageConfig) -> (TestServer, TestServer, Storage, Location) {
    let (first, second) = (TestServer::start(), TestServer::start());
    first.put(PATH, object());
    second.put(&format!("/copy{PATH}"), object());
    let rule = format!("{}={}", first.url("/"), second.url("/copy/"));
    let storage = Storage::new(StorageConfig {
        mirrors: vec![Mirror::parse(&rule, Path::new("/")).unwrap()],
        ..config
    })
    .unwrap();
    let location = location(&first.url(PATH));
    (first, second, storage, location)
}

fn pair() -> (TestServer, TestServer, Storage, Location) {
    pair_with(config())
}

#[tokio::test]
async fn a_mirror_is_not_asked_while_the_first_is_well() {
    let (first, second, storage, location) = pair();
    for _ in 0..10 {
        reads_right(&storage, &location).await;
    }
    assert_eq!((first.requests().len(), second.requests().len()), (10, 0));
    let counters = storage.counters();
    assert_eq!((counters.hedges, counters.mirrored), (0, 0));
}

#[tokio::test]
async fn what_one_origin_has_not_is_had_from_the_next() {
    for (fault, requests_of_first) in [
        (Fault::Status(404), 1),
        (Fault::Status(403), 1),
        (Fault::Status(500), 2),
        (Fault::Status(503), 2),
        (Fault::Reset, 2),
        (Fault::Truncate(50), 2),
        (Fault::IgnoreRange, 1),
        (Fault::Page, 1),
        (Fault::Stall(50), 1),
        (Fault::Hang, 1),
    ] {
        let text = format!("{fault:?}");
        let (first, second, storage, location) = pair();
        first.fault(PATH, fault);
        let started = Instant::now();
        reads_right(&storage, &location).await;
        assert_eq!(first.requests().len(), requests_of_first, "{text}");
        assert_eq!(second.requests().len(), 1, "{text}");
        assert_eq!(storage.counters().mirrored, 1, "{text}");
        assert!(started.elapsed() < Duration::from_secs(2), "{text}");
    }
}

#[tokio::test]
async fn a_long_retry_after_is_not_waited_for_where_there_is_a_mirror() {
    let (first, _second, storage, location) = pair();
    let busy = Fault::Answer(503, vec!["Retry-After: 2".to_owned()], String::new());
    first.fault(PATH, busy);
    reads_right(&storage, &location).await;
    assert_eq!(first.requests().len(), 1);
}

#[tokio::test]
async fn the_error_of_all_origins_names_each_and_the_kind_that_may_pass() {
    let (first, second, storage, location) = pair();
    first.fault(PATH, Fault::Status(404));
    second.fault("*", Fault::Status(503));
    let error = error_of(&storage, &location).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    let text = error.to_string();
    assert!(text.contains(location.as_str()), "{text}");
    assert!(text.contains("404") && text.contains("503"), "{text}");
    assert_eq!(storage.counters().failures, 1);
    second.heal();
    second.remove(&format!("/copy{PATH}"));
    assert_eq!(
        error_of(&storage, &location).await.kind(),
        ErrorKind::NotFound
    );
}

#[tokio::test]
async fn an_origin_slower_than_usual_is_hedged_once_and_the_first_answer_is_taken() {
    let (first, second, storage, location) = pair();
    for _ in 0..20 {
        reads_right(&storage, &location).await;
    }
    first.fault(PATH, Fault::Slow(Duration::from_millis(300)).times(1));
    let started = Instant::now();
    reads_right(&storage, &location).await;
    assert!(started.elapsed() < Duration::from_millis(300));
    assert_eq!((first.requests().len(), second.requests().len()), (21, 1));
    let counters = storage.counters();
    assert_eq!((counters.hedges, counters.mirrored), (1, 1));
    assert_eq!(counters.failures, 0);
}

#[tokio::test]
async fn a_mirror_that_has_another_object_does_not_win_the_race() {
    let (first, second, storage, location) = pair();
    let mut longer = object();
    longer.extend_from_slice(b"of another day");
    second.put(&format!("/copy{PATH}"), longer);
    for _ in 0..20 {
        reads_right(&storage, &location).await;
    }
    first.fault(PATH, Fault::Slow(Duration::from_millis(300)).times(1));
    let read = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    assert_eq!(read.object_size, Some(object().len() as u64));
    assert!(read.etag.is_some(), "it came from the first place");
    assert_eq!((storage.counters().hedges, second.requests().len()), (1, 1));
    // Where the first place is down, the error says what the mirror has.
    first.fault(PATH, Fault::Status(404));
    let told = error_of(&storage, &location).await.to_string();
    assert!(told.contains("at the first place"), "{told}");
}

#[tokio::test]
async fn hedges_stay_a_few_percent_though_every_answer_is_late() {
    let (first, second, storage, location) = pair();
    // Quick answers set the percentile; then every tenth is slow, which is more than hedges may cost.
    for _ in 0..20 {
        reads_right(&storage, &location).await;
    }
    for _ in 0..20 {
        first.fault(PATH, Fault::Slow(Duration::ZERO).times(9));
        first.fault(PATH, Fault::Slow(Duration::from_millis(150)).times(1));
    }
    for _ in 0..200 {
        reads_right(&storage, &location).await;
    }
    let hedges = storage.counters().hedges;
    assert!(hedges > 0 && hedges <= 3 + 220 / 20, "{hedges}");
    // A hedge that is overtaken before it is sent costs nothing.
    assert!(u64::try_from(second.requests().len()).unwrap() <= hedges);
}

#[tokio::test]
async fn an_origin_that_hangs_is_left_alone_after_three_reads() {
    let (first, second, storage, location) = pair_with(StorageConfig {
        timeout: Duration::from_secs(30),
        ..config()
    });
    first.fault(PATH, Fault::Hang);
    for _ in 0..6 {
        reads_right(&storage, &location).await;
    }
    assert_eq!((first.requests().len(), second.requests().len()), (3, 6));
    let down: Vec<_> = storage
        .origins()
        .into_iter()
        .map(|origin| (origin.origin, origin.is_down))
        .collect();
    assert!(
        down.contains(&(location.origin().to_owned(), true)),
        "{down:?}"
    );
}

#[tokio::test]
async fn all_origins_hang_and_the_read_still_ends_by_its_deadline() {
    let (first, second, storage, location) = pair_with(StorageConfig {
        timeout: Duration::from_secs(1),
        ..StorageConfig::default()
    });
    first.fault("*", Fault::Hang);
    second.fault("*", Fault::Hang);
    let started = Instant::now();
    assert_eq!(
        error_of(&storage, &location).await.kind(),
        ErrorKind::TimedOut
    );
    assert!(started.elapsed() < Duration::from_millis(1500));
}

#[tokio::test]
async fn each_mirror_is_held_to_its_own_etag_and_only_the_first_ones_is_shown() {
    let (first, second, storage, location) = pair();
    let read = || storage.get(&location, RANGE, Short::Refuse);
    assert!(read().await.unwrap().etag.is_some());
    first.fault(PATH, Fault::Status(404));
    second.fault("*", Fault::OtherETag.times(2));
    for _ in 0..2 {
        let fetched = read().await.unwrap();
        right(&fetched.bytes);
        assert_eq!((fetched.etag, fetched.object_size), (None, Some(40_000)));
    }
    let error = read().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Changed, "{error}");
}

#[tokio::test]
async fn whole_objects_and_listings_come_from_mirrors_too_under_their_own_names() {
    let (first, second, storage, location) = pair();
    first.fault(PATH, Fault::Status(503));
    let whole = storage.get_whole(&location, 1 << 20).await.unwrap();
    assert_eq!(whole.bytes.len(), 40_000);
    second.allow_webdav();
    let folder = location.with_file_name("");
    let listed = storage.list(&folder).await.unwrap();
    let names: Vec<_> = listed.iter().map(|one| one.location.clone()).collect();
    assert_eq!(names, [location]);
}

#[tokio::test]
async fn a_folder_on_disk_can_be_a_mirror() {
    let (first, _second, _storage, location) = pair();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("data")).unwrap();
    std::fs::write(folder.path().join("data/a.grib2"), object()).unwrap();
    let rule = format!("{}={}", first.url("/"), folder.path().display());
    let storage = Storage::new(StorageConfig {
        mirrors: vec![Mirror::parse(&rule, Path::new("/")).unwrap()],
        ..config()
    })
    .unwrap();
    first.fault("*", Fault::Status(404));
    reads_right(&storage, &location).await;
}
