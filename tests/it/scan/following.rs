//! `--follow`.

use super::*;

#[test]
fn following_writes_each_file_as_it_appears_and_the_run_when_it_is_whole() {
    let bed = Bed::new();
    let shorthand = Shorthand::parse("gfs:2026-11-22T00/0..12..3")
        .unwrap()
        .unwrap();
    let config = FollowConfig {
        interval: Duration::from_millis(100),
        runs: None,
        root: Some(bed.server.url("")),
        base: PathBuf::from("/"),
        files_at_once: 64,
    };
    bed.arrive("00", 0, true);
    // A GRIB without its index yet, and an index that is half written.
    bed.arrive("00", 3, false);
    bed.arrive("00", 6, false);
    let index = fs::read(format!("{}.idx", fixture("00", 6).display())).unwrap();
    bed.server
        .put(&format!("{}.idx", product_path("00", 6)), &index[..200]);

    let destination = bed.table_folder();
    let (sender, receiver) = std::sync::mpsc::channel();
    let (storage, to) = (bed.storage.clone(), destination.clone());
    let following = bed.runtime.spawn(async move {
        follow(&shorthand, &config, &to, &storage, move |event| {
            sender.send(event).unwrap();
        })
        .await
    });
    let next = || receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    let at = run("2026-11-22T00");
    assert_eq!(
        next(),
        FollowEvent::Arrived {
            run: at,
            files: 1,
            missing: 4
        }
    );
    assert!(bed.load().complete_runs.is_empty());
    std::thread::sleep(Duration::from_millis(500));
    assert!(receiver.try_recv().is_err(), "nothing else can be read yet");

    for (missing, step) in [(3, 3), (2, 6), (1, 9), (0, 12)] {
        let appeared = Clock::now();
        bed.arrive("00", step, true);
        assert_eq!(
            next(),
            FollowEvent::Arrived {
                run: at,
                files: 1,
                missing
            }
        );
        let rows = bed.load().rows;
        let placed = |row: &&gribfs::table::row::Row| {
            row.window.end == i64::from(step) * 3600 && row.status == Status::Placed
        };
        assert!(rows.iter().filter(placed).count() > 10);
        // Seconds stand for a machine under load; at 100 ms it is a fraction of one.
        assert!(
            appeared.elapsed() < Duration::from_secs(10),
            "{:?}",
            appeared.elapsed()
        );
    }
    assert!(matches!(next(), FollowEvent::Complete { run, .. } if run == at));
    bed.runtime.block_on(following).unwrap().unwrap();
    assert_eq!(bed.load().complete_runs, [at]);
    assert!(!by_status(&bed.load()).contains_key("pending"));
    // Polite: no whole GRIB, and files that are in the table are not asked for again.
    let first = format!("{}.idx", product_path("00", 0));
    assert!(bed.server.requests_of(&first).len() <= 2);
}

#[test]
fn the_newest_run_is_followed_on_to_the_next() {
    let bed = Bed::new();
    let table = bed.folder.path().join("table");
    // Nothing of any run of today: the first file of the newest run is asked for, and little else.
    let root = bed.server.url("");
    let mut program = Command::new(env!("CARGO_BIN_EXE_gribfs"))
        .args([
            "index",
            "gfs:latest",
            "--follow",
            "--interval",
            "0.1",
            "--root",
            &root,
            "-o",
            table.to_str().unwrap(),
        ])
        .spawn()
        .unwrap();
    let began = Clock::now();
    while bed.server.requests().len() < 218 && began.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(50));
    }
    bed.server.forget();
    std::thread::sleep(Duration::from_secs(1));
    let asked: BTreeSet<String> = bed
        .server
        .requests()
        .into_iter()
        .map(|seen| seen.path)
        .collect();
    assert!(asked.len() <= 2, "{asked:?}");
    let pid = program.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(program.wait().unwrap().code(), Some(0));
}

#[test]
fn following_lists_where_storage_can() {
    let bed = Bed::new();
    let storage = Storage::new(StorageConfig {
        anonymous: true,
        endpoint_url: Some(bed.server.url("")),
        timeout: Duration::from_secs(5),
        ..StorageConfig::default()
    })
    .unwrap();
    let shorthand = Shorthand::parse("gfs:2026-11-22T00/0..15")
        .unwrap()
        .unwrap();
    let config = FollowConfig {
        interval: Duration::from_millis(100),
        runs: None,
        root: Some("s3://bucket".to_owned()),
        base: PathBuf::from("/"),
        files_at_once: 64,
    };
    let put = |step: u32, index: bool| {
        let (ours, path) = (fixture("00", step), product_path("00", step));
        let path = format!("/bucket{path}");
        bed.server.put(&path, fs::read(&ours).unwrap());
        if index {
            let text = fs::read(format!("{}.idx", ours.display())).unwrap();
            bed.server.put(&format!("{path}.idx"), text);
        }
    };
    let destination = bed.table_folder();
    let (sender, receiver) = std::sync::mpsc::channel();
    let following = bed.runtime.spawn(async move {
        follow(&shorthand, &config, &destination, &storage, move |event| {
            sender.send(event).unwrap();
        })
        .await
    });
    let next = || receiver.recv_timeout(Duration::from_secs(20)).unwrap();
    // Nothing is there: whoever asks, asks for the listing alone.
    std::thread::sleep(Duration::from_millis(500));
    let asked = bed.server.requests();
    assert!(!asked.is_empty());
    for seen in asked {
        assert!(seen.path.contains("list-type=2"), "{}", seen.path);
    }
    // Out of order, and one without its index yet: what is there is found at once.
    put(12, true);
    put(9, false);
    let arrived = |missing| FollowEvent::Arrived {
        run: run("2026-11-22T00"),
        files: 1,
        missing,
    };
    assert_eq!(next(), arrived(15));
    put(6, true);
    assert_eq!(next(), arrived(14));
    let mine = |step: u32| format!("/bucket{}", product_path("00", step));
    for seen in bed.server.requests() {
        let files = [6, 12].map(mine);
        assert!(
            seen.path.contains("list-type=2")
                || files
                    .iter()
                    .any(|file| seen.path.starts_with(file.as_str())),
            "{}",
            seen.path
        );
    }
    let table = bed.load();
    let placed = table.rows.iter().filter(|row| row.status == Status::Placed);
    let steps: BTreeSet<i64> = placed.map(|row| row.window.end / 3600).collect();
    assert_eq!(steps, BTreeSet::from([6, 12]));
    following.abort();
}
