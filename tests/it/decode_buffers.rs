//! What a buffer held before a decode leaves no trace in the values.

use gribfs::grib::decode::{decode, decode_range};

use crate::decode_corpus::fields;
use crate::decode_packings::packings;

#[test]
fn every_value_of_a_buffer_is_written_whatever_it_held() {
    let mut compared = 0;
    for (name, _, message) in packings() {
        let field = fields(&message)[0];
        let mut zeroed = vec![0.0_f32; field.points];
        if decode(&field, &mut zeroed).is_err() {
            continue;
        }
        let (first, count) = (field.points / 4, field.points / 2);
        for before in [f32::MAX, -1.5, f32::NAN] {
            let mut used = vec![before; field.points];
            decode(&field, &mut used).unwrap();
            let same =
                |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
            assert!(same(&used, &zeroed), "{name}: over {before}");
            let mut part = vec![before; count];
            decode_range(&field, first, &mut part).unwrap();
            assert!(
                same(&part, &zeroed[first..first + count]),
                "{name}: a part over {before}"
            );
        }
        compared += 1;
    }
    assert!(compared > 250);
}
