//! Each fault ends as the right bytes or as an honest error of the right kind, by its deadline.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gribfs::storage::{ErrorKind, Short, Storage, StorageConfig, StorageError};

use super::{PATH, RANGE, config, error_of, location, object, reads_right, right, served, storage};
use crate::support::http::{Fault, TestServer, Times};

/// Reads [`RANGE`] of a fresh server with these faults: the outcome and the count of requests.
async fn read_with(fault: impl Into<Times>) -> (Result<Bytes, StorageError>, usize) {
    let (server, location) = served();
    server.fault(PATH, fault);
    let read = storage().get(&location, RANGE, Short::Refuse).await;
    (read.map(|fetched| fetched.bytes), server.requests().len())
}

#[tokio::test]
async fn transient_faults_are_survived() {
    for fault in [
        Fault::Status(500).times(1),
        Fault::Status(503).times(2),
        Fault::Status(429).times(1),
        Fault::Status(408).times(1),
        Fault::Reset.times(2),
        Fault::Truncate(50).times(2),
        Fault::Truncate(0).times(1),
        Fault::Hang.times(1),
        Fault::Stall(50).times(1),
        Fault::Slow(Duration::from_millis(100)).times(1),
    ] {
        let text = format!("{fault:?}");
        let (read, requests) = read_with(fault).await;
        right(&read.unwrap_or_else(|error| panic!("{text}: {error}")));
        assert!(requests <= 3, "{text}: {requests} requests");
    }
}

#[tokio::test]
async fn permanent_faults_have_their_kinds() {
    for (fault, kind, most) in [
        (Fault::Status(404), ErrorKind::NotFound, 1),
        (Fault::Status(410), ErrorKind::NotFound, 1),
        (Fault::Status(403), ErrorKind::Forbidden, 1),
        (Fault::Status(401), ErrorKind::Forbidden, 1),
        (Fault::Status(412), ErrorKind::Changed, 1),
        (Fault::Status(416), ErrorKind::Truncated, 1),
        (Fault::Status(400), ErrorKind::Unavailable, 1),
        (Fault::Status(204), ErrorKind::NotRanged, 1),
        (Fault::IgnoreRange, ErrorKind::NotRanged, 1),
        (Fault::OtherRange, ErrorKind::NotRanged, 1),
        (Fault::Page, ErrorKind::NotData, 1),
    ] {
        let text = format!("{fault:?}");
        let (read, requests) = read_with(fault).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind(), kind, "{text}: {error}");
        assert!(requests <= most, "{text}: {requests} requests");
        let message = error.to_string();
        assert!(
            message.contains("bytes 1000-20999 of http://127.0.0.1"),
            "{message}"
        );
        assert!(message.contains("1 request"), "{message}");
    }
}

#[tokio::test]
async fn faults_that_stay_end_the_read() {
    for (fault, kinds) in [
        (Fault::Status(503), &[ErrorKind::Unavailable][..]),
        (Fault::Reset, &[ErrorKind::Unavailable]),
        (Fault::Truncate(30), &[ErrorKind::Truncated]),
        // The deadline strikes while the last request still hangs, or the wait before the next would outlast it.
        (Fault::Hang, &[ErrorKind::TimedOut]),
        (Fault::Stall(30), &[ErrorKind::TimedOut]),
    ] {
        let text = format!("{fault:?}");
        let (server, location) = served();
        server.fault(PATH, fault);
        let storage = Storage::new(StorageConfig {
            max_attempts: 4,
            ..config()
        })
        .unwrap();
        let started = Instant::now();
        let read = storage.get(&location, RANGE, Short::Refuse).await;
        let error = read.unwrap_err();
        assert!(kinds.contains(&error.kind()), "{text}: {error}");
        assert!(started.elapsed() < Duration::from_millis(3500), "{text}");
        assert_eq!(server.requests().len(), 4, "{text}");
        assert_eq!(error.requests(), 4, "{text}");
        assert_eq!(storage.counters().retries, 3, "{text}");
        assert_eq!(storage.counters().failures, 1, "{text}");
    }
}

#[tokio::test]
async fn a_hang_ends_at_the_deadline() {
    let (server, location) = served();
    server.fault(PATH, Fault::Hang);
    let storage = Storage::new(StorageConfig {
        timeout: Duration::from_millis(300),
        ..StorageConfig::default()
    })
    .unwrap();
    let started = Instant::now();
    let error = error_of(&storage, &location).await;
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    let elapsed = started.elapsed();
    assert!(elapsed >= Duration::from_millis(300) && elapsed < Duration::from_secs(1));
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let (server, location) = served();
    let busy = Fault::Answer(503, vec!["Retry-After: 1".to_owned()], String::new());
    server.fault(PATH, busy.times(1));
    let started = Instant::now();
    reads_right(&storage(), &location).await;
    assert!(started.elapsed() >= Duration::from_secs(1));

    // A wait beyond the deadline is not waited for.
    let closed = Fault::Answer(429, vec!["Retry-After: 3600".to_owned()], String::new());
    server.fault(PATH, closed);
    let started = Instant::now();
    let error = error_of(&storage(), &location).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn nobody_there_is_told_soon() {
    let server = TestServer::start();
    let location = location(&server.url(PATH));
    drop(server);
    let started = Instant::now();
    let error = error_of(&storage(), &location).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("cannot connect"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn a_flipped_byte_is_for_verification_to_find() {
    let (server, location) = served();
    server.fault(PATH, Fault::Flip(7));
    let storage = storage();
    let fetched = storage.get(&location, RANGE, Short::Refuse).await.unwrap();
    assert_ne!(&fetched.bytes[..], &object()[1000..21_000]);
    assert_eq!(fetched.bytes.len(), 20_000);
}

#[tokio::test]
async fn redirects_are_followed_to_data_but_not_to_a_login_page() {
    let (server, location) = served();
    server.put("/mirror/a.grib2", object());
    server.fault(PATH, Fault::Redirect("/mirror/a.grib2".to_owned()).times(1));
    server.fault(PATH, Fault::Redirect("/login".to_owned()));
    server.fault("/login", Fault::Page);
    let storage = storage();
    reads_right(&storage, &location).await;
    let error = error_of(&storage, &location).await;
    assert_eq!(error.kind(), ErrorKind::NotData, "{error}");
    let error = storage.get_whole(&location, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotData, "{error}");
}

#[tokio::test]
async fn a_page_saved_as_an_index_is_refused() {
    let server = TestServer::start();
    server.put(
        "/a.idx",
        &b"<html><body>Too many requests</body></html>"[..],
    );
    let location = location(&server.url("/a.idx"));
    let error = storage().get_whole(&location, 1 << 20).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotData, "{error}");
}

#[tokio::test]
async fn a_drip_is_no_stream() {
    let (server, location) = served();
    // 20 kB at a rate that would take hours, though it is never silent: sent again after the stall time and 2 s.
    server.fault(PATH, Fault::Drip(1, Duration::from_millis(50)).times(1));
    let storage = Storage::new(StorageConfig {
        timeout: Duration::from_secs(20),
        ..config()
    })
    .unwrap();
    reads_right(&storage, &location).await;
    assert_eq!(server.requests().len(), 2);
}

/// What can go wrong, at each point of an answer: before its head, in it, and after so much of the body.
fn faults_at_every_point() -> Vec<Fault> {
    let mut faults = vec![
        Fault::Reset,
        Fault::Hang,
        Fault::CutHead(1),
        Fault::CutHead(60),
        Fault::StallHead(1),
        Fault::StallHead(60),
        Fault::Slow(Duration::from_millis(5)),
    ];
    for status in [
        400, 401, 403, 404, 408, 410, 412, 416, 429, 500, 502, 503, 504,
    ] {
        faults.push(Fault::Status(status));
    }
    for percent in [0, 1, 50, 99] {
        faults.push(Fault::Truncate(percent));
        faults.push(Fault::Stall(percent));
    }
    faults.extend([
        Fault::IgnoreRange,
        Fault::OtherRange,
        Fault::Page,
        Fault::Drip(1, Duration::from_millis(20)),
        Fault::Redirect("/login".to_owned()),
        Fault::Redirect(PATH.to_owned()),
    ]);
    faults
}

/// Kinds that a fault may end in where it stays; `None` where the read must succeed.
fn kinds_of(fault: &Fault) -> Option<&'static [ErrorKind]> {
    use ErrorKind::{
        Changed, Forbidden, NotData, NotFound, NotRanged, TimedOut, Truncated, Unavailable,
    };
    Some(match fault {
        Fault::Slow(_) => return None,
        Fault::Status(404 | 410) => &[NotFound],
        Fault::Status(401 | 403) => &[Forbidden],
        Fault::Status(412) => &[Changed],
        Fault::Status(416) | Fault::Truncate(_) => &[Truncated],
        Fault::Status(_) | Fault::Reset | Fault::CutHead(_) => &[Unavailable],
        Fault::Hang | Fault::Stall(_) | Fault::StallHead(_) | Fault::Drip(..) => &[TimedOut],
        Fault::IgnoreRange | Fault::OtherRange => &[NotRanged],
        Fault::Page => &[NotData, NotRanged],
        Fault::Redirect(to) if to == PATH => &[Unavailable],
        Fault::Redirect(_) => &[NotData, NotRanged],
        Fault::Answer(..)
        | Fault::UnknownSize
        | Fault::OtherETag
        | Fault::NoETag
        | Fault::LostAnswer
        | Fault::Flip(_) => panic!("{fault:?} is not in the list"),
    })
}

/// Whether another try can meet something else.
fn is_transient(fault: &Fault) -> bool {
    if let Fault::Status(status) = fault {
        return [408, 429].contains(status) || *status >= 500;
    }
    !matches!(
        fault,
        Fault::IgnoreRange | Fault::OtherRange | Fault::Page | Fault::Redirect(_)
    )
}

#[tokio::test]
async fn every_fault_at_every_point_ends_in_right_bytes_or_its_kind_by_the_deadline() {
    let quick = StorageConfig {
        timeout: Duration::from_secs(10),
        stall_timeout: Duration::from_millis(1500),
        max_attempts: 3,
        ..config()
    };
    let one = |fault: Fault, stays: bool| {
        let quick = quick.clone();
        async move {
            let (server, location) = served();
            server.fault("/login", Fault::Page);
            match stays {
                true => server.fault(PATH, fault.clone()),
                false => server.fault(PATH, fault.clone().times(1)),
            }
            let storage = Storage::new(quick).unwrap();
            let started = Instant::now();
            let text = format!("{fault:?}, stays: {stays}");
            let read = storage.get(&location, RANGE, Short::Refuse).await;
            // Twice the deadline: a machine that does much else is not what is tested.
            assert!(started.elapsed() < Duration::from_secs(20), "{text}");
            match (read, kinds_of(&fault)) {
                (Ok(fetched), None) => right(&fetched.bytes),
                (Ok(fetched), Some(_)) if !stays => right(&fetched.bytes),
                (Ok(_), Some(kinds)) => panic!("{text}: bytes where {kinds:?} was due"),
                (Err(error), Some(kinds)) => {
                    assert!(kinds.contains(&error.kind()), "{text}: {error}");
                    assert!(stays || !is_transient(&fault), "{text}: {error}");
                }
                (Err(error), None) => panic!("{text}: {error}"),
            }
        }
    };
    let all = faults_at_every_point()
        .into_iter()
        .flat_map(|fault| [one(fault.clone(), true), one(fault, false)]);
    futures::future::join_all(all).await;
}

#[test]
fn a_thousand_faulty_reads_leave_no_task_and_no_connection() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (server, location) = served();
    server.fault("/login", Fault::Page);
    let storage = Storage::new(StorageConfig {
        timeout: Duration::from_millis(400),
        stall_timeout: Duration::from_millis(20),
        max_attempts: 2,
        ..config()
    })
    .unwrap();
    let faults = faults_at_every_point();
    let mut failed = 0;
    for round in 0..1000 / faults.len() + 1 {
        for fault in &faults {
            server.fault(PATH, fault.clone().times(1 + round % 3));
        }
        let reads: Vec<_> = faults
            .iter()
            .map(|_| {
                let (storage, location) = (storage.clone(), location.clone());
                runtime.spawn(async move { storage.get(&location, RANGE, Short::Refuse).await })
            })
            .collect();
        for read in reads {
            match runtime.block_on(read).unwrap() {
                Ok(fetched) => right(&fetched.bytes),
                Err(_) => failed += 1,
            }
        }
        server.heal();
    }
    assert!(failed > 100, "{failed} failed");
    runtime.block_on(reads_right(&storage, &location));
    drop(storage);
    let metrics = runtime.metrics();
    let end = Instant::now() + Duration::from_secs(20);
    while (metrics.num_alive_tasks(), server.open_connections()) != (0, 0) {
        assert!(
            Instant::now() < end,
            "{} tasks, {} connections are left",
            metrics.num_alive_tasks(),
            server.open_connections()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
