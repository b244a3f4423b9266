//! Files of the shared corpus walked by their headers only.

use gribfs::grib::section::Message;
use gribfs::grib::walker::{Found, Step, WalkedMessage, Walker};
use serde_json::Value;

use crate::grib_corpus::{corpus, samples};

/// Walks a file by exact reads; answers what was found, and how many bytes were asked for in how many reads.
fn hop(file: &[u8]) -> (Vec<Found>, usize, usize) {
    let mut walker = Walker::new(file.len() as u64);
    let (mut found, mut bytes, mut reads) = (Vec::new(), 0, 0);
    loop {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => return (found, bytes, reads),
            Step::Read { offset, length } => {
                let from = usize::try_from(offset).unwrap();
                walker.give(offset, &file[from..from + length]);
                bytes += length;
                reads += 1;
            }
        }
    }
}

fn check_walked(message: &WalkedMessage, file: &[u8], name: &str) {
    let from = usize::try_from(message.offset).unwrap();
    let whole = Message::parse(&file[from..]).unwrap();
    assert_eq!(message.fields.len(), whole.fields().len(), "{name}");
    for (walked, field) in message.fields.iter().zip(whole.fields()) {
        assert_eq!(&*walked.section1, field.section1, "{name}");
        assert_eq!(&*walked.section3, field.section3, "{name}");
        assert_eq!(&*walked.section4, field.section4, "{name}");
        assert_eq!(&*walked.section5, field.section5, "{name}");
    }
}

#[test]
fn files_are_walked_by_their_headers() {
    let Some(corpus) = corpus() else { return };
    let mut broken = Vec::new();
    let (mut messages, mut all, mut asked, mut reads) = (0, 0, 0, 0);
    for sample in samples(&corpus) {
        let (found, bytes, count) = hop(&sample.bytes);
        let mut ours = Vec::new();
        for one in &found {
            match one {
                Found::Message(message) => {
                    check_walked(message, &sample.bytes, &sample.name);
                    ours.push((2, message.offset, message.length));
                }
                Found::Edition1 { offset, length, .. } => ours.push((1, *offset, *length)),
                other @ (Found::Broken { .. } | Found::Lost { .. }) => {
                    broken.push(format!("{}: {other:?}", sample.name));
                }
            }
        }
        let number = |value: &Value, key: &str| value[key].as_u64().unwrap();
        let theirs: Vec<(u64, u64, u64)> = sample.expected["messages"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|message| message["error"].is_null())
            .map(|message| {
                (
                    number(message, "edition"),
                    number(message, "offset"),
                    number(message, "length"),
                )
            })
            .collect();
        assert_eq!(ours, theirs, "{}", sample.name);
        messages += ours.len();
        all += sample.bytes.len();
        asked += bytes;
        reads += count;
    }
    println!("{messages} messages in {all} bytes: {reads} reads of {asked} bytes");
    assert_eq!(broken, BROKEN);
    assert!(reads < 2 * messages && asked < 2048 * messages);
}

/// What the walk reports as broken; ecCodes agrees.
const BROKEN: [&str; 1] =
    ["cfgrib/era5-levels-corrupted.grib: Broken { offset: 0, error: NoEnd { length: 1588 } }"];
