//! Any octets as a file of messages: the walk over headers, the walk over the whole, the head, and what follows of each.

use gribfs::grib::decode::{DecodeError, Packed, decode, supported};
use gribfs::grib::head::{Head, HeadOutcome};
use gribfs::grib::section::{Field, Message};
use gribfs::grib::walker::{Found, Step, WalkedMessage, Walker, walk};

/// Most points of a field that is decoded: what is looked for does not grow with them.
const MOST_POINTS: u32 = 1 << 16;

/// Walks a file, and reads everything of each message that was found in it.
///
/// # Panics
/// If anything read panics, if two ways of reading disagree, or if the walk does not end: a find.
pub fn run(file: &[u8]) {
    let found = walk(file);
    assert_eq!(
        found,
        walk_in_windows(file, 16),
        "the size of a window shows"
    );
    let mut end = 0;
    for found in &found {
        let start = match found {
            Found::Message(message) => {
                end = message.offset + message.length;
                check(message, file);
                message.offset
            }
            Found::Edition1 { offset, .. }
            | Found::Broken { offset, .. }
            | Found::Lost { offset } => *offset,
        };
        assert!(start < file.len() as u64 || file.is_empty());
    }
    assert!(end <= file.len() as u64, "a message leads out of the file");
    read(file);
}

/// As [`walk`], a few octets at a time.
fn walk_in_windows(file: &[u8], window: usize) -> Vec<Found> {
    let mut walker = Walker::with_window(file.len() as u64, window);
    let mut found = Vec::new();
    // Every step but the search for the next message goes on by 5 octets at least.
    for _ in 0..16 + 4 * file.len() {
        match walker.step() {
            Step::Found(one) => found.push(one),
            Step::Done => return found,
            Step::Read { offset, length } => {
                let from = usize::try_from(offset).expect("inside of the file");
                assert!(
                    length > 0 && from + length <= file.len(),
                    "asks for what is not there"
                );
                walker.give(offset, &file[from..from + length]);
            }
        }
    }
    panic!("the walk does not end");
}

/// A message that the walk over headers lets pass is one, whole, and with the same fields.
fn check(walked: &WalkedMessage, file: &[u8]) {
    let from = usize::try_from(walked.offset).expect("inside of the file");
    let length = usize::try_from(walked.length).expect("inside of the file");
    let bytes = &file[from..from + length];
    assert_eq!(&bytes[length - 4..], b"7777");
    assert!(!walked.fields.is_empty());
    // Bitmaps are not looked at by the walk over headers, so the whole may be refused all the same.
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    assert_eq!(message.fields().len(), walked.fields.len());
    for (field, walked) in message.fields().iter().zip(&walked.fields) {
        assert_eq!(field.section1, &*walked.section1);
        assert_eq!(field.section3, &*walked.section3);
        assert_eq!(field.section4, &*walked.section4);
        assert_eq!(field.section5, &*walked.section5);
        read_field(field);
    }
}

/// The octets as the first ones of a message.
fn read(bytes: &[u8]) {
    let head = Head::parse(bytes);
    if let Ok(HeadOutcome::NeedMore(need)) = head {
        assert!(need > bytes.len(), "asks for what it has");
    }
    if let Ok(message) = Message::parse(bytes) {
        // Sections before the data may be longer than an index build reads.
        if let Ok(HeadOutcome::Found(head)) = head {
            let field = message.fields()[0];
            assert_eq!(
                (head.section3, head.section4, head.section5),
                (field.section3, field.section4, field.section5)
            );
        }
    }
}

fn read_field(field: &Field<'_>) {
    super::product::read(field.discipline, field.section1, field.section4);
    super::grid::read(field.section3);
    let packed = Packed {
        points: usize::try_from(field.points).expect("32 bits fit"),
        section5: field.section5,
        bitmap: field.bitmap,
        section7: field.section7,
    };
    let supported = supported(field.section5);
    if field.points <= MOST_POINTS {
        let mut values = vec![0.0; packed.points];
        let decoded = decode(&packed, &mut values);
        assert!(
            !matches!(decoded, Err(DecodeError::Panicked { .. })),
            "{decoded:?}"
        );
        assert!(decoded.is_err() || supported.is_ok());
    }
}
