//! Sections 1 and 4 of any content: what a field is, when, whose, and what its array is called.

use gribfs::grib::identity::Product;
use gribfs::grib::naming::name_array;

/// Reads discipline (1 octet), length of section 1 (1 octet), section 1, section 4.
///
/// # Panics
/// If anything panics, or if a name is none: a find.
pub fn run(input: &[u8]) {
    let Some((&[discipline, length], rest)) = input.split_first_chunk::<2>() else {
        return;
    };
    if let Some((section1, section4)) = rest.split_at_checked(usize::from(length)) {
        read(discipline, section1, section4);
    }
}

/// Reads the sections and all that follows from them.
///
/// # Panics
/// As [`run`].
pub fn read(discipline: u8, section1: &[u8], section4: &[u8]) {
    let Ok(product) = Product::parse(discipline, section1, section4) else {
        return;
    };
    assert!(product.window.start <= product.window.end);
    let identity = &product.identity;
    assert!(identity.same_quantity(identity));
    assert!(identity.describe().is_ascii());
    for bucket in [
        None,
        Some(0),
        Some(product.window.end - product.window.start),
    ] {
        let naming = name_array(identity, bucket);
        let name = &naming.array;
        assert!(!name.is_empty() && name.len() < 256, "{name}");
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'),
            "{name}"
        );
        assert!(!name.as_bytes()[0].is_ascii_digit(), "{name}");
        assert!(
            naming
                .level
                .is_none_or(|(one, two)| one.is_finite() && two.is_none_or(f64::is_finite))
        );
    }
}
