//! Messages that are not where the index says: searched for in their object, found by all of their identity, read from there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use gribfs::grib::walker::{Found, walk};
use gribfs::store::{FailureKind, OnStale, ReadFailure, ReaderConfig};
use gribfs::table::row::Table;
use gribfs::vfs::MountTree;
use gribfs::vfs::tree::Answer;

use crate::mount_tree::{Bed, find};
use crate::support::http::{Fault, Seen};

const FILE: &str = "gfs.20261122/00/atmos/gfs.t00z.pgrb2.3p00.f006";
/// The same lead of another run: equal kinds, other numbers.
const OTHER: &str = "gfs.20261122/06/atmos/gfs.t06z.pgrb2.3p00.f006";
const ARRAYS: [&str; 5] = ["t2m", "u10", "v10", "r2", "sst"];

/// An archive, its table, and what its fields hold.
struct Stale {
    bed: Bed,
    table: Arc<Table>,
    right: Vec<Bytes>,
    messages: Vec<Vec<u8>>,
    state: tempfile::TempDir,
}

impl Stale {
    fn new() -> Self {
        let bed = Bed::new();
        let (mut table, _) = bed.index();
        // As if no sample had been read of this file when it was indexed.
        for object in &mut Arc::make_mut(&mut table).objects {
            (object.size, object.etag) = (None, None);
        }
        let tree = bed.show(Arc::clone(&table));
        let right = ARRAYS.map(|array| bed.read(&tree, &chunk(array)).unwrap());
        let messages = messages(&bed.server.object(&path()).unwrap());
        Self {
            bed,
            table,
            right: right.to_vec(),
            messages,
            state: tempfile::tempdir().unwrap(),
        }
    }

    /// The file is replaced by these messages; its index stays.
    fn replace(&self, messages: &[Vec<u8>]) {
        self.bed.server.put(&path(), messages.concat());
    }

    fn other_messages(&self) -> Vec<Vec<u8>> {
        messages(&self.bed.server.object(&format!("/{OTHER}")).unwrap())
    }

    /// A message of another run before all others: every offset is wrong.
    fn insert_message(&self) {
        let mut all = vec![self.other_messages().swap_remove(3)];
        all.extend(self.messages.iter().cloned());
        self.replace(&all);
    }

    fn mount(&self, on_stale: OnStale) -> MountTree {
        let config = ReaderConfig {
            on_stale,
            corrections: Some(self.state.path().to_owned()),
            ..ReaderConfig::default()
        };
        self.bed.show_with(Arc::clone(&self.table), &config)
    }

    fn read(&self, tree: &MountTree, array: &str) -> Result<Bytes, ReadFailure> {
        self.bed.read(tree, &chunk(array))
    }

    /// Reads all, which must be right.
    fn read_right(&self, tree: &MountTree) {
        for (array, right) in ARRAYS.iter().zip(&self.right) {
            let read = self
                .read(tree, array)
                .unwrap_or_else(|failure| panic!("{array}: {failure}"));
            assert!(read == *right, "{array}: other values");
        }
    }

    fn requests(&self) -> Vec<Seen> {
        self.bed.server.requests_of(&path())
    }

    fn status(&self, tree: &MountTree) -> serde_json::Value {
        let at = find(tree, ".gribfs/status.json").unwrap();
        let Answer::Now(text) = tree_read(tree, at.inode, at.size) else {
            panic!("the status is in memory");
        };
        let all: serde_json::Value = serde_json::from_slice(&text.unwrap()).unwrap();
        all["stale_indexes"].clone()
    }

    fn side_file(&self) -> Option<PathBuf> {
        let folder = self.state.path().join("gribfs-corrections-1");
        let entry = fs::read_dir(folder).ok()?.next()?;
        Some(entry.unwrap().path())
    }
}

fn tree_read(tree: &MountTree, inode: u64, size: u64) -> Answer {
    use gribfs::vfs::tree::Tree as _;
    tree.read(inode, 0, usize::try_from(size).unwrap())
}

fn path() -> String {
    format!("/{FILE}")
}

fn chunk(array: &str) -> String {
    format!("run_time.zarr/{array}/0.2.0.0")
}

fn messages(file: &[u8]) -> Vec<Vec<u8>> {
    walk(file)
        .into_iter()
        .map(|found| {
            let Found::Message(message) = found else {
                panic!("the fixture holds {found:?}");
            };
            let start = usize::try_from(message.offset).unwrap();
            file[start..start + usize::try_from(message.length).unwrap()].to_vec()
        })
        .collect()
}

/// Position of an array's message in the file, by where the table lists it.
fn position(stale: &Stale, words: &str) -> usize {
    let row = stale
        .table
        .rows
        .iter()
        .find(|row| {
            let object = &stale.table.objects[row.object as usize];
            let kind = &stale.table.kinds[row.kind as usize];
            object.location.as_str().ends_with(FILE) && kind.words.starts_with(words)
        })
        .unwrap();
    let mut start = 0;
    stale
        .messages
        .iter()
        .position(|message| {
            let here = start == row.offset;
            start += message.len() as u64;
            here
        })
        .unwrap()
}

#[test]
fn an_inserted_message_shifts_all_and_one_walk_finds_all() {
    let stale = Stale::new();
    stale.insert_message();
    let tree = stale.mount(OnStale::Heal);
    stale.read_right(&tree);
    let count = stale.messages.len() + 1;
    let requests = stale.requests().len();
    // The read that failed, a read or two a message, and one for each field.
    assert!(
        requests <= 1 + 2 * count + ARRAYS.len(),
        "{requests} for {count} messages"
    );
    let walked = stale.status(&tree);
    assert_eq!(walked["searches"], 1, "{walked}");
    assert_eq!(walked["healed_objects"], 1);
    assert_eq!(walked["fields_read"], ARRAYS.len());
    assert_eq!(walked["last"][0]["absent"], 0, "{walked}");
    // Of each pair of messages that are equal in all of their identity nothing tells which is meant.
    assert_eq!(walked["last"][0]["ambiguous"], 1, "{walked}");
    assert_eq!(walked["last"][0]["moved"], count - 1 - 2, "{walked}");
    assert!(
        walked["last"][0]["object"]
            .as_str()
            .unwrap()
            .ends_with(FILE)
    );
}

#[test]
fn readers_of_many_fields_at_once_are_one_walk() {
    let stale = Stale::new();
    stale.insert_message();
    let tree = stale.mount(OnStale::Heal);
    stale
        .bed
        .server
        .latency(std::time::Duration::from_millis(5));
    let answers = ARRAYS.map(|array| {
        let at = find(&tree, &chunk(array)).unwrap();
        tree_read(&tree, at.inode, at.size)
    });
    for (answer, right) in answers.into_iter().zip(&stale.right) {
        let Answer::Later(read) = answer else {
            panic!("nothing is in memory")
        };
        assert!(stale.bed.runtime.block_on(read).unwrap() == *right);
    }
    assert_eq!(stale.status(&tree)["searches"], 1);
}

#[test]
fn a_correction_survives_a_remount() {
    let stale = Stale::new();
    stale.insert_message();
    stale.read_right(&stale.mount(OnStale::Heal));
    let side = stale.side_file().unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(side.parent().unwrap()), 0);

    let tree = stale.mount(OnStale::Heal);
    stale.read_right(&tree);
    assert_eq!(
        stale.requests().len(),
        ARRAYS.len(),
        "one request a field, no walk"
    );
    let known = stale.status(&tree);
    assert_eq!(
        (&known["searches"], &known["healed_objects"]),
        (&0.into(), &1.into())
    );
    assert_eq!(known["last"][0]["from_side_file"], true);

    // Torn by a crash: passed over, and written anew.
    fs::write(&side, b"{\"object\"").unwrap();
    let tree = stale.mount(OnStale::Heal);
    stale.read_right(&tree);
    assert_eq!(stale.status(&tree)["searches"], 1);
    assert!(fs::metadata(&side).unwrap().len() > 1000);
}

#[test]
fn another_mount_that_is_up_finds_the_correction_too() {
    let stale = Stale::new();
    stale.insert_message();
    let (one, two) = (stale.mount(OnStale::Heal), stale.mount(OnStale::Heal));
    stale.read_right(&one);
    stale.bed.server.forget();
    stale.read_right(&two);
    assert_eq!(stale.status(&two)["searches"], 0);
    assert_eq!(
        stale.requests().len(),
        1 + ARRAYS.len(),
        "the read that failed, and one a field"
    );
}

#[test]
fn a_correction_of_an_older_version_misleads_nobody() {
    let stale = Stale::new();
    stale.insert_message();
    stale.read_right(&stale.mount(OnStale::Heal));
    // The archive puts the file right again; what the side file says is history.
    stale.replace(&stale.messages);
    let tree = stale.mount(OnStale::Heal);
    stale.read_right(&tree);
    assert_eq!(stale.status(&tree)["searches"], 0, "the index was right");
    // And is moved otherwise.
    let mut all = stale.messages.clone();
    all.rotate_left(2);
    stale.replace(&all);
    stale.read_right(&stale.mount(OnStale::Heal));
}

#[test]
fn a_message_that_is_gone_stays_an_error_and_is_searched_for_once() {
    let stale = Stale::new();
    // Cut behind the first half; sea surface temperature is the last message.
    let half = stale.messages.len() / 2;
    stale.replace(&stale.messages[..half]);
    for mount in 0..2 {
        let tree = stale.mount(OnStale::Heal);
        for _ in 0..3 {
            let failure = stale.read(&tree, "sst").unwrap_err();
            assert!(
                matches!(
                    failure.kind,
                    FailureKind::Unavailable | FailureKind::Invalid
                ),
                "{failure}"
            );
            assert!(
                failure.message.contains("holds no such message"),
                "{failure}"
            );
            // The kernel's second try.
            stale.read(&tree, "sst").unwrap_err();
        }
        let searches = u64::from(mount == 0);
        assert_eq!(stale.status(&tree)["searches"], searches, "mount {mount}");
        // What is there is read.
        assert!(stale.read(&tree, "t2m").is_ok() == (position(&stale, "TMP:2 m") < half));
    }
}

#[test]
fn another_message_at_the_offset_is_not_taken_and_the_right_one_is_found() {
    let stale = Stale::new();
    let (one, two) = (position(&stale, "TMP:2 m"), position(&stale, "UGRD:10 m"));
    let mut all = stale.messages.clone();
    all.swap(one, two);
    stale.replace(&all);
    stale.read_right(&stale.mount(OnStale::Heal));
}

#[test]
fn two_messages_of_one_identity_are_an_error() {
    let stale = Stale::new();
    let t2m = stale.messages[position(&stale, "TMP:2 m")].clone();
    let mut all = vec![stale.other_messages().swap_remove(3)];
    all.extend(stale.messages.iter().cloned());
    all.push(t2m);
    stale.replace(&all);
    let tree = stale.mount(OnStale::Heal);
    let failure = stale.read(&tree, "t2m").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert!(
        failure.message.contains("holds 2 such messages"),
        "{failure}"
    );
    assert!(stale.read(&tree, "u10").unwrap() == stale.right[1]);
    assert_eq!(
        stale.status(&tree)["last"][0]["ambiguous"],
        1 + 1,
        "and the pair of the fixture"
    );
}

#[test]
fn messages_of_another_run_heal_nothing() {
    let stale = Stale::new();
    stale.replace(&stale.other_messages());
    let tree = stale.mount(OnStale::Heal);
    for array in ARRAYS {
        let failure = stale.read(&tree, array).unwrap_err();
        assert!(
            failure.message.contains("holds no such message"),
            "{failure}"
        );
    }
}

#[test]
fn an_object_that_changed_after_it_was_seen_is_not_searched() {
    let stale = Stale::new();
    let tree = stale.mount(OnStale::Heal);
    stale.read(&tree, "u10").unwrap();
    stale.insert_message();
    stale.bed.server.forget();
    let failure = stale.read(&tree, "t2m").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Changed, "{failure}");
    assert_eq!(stale.requests().len(), 1);
    assert_eq!(stale.status(&tree)["searches"], 0);
}

#[test]
fn an_object_that_changes_while_it_is_searched_is_a_changed_object() {
    let stale = Stale::new();
    stale.insert_message();
    let tree = stale.mount(OnStale::Heal);
    let server = &stale.bed.server;
    server.fault(&path(), Fault::Slow(std::time::Duration::ZERO).times(4));
    server.fault(&path(), Fault::OtherETag);
    let failure = stale.read(&tree, "t2m").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Changed, "{failure}");
    assert_eq!(stale.requests().len(), 5);
    assert_eq!(stale.side_file(), None);
}

#[test]
fn a_server_that_fails_during_the_search_is_not_asked_again_at_once() {
    let stale = Stale::new();
    stale.insert_message();
    let tree = stale.mount(OnStale::Heal);
    let server = &stale.bed.server;
    server.fault(&path(), Fault::Slow(std::time::Duration::ZERO).times(4));
    server.fault(&path(), Fault::Status(403));
    let failure = stale.read(&tree, "t2m").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
    assert!(
        failure.message.contains("could not be searched") && failure.message.contains("403"),
        "{failure}"
    );
    server.heal();
    server.forget();
    let failure = stale.read(&tree, "u10").unwrap_err();
    assert!(
        failure.message.contains("could not be searched"),
        "{failure}"
    );
    assert_eq!(
        stale.requests().len(),
        1,
        "the failure stands for all rows of the object"
    );
}

#[test]
fn a_body_that_is_cut_on_its_way_is_no_stale_index() {
    let stale = Stale::new();
    let tree = stale.mount(OnStale::Heal);
    stale
        .bed
        .server
        .fault(&path(), Fault::Truncate(50).times(2));
    let failure = stale.read(&tree, "t2m").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    assert_eq!(stale.status(&tree)["searches"], 0);
}

#[test]
fn by_policy_a_stale_index_fails_as_it_is() {
    let stale = Stale::new();
    stale.insert_message();
    stale.read_right(&stale.mount(OnStale::Heal));
    let tree = stale.mount(OnStale::Fail);
    let failure = stale.read(&tree, "t2m").unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid, "{failure}");
    assert_eq!(stale.requests().len(), 1);
    assert_eq!(stale.status(&tree)["searches"], 0);
}
